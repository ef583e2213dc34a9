"""Older exemplars shrink when a later stage is remembered, the same way for any number of ranks."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest

from dist_mcl import config
from dist_mcl.backbones import SmallBackbone
from dist_mcl.exemplars.maskers import top_ratio
from dist_mcl.run_folder import Plan, ProgressFile, RunFolder
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.memorise import memorise
from exemplar_store import Exemplar, ExemplarStore, StoreReader, verify
from tests.dist_mcl.exemplars.masks import masking_of

from .test_memorise import CLASSES, ThreadGroup, samples

QUICKSTART = Path(__file__).parents[3] / "configs" / "quickstart.yaml"


def remember(folder: Path, ranks: int, *overrides: str) -> tuple[list[Exemplar], list[Exemplar], Path]:
    """Two stages; the memory after the first and after the second."""
    experiment = config.load(QUICKSTART, overrides)
    plan = Plan.chain(list("abcdef"), [list(range(CLASSES)), list(range(CLASSES, 2 * CLASSES))])
    run = RunFolder(folder, experiment, plan)
    run.write()
    ExemplarStore.create(run.store, budget_bytes=250_000, run_id=plan.run_id)
    found, rule = [], masking_of(experiment.exemplars)
    # Not in the threads: they share torch's generator.
    models = [Classifier.begin(SmallBackbone.tiny(0), experiment.model.adapter, 0) for _ in range(ranks)]
    for stage in (1, 2):
        box, barrier = [None] * ranks, Barrier(ranks, timeout=120)

        def work(rank: int, stage: int = stage, box: list[object] = box, barrier: Barrier = barrier) -> object:
            group = ThreadGroup(rank, box, barrier)
            return memorise(models[rank], samples(stage), run, stage, rule, group, ProgressFile(None))

        with ThreadPoolExecutor(ranks) as threads:
            told = list(threads.map(work, range(ranks)))
        assert all(one == told[0] for one in told)
        with closing(StoreReader(run.store)) as reader:
            found.append(reader.read_many(range(len(reader))))
    return found[0], found[1], run.store


@pytest.mark.parametrize("masker", ["mean", "random"])
def test_older_exemplars_keep_a_share_and_new_ones_all(tmp_path: Path, masker: str) -> None:
    options = ("exemplars.remask=0.6", f"exemplars.masker={masker}")
    before, after, store = remember(tmp_path / "1", 1, *options)
    assert remember(tmp_path / "2", 2, *options)[:2] == (before, after)
    assert verify(store, full=True).problems == []
    held = {one.sample_id: one.tokens for one in before}
    older = [one for one in after if one.stage == 1]
    assert older
    for one in older:
        was, now = held[one.sample_id], one.tokens
        assert len(now["image"]) == math.ceil(0.6 * len(was["image"]))
        assert set(now["image"].positions.tolist()) <= set(was["image"].positions.tolist())
        assert now["text"] == was["text"]
    whole = remember(tmp_path / "whole", 1, f"exemplars.masker={masker}")[1]
    new = {one.sample_id: one for one in after if one.stage == 2}
    assert all(new[one.sample_id] == one for one in whole if one.stage == 2)
    assert len(after) > len(whole)


def test_the_highest_share_rounded_up_and_the_first_of_equals() -> None:
    assert top_ratio(np.array([0.1, 0.4, 0.3, 0.2]), 0.5).tolist() == [False, True, True, False]
    assert top_ratio(np.ones(3), 0.5).tolist() == [True, True, False]
    assert top_ratio(np.array([0.1]), 0.01).tolist() == [True]
    assert top_ratio(np.zeros(0), 0.5).tolist() == []
