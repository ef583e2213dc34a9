"""Exemplar masking beside its controls, at equal bytes. What came of it: docs/results/exemplar_masking.md."""
