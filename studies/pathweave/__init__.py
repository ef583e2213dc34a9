"""Adapter-in-adapter beside its controls, modality after modality. What came of it: docs/results/pathweave.md."""
