"""Questions about media: what is asked, of which modality, in which stage."""
