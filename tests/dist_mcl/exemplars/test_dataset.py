"""The memory through torch's own DataLoader: the same batches with any number of workers, however they are started."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dist_mcl.config import Exemplars
from dist_mcl.exemplars.codecs import LOGITS, codecs_for
from dist_mcl.exemplars.dataset import ExemplarDataset
from dist_mcl.tokens import Batch, Tokens
from exemplar_store import Exemplar, ExemplarStore, Jpeg, TokenIds, encode

CODECS = {"image": Jpeg(), "text": TokenIds.for_vocabulary(1000)}


@pytest.fixture
def store(tmp_path: Path) -> ExemplarStore:
    """Twenty exemplars of four classes with 1 to 9 patches each and some words; every fifth has no picture."""
    made = ExemplarStore.create(tmp_path / "store", budget_bytes=1_000_000, run_id="run")
    made.commit(made.plan(1, [encode(_exemplar(number), CODECS) for number in range(20)]))
    return made


def _exemplar(number: int) -> Exemplar:
    dice = np.random.default_rng(number)
    patches = dice.integers(0, 255, (9, 16, 16, 3)).astype(np.uint8)
    kept = np.sort(dice.choice(9, 1 + number % 9, replace=False))
    tokens = {"text": Tokens.full(dice.integers(0, 1000, 1 + number % 4, dtype=np.int32), (1 + number % 4,))}
    if number % 5:
        tokens["image"] = Tokens.full(patches, (3, 3)).take(kept)
    return Exemplar(number, number % 4, 1, number // 4, 0.0, tokens)


def epoch(dataset: ExemplarDataset, seed: int = 7, **options: object) -> list[Batch]:
    generator = torch.Generator().manual_seed(seed)
    loader = DataLoader(dataset, 6, shuffle=True, generator=generator, collate_fn=Batch.collate, **options)
    return list(loader)


def equal(one: Batch, other: Batch) -> bool:
    return (
        torch.equal(one.ids, other.ids)
        and torch.equal(one.targets, other.targets)
        and one.tokens.keys() == other.tokens.keys()
        and all(
            torch.equal(tensor, getattr(other.tokens[name], field))
            for name, packed in one.tokens.items()
            for field, tensor in vars(packed).items()
        )
    )


@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 1},
        {"num_workers": 2, "multiprocessing_context": "fork"},
        {"num_workers": 3, "multiprocessing_context": "spawn"},
        {"num_workers": 2, "persistent_workers": True, "prefetch_factor": 3},
    ],
)
def test_workers_change_nothing(store: ExemplarStore, options: dict[str, object]) -> None:
    dataset = ExemplarDataset(store.path, threads=2)
    alone = epoch(dataset)  # in this process, and with threads that no worker inherits
    beside = epoch(dataset, **options)
    assert [len(batch) for batch in alone] == [6, 6, 6, 2]
    assert all(equal(one, other) for one, other in zip(alone, beside, strict=True))
    assert torch.cat([batch.ids for batch in alone]).unique().numel() == 20
    assert not all(equal(one, other) for one, other in zip(alone, epoch(dataset, seed=8), strict=True))


def test_items_are_the_exemplars(store: ExemplarStore) -> None:
    dataset = ExemplarDataset(store.path)
    assert len(dataset) == 20 and dataset.targets.tolist() == [0, 1, 2, 3] * 5
    for index in (0, 7, 19):
        sample, truth = dataset[index], _exemplar(index)
        assert (sample.id, sample.target, sample.stage) == (truth.sample_id, truth.label, 1)
        assert sample.tokens.keys() == truth.tokens.keys() and sample.tokens["text"] == truth.tokens["text"]
        if "image" in truth.tokens:
            assert np.array_equal(sample.tokens["image"].positions, truth.tokens["image"].positions)
    assert [sample.id for sample in dataset[17:]] == [17, 18, 19]
    assert [sample.id for sample in dataset] == list(range(20))
    with pytest.raises(IndexError):
        dataset[20]


def test_an_epoch_is_one_generation(store: ExemplarStore) -> None:
    dataset = ExemplarDataset(store.path)
    before = epoch(dataset)
    store.commit(store.plan(2, [encode(_exemplar(number), CODECS) for number in range(20, 24)]))
    assert all(equal(one, other) for one, other in zip(before, epoch(dataset), strict=True))
    assert len(dataset) == 20 and len(ExemplarDataset(store.path)) == 24


def test_stored_logits_are_beside_the_tokens_and_in_the_bytes(tmp_path: Path) -> None:
    codecs = codecs_for(Exemplars(), vocabulary_size=1000)
    logits = np.random.default_rng(0).normal(size=50).astype(np.float16)
    made = _exemplar(1)
    answered = replace(made, tokens={**made.tokens, LOGITS: Tokens.full(logits, logits.shape)})
    plain, larger = encode(made, codecs), encode(answered, codecs)
    assert 80 < len(larger.payload) - len(plain.payload) < 120
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=1_000_000, run_id="run")
    store.commit(store.plan(1, [larger]))
    sample = ExemplarDataset(store.path)[0]
    assert sample.logits is not None and np.array_equal(sample.logits, logits)
    assert sample.tokens.keys() == made.tokens.keys()
    assert Batch.collate([sample]).tokens.keys() == made.tokens.keys()
