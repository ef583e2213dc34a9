"""Pretrained models behind one interface: a batch of tokens in, pooled features and token scores out."""

from dist_mcl.backbones.small import SmallBackbone

__all__ = ["SmallBackbone"]
