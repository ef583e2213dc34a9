"""What is remembered: select -> mask -> (store) -> replay with augmentation, and the store as a data set."""

from dist_mcl.exemplars.augment import swap_text
from dist_mcl.exemplars.dataset import ExemplarDataset
from dist_mcl.exemplars.greedy import herding
from dist_mcl.exemplars.mask import mask_sample
from dist_mcl.exemplars.replay import Fresh, Replayed, epoch_batches, micro_batches
from dist_mcl.exemplars.select import Candidates, rank_samples

__all__ = [
    "Candidates",
    "ExemplarDataset",
    "Fresh",
    "Replayed",
    "epoch_batches",
    "herding",
    "mask_sample",
    "micro_batches",
    "rank_samples",
    "swap_text",
]
