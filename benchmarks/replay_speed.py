"""How much faster is a training step on masked exemplars than on whole ones?

One process, the small backbone with SSF, batches of exemplars of a run's store against the same samples whole: forward
and backward. Prints the medians and their ratio.

    python benchmarks/replay_speed.py runs/quickstart
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from dist_mcl.backbones import SmallBackbone
from dist_mcl.backbones.tokenizers import open_tokenizers
from dist_mcl.config import SSFAdapter
from dist_mcl.packages.models import model_dir
from dist_mcl.run_folder import RunFolder
from dist_mcl.scenario.readers import open_splits
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.classifier import Classifier
from exemplar_store import StoreReader

BATCH, REPEATS = 16, 15


def main() -> None:
    """Time both kinds of batches in turns, so that other load on the machine meets both."""
    run = RunFolder.open(Path(sys.argv[1]))
    minilm = model_dir("all-minilm-l6-v2")
    with closing(StoreReader(run.store)) as reader:
        chosen = np.random.default_rng(0).choice(len(reader), size=min(BATCH, len(reader)), replace=False)
        exemplars = reader.read_many(chosen)
    masked = [Sample(item.tokens, item.label, item.sample_id, item.stage) for item in exemplars]
    scenes = open_splits(run.experiment.data, run.experiment.seed)["train"]
    tokenizers = open_tokenizers(run.experiment.model)
    where = {int(sample_id): index for index, sample_id in enumerate(scenes.ids)}
    whole = [scenes.sample(where[item.id], tokenizers, stage=1) for item in masked]
    model = Classifier.begin(SmallBackbone.from_pretrained(minilm), SSFAdapter(), seed=0)
    model.head.grow(len(run.plan.class_names), seed=0)
    times: dict[str, list[float]] = {"whole": [], "masked": []}
    batches = {name: model.backbone.prepare(samples) for name, samples in (("whole", whole), ("masked", masked))}
    for _ in range(REPEATS):
        for name, samples in batches.items():
            times[name].append(_step_seconds(model, samples))
    medians = {name: statistics.median(values[2:]) for name, values in times.items()}
    for name, samples in batches.items():
        tokens = sum(len(part) for sample in samples for part in sample.tokens.values()) / len(samples)
        print(f"{name:7s} {tokens:5.1f} tokens a sample  {1000 * medians[name] / len(samples):6.2f} ms a sample")
    print(f"whole / masked = {medians['whole'] / medians['masked']:.2f}")


def _step_seconds(model: Classifier, samples: Sequence[Sample]) -> float:
    batch = Batch.collate(samples)
    begun = time.perf_counter()
    model(batch).square().mean().backward()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
