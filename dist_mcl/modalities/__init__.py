"""Raw media to tokens and back: one small file a modality."""
