"""Exemplar masking beside its controls, at equal bytes: see README.md here, and docs/results/exemplar_masking.md."""
