"""A program for tests: one rank that trains a tiny classifier on made-up samples. Starts like a worker does."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import torch

from dist_mcl.backbones import SmallBackbone
from dist_mcl.config import Experiment, SSFAdapter
from dist_mcl.run_folder import ProgressFile
from dist_mcl.tokens import Sample, Tokens
from dist_mcl.training.classifier import Classifier, class_rows
from dist_mcl.training.learner import Pool
from dist_mcl.training.process_group import join_process_group
from dist_mcl.training.train import train

CLASSES = 3


def made_up(count: int, words: int, seed: int) -> list[Sample]:
    """Samples whose pictures and words are noise."""
    rng = np.random.default_rng(seed)
    return [
        Sample(
            {
                "image": Tokens.full(rng.integers(0, 256, (36, 16, 16, 3), dtype=np.uint8), (6, 6)),
                "text": Tokens.full(rng.integers(1000, 2000, words, dtype=np.int32), (words,)),
            },
            target=number % CLASSES,
            id=number,
            stage=1,
        )
        for number in range(count)
    ]


def main(folder: Path, experiment: Experiment) -> None:
    group = join_process_group(experiment.training.step_timeout)
    model = Classifier.begin(SmallBackbone.tiny(), SSFAdapter(), seed=0)
    model.head.grow(CLASSES, seed=1)
    fresh = made_up(20, words=4, seed=0)
    pool = Pool(fresh, fresh, made_up(4, words=2, seed=1))
    rows = class_rows(list(range(CLASSES)))
    losses = train(model, pool, rows, experiment, 1, group, ProgressFile(None))
    (folder / f"losses-{group.rank}.json").write_text(json.dumps(losses))
    if group.is_first:
        model.save(folder / "adapter")


if __name__ == "__main__":
    torch.set_num_threads(1)
    os.chdir(sys.argv[1])
    main(Path(sys.argv[1]), Experiment.model_validate_json(sys.argv[2]))
