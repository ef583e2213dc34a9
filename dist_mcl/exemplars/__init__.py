"""What is remembered: select -> mask -> (store) -> replay with augmentation, and the store as a data set."""

from dist_mcl.exemplars.augment import swap_text
from dist_mcl.exemplars.dataset import ExemplarDataset
from dist_mcl.exemplars.mask import Masking
from dist_mcl.exemplars.replay import Fresh, Replayed, epoch_batches, micro_batches
from dist_mcl.exemplars.resolution import replay_form
from dist_mcl.exemplars.select import herding

__all__ = [
    "ExemplarDataset",
    "Fresh",
    "Masking",
    "Replayed",
    "epoch_batches",
    "herding",
    "micro_batches",
    "replay_form",
    "swap_text",
]
