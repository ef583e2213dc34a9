"""SSF, scaling and shifting of features (arXiv 2210.08823), as a PEFT tuner."""

from dist_mcl.adapters.ssf.config import SSFConfig
from dist_mcl.adapters.ssf.layer import SSFLayer
from dist_mcl.adapters.ssf.model import SSFModel

__all__ = ["SSFConfig", "SSFLayer", "SSFModel"]
