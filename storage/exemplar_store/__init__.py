"""Masked-exemplar store: a memory of kept tokens under a budget in true bytes."""

from exemplar_store.tokens import Tokens

__all__ = ["Tokens"]
