"""The same training by three programs: ours, Hugging Face's Trainer, and a bare DeepSpeed loop."""
