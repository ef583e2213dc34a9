"""Adapters: what is trained on a frozen backbone. SSF is ours on PEFT's tuner base classes; LoRA is PEFT's own."""

from dist_mcl.adapters.attach import adapter_parameters, attach
from dist_mcl.adapters.folder import load, save

__all__ = ["adapter_parameters", "attach", "load", "save"]
