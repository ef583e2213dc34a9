"""Pretrained models behind one interface: a batch of tokens in, pooled features and token scores out."""

from dist_mcl.backbones.backbone import Backbone
from dist_mcl.backbones.small import SmallBackbone
from dist_mcl.backbones.vilt import ViltBackbone
from dist_mcl.backbones.vilt_folder import ViltFolder

__all__ = ["Backbone", "SmallBackbone", "ViltBackbone", "ViltFolder"]
