"""What is remembered: select -> mask -> (store) -> replay with augmentation. Pure functions on arrays."""

from dist_mcl.exemplars.augment import swap_text
from dist_mcl.exemplars.mask import mask_sample
from dist_mcl.exemplars.replay import Fresh, Replayed, epoch_batches, stripe
from dist_mcl.exemplars.select import herding

__all__ = ["Fresh", "Replayed", "epoch_batches", "herding", "mask_sample", "stripe", "swap_text"]
