"""What is remembered: select -> mask -> (store) -> replay with augmentation."""

from dist_mcl.exemplars.augment import swap_text
from dist_mcl.exemplars.greedy import herding
from dist_mcl.exemplars.mask import Masking
from dist_mcl.exemplars.replay import Fresh, Replayed, epoch_batches, micro_batches
from dist_mcl.exemplars.resolution import replay_form
from dist_mcl.exemplars.select import Candidates, rank_samples

__all__ = [
    "Candidates",
    "Fresh",
    "Masking",
    "Replayed",
    "epoch_batches",
    "herding",
    "micro_batches",
    "rank_samples",
    "replay_form",
    "swap_text",
]
