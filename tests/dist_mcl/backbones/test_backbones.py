"""What every backbone promises, on random weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dist_mcl.adapter_config import LoRAAdapter
from dist_mcl.adapters import adapter_parameters, attach
from dist_mcl.backbones import Backbone
from dist_mcl.config import SSFAdapter
from dist_mcl.tokens import Batch, Sample, Tokens

from .samples import TINY, hidden_from_attention, ragged_samples, random_sample, run, thin


@pytest.fixture(scope="module", params=TINY)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return TINY[request.param](seed=3)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def ragged(rng: np.random.Generator) -> list[Sample]:
    return ragged_samples(rng)


def test_packed_equals_one_by_one(backbone: Backbone, ragged: list[Sample]) -> None:
    alone = torch.cat([run(backbone, [sample]) for sample in ragged])
    torch.testing.assert_close(run(backbone, ragged), alone, atol=1e-5, rtol=0)
    assert alone.std(0).min() > 1e-3, "the samples must differ, or the comparison says nothing"
    _, sequences = backbone.embed(Batch.collate(ragged))
    assert len(sequences.layout.buckets) == 2


def test_prepared_samples_may_be_prepared_again(backbone: Backbone, ragged: list[Sample]) -> None:
    once = backbone.prepare(ragged)
    again = backbone.prepare(once)
    assert all(ours.tokens.get("image") is theirs.tokens.get("image") for ours, theirs in zip(again, once, strict=True))


# Without the first row and column of patches, where a grid must not be read off; and any half of all tokens.
HOLES = [[], [*range(6), *range(6, 36, 6)]]


@pytest.mark.parametrize("hole", HOLES, ids=["any half", "no first row and column"])
def test_dropped_tokens_equal_attention_masked_tokens(
    backbone: Backbone, rng: np.random.Generator, hole: list[int]
) -> None:
    wholes = [random_sample(rng, number, words) for number, words in enumerate((6, 3, 40))]
    pairs = [_without(sample, hole) if hole else thin(rng, sample) for sample in wholes]
    dropped = run(backbone, [sample for sample, _ in pairs])
    with torch.no_grad():
        hidden, sequences = backbone.embed(Batch.collate(wholes))
        kept = {name: np.concatenate([mask[name] for _, mask in pairs]) for name in ("image", "text")}
        reference = backbone.pool(backbone.encode(hidden, hidden_from_attention(sequences, kept)), sequences)
    torch.testing.assert_close(dropped, reference, atol=1e-5, rtol=0)
    assert (dropped - run(backbone, wholes)).abs().max() > 1e-3, "dropping must matter"


def _without(sample: Sample, patches: list[int]) -> tuple[Sample, dict[str, np.ndarray]]:
    kept = {name: np.ones(len(tokens), bool) for name, tokens in sample.tokens.items()}
    kept["image"][patches] = False
    tokens = {name: part.take(kept[name]) for name, part in sample.tokens.items()}
    return Sample(tokens, sample.target, sample.id, sample.stage), kept


def test_dropped_tokens_are_not_computed(backbone: Backbone, rng: np.random.Generator) -> None:
    whole = random_sample(rng, 0, 9)
    dropped = Sample({name: tokens.take(np.arange(3)) for name, tokens in whole.tokens.items()}, 0, 0, 1)
    lengths = [len(backbone.embed(Batch.collate([sample]))[0]) for sample in (whole, dropped)]
    assert lengths[0] - lengths[1] == (36 - 3) + (9 - 3)


def test_the_order_of_the_samples_does_not_matter(backbone: Backbone, ragged: list[Sample]) -> None:
    order = [3, 5, 0, 6, 4, 2, 1]
    shuffled = run(backbone, [ragged[place] for place in order])
    torch.testing.assert_close(shuffled, run(backbone, ragged)[order], atol=1e-5, rtol=0)


def test_a_token_knows_its_position(backbone: Backbone, rng: np.random.Generator) -> None:
    image = random_sample(rng, 0, 0).tokens["image"].take(np.arange(4))
    text = Tokens(np.array([2000, 2001], np.int32), np.array([0, 1]), (6,))
    moved_image = Tokens(image.values, image.positions + 7, image.grid)
    moved_text = Tokens(text.values, text.positions + 2, text.grid)
    samples = [Sample({"image": i, "text": t}, 0, 0, 1) for i in (image, moved_image) for t in (text, moved_text)]
    features = run(backbone, samples)
    for first in range(4):
        for second in range(first):
            assert (features[first] - features[second]).abs().max() > 1e-3


def test_the_separator_stays_where_the_whole_text_ended(backbone: Backbone) -> None:
    words = Tokens(np.array([2000, 2001], np.int32), np.array([0, 1]), (2,))
    cut = Tokens(words.values, words.positions, (9,))
    whole, masked = run(backbone, [Sample({"text": text}, 0, 0, 1) for text in (words, cut)])
    assert (whole - masked).abs().max() > 1e-3


def test_equal_inputs_give_equal_outputs_in_training(backbone: Backbone, ragged: list[Sample]) -> None:
    batch = Batch.collate(ragged)
    backbone.train()
    assert torch.equal(backbone(batch), backbone(batch))
    backbone.eval()


@pytest.mark.parametrize("adapter", [SSFAdapter(), LoRAAdapter(kind="lora")], ids=lambda adapter: adapter.kind)
@pytest.mark.parametrize("name", TINY)
def test_adapters_fit_on_their_targets_and_learn(
    name: str, adapter: SSFAdapter | LoRAAdapter, ragged: list[Sample]
) -> None:
    backbone = TINY[name](seed=0)
    attach(backbone, adapter, backbone.adapter_targets, seed=0)
    backbone(Batch.collate(ragged)).square().sum().backward()
    trained = adapter_parameters(backbone)
    # LoRA starts with B = 0, so that A's gradient is 0 at first.
    still = [name for name, value in trained.items() if "lora_A" not in name and not value.grad.any()]
    assert not still


@pytest.mark.parametrize("name", TINY)
def test_checkpointed_activations_and_bf16_change_nothing_but_rounding(name: str, ragged: list[Sample]) -> None:
    def slopes(backbone: Backbone) -> dict[str, torch.Tensor]:
        attach(backbone, SSFAdapter(), backbone.adapter_targets, seed=0, dtype=torch.float32)
        backbone.train()
        backbone(Batch.collate(ragged)).square().sum().backward()
        return {name: value.grad for name, value in adapter_parameters(backbone).items()}

    plain, again = slopes(TINY[name](seed=0)), TINY[name](seed=0)
    again.checkpoint_activations()
    torch.testing.assert_close(slopes(again), plain, atol=0, rtol=0)
    rounded = torch.cat([value.flatten() for value in slopes(TINY[name](seed=0).use_bf16()).values()])
    exact = torch.cat([value.flatten() for value in plain.values()])
    assert torch.nn.functional.cosine_similarity(rounded, exact, dim=0) > 0.99


def test_a_text_beyond_the_position_table_is_refused(backbone: Backbone, rng: np.random.Generator) -> None:
    assert run(backbone, [random_sample(rng, 0, 126)]).shape == (1, 32)
    with pytest.raises(ValueError, match="more than 126 tokens"):
        run(backbone, [random_sample(rng, 0, 127)])
