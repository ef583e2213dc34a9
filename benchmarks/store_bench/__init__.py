"""The parts of `benchmarks/store.py`: real exemplars, the ways to keep them, and how they are timed."""
