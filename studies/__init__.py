"""Comparisons over many runs; each study is one resumable command that writes its page in docs/results."""
