"""One stage on one engine: the loop, DeepSpeed, memory, evaluation."""
