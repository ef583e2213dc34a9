"""What the small backbone promises, on random weights; the pretrained weights have their own file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dist_mcl.adapters import adapter_parameters, attach
from dist_mcl.backbones import SmallBackbone
from dist_mcl.config import LoRAAdapter, SSFAdapter
from dist_mcl.tokens import Batch, Sample, Tokens

from .samples import hidden_from_attention, random_sample, thin


@pytest.fixture(scope="module")
def backbone() -> SmallBackbone:
    return SmallBackbone.tiny(seed=3)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def ragged(rng: np.random.Generator) -> list[Sample]:
    """Whole, thinned, without text, without picture."""
    whole = [random_sample(rng, number, words) for number, words in enumerate((4, 9, 1))]
    lacking = [random_sample(rng, 3, 0), random_sample(rng, 4, 5, picture=False)]
    return [*whole, thin(rng, whole[1])[0], *lacking]


def run(backbone: SmallBackbone, samples: list[Sample]) -> torch.Tensor:
    with torch.no_grad():
        return backbone(Batch.collate(samples))


def test_packed_equals_one_by_one(backbone: SmallBackbone, ragged: list[Sample]) -> None:
    alone = torch.cat([run(backbone, [sample]) for sample in ragged])
    torch.testing.assert_close(run(backbone, ragged), alone, atol=1e-5, rtol=0)
    assert alone.std(0).min() > 1e-3, "the samples must differ, or the comparison says nothing"


def test_prepared_samples_mean_the_same(backbone: SmallBackbone, ragged: list[Sample]) -> None:
    prepared = backbone.prepare(ragged)
    assert [sample.tokens.keys() for sample in prepared] == [sample.tokens.keys() for sample in ragged]
    assert prepared[0].tokens["image"].values.dtype == np.float16
    torch.testing.assert_close(run(backbone, prepared), run(backbone, ragged), atol=2e-3, rtol=0)


def test_dropped_tokens_equal_attention_masked_tokens(backbone: SmallBackbone, rng: np.random.Generator) -> None:
    wholes = [random_sample(rng, number, words) for number, words in enumerate((6, 3, 8))]
    pairs = [thin(rng, sample) for sample in wholes]
    dropped = run(backbone, [sample for sample, _ in pairs])

    whole = Batch.collate(wholes)
    with torch.no_grad():
        hidden, sequences = backbone.embed(whole)
        kept = {name: np.concatenate([mask[name] for _, mask in pairs]) for name in ("image", "text")}
        reference = backbone.pool(backbone.encode(hidden, hidden_from_attention(sequences, kept)), sequences)

    torch.testing.assert_close(dropped, reference, atol=1e-5, rtol=0)
    assert (dropped - run(backbone, wholes)).abs().max() > 1e-3, "dropping must matter"


def test_the_order_of_the_samples_does_not_matter(backbone: SmallBackbone, ragged: list[Sample]) -> None:
    order = [3, 5, 0, 4, 2, 1]
    shuffled = run(backbone, [ragged[place] for place in order])
    torch.testing.assert_close(shuffled, run(backbone, ragged)[order], atol=1e-5, rtol=0)


def test_a_token_knows_its_position(backbone: SmallBackbone, rng: np.random.Generator) -> None:
    image = random_sample(rng, 0, 0).tokens["image"].take(np.arange(4))
    text = Tokens(np.array([2000, 2001], np.int32), np.array([0, 1]), (6,))
    moved_image = Tokens(image.values, image.positions + 7, image.grid)
    moved_text = Tokens(text.values, text.positions + 2, text.grid)
    samples = [Sample({"image": i, "text": t}, 0, 0, 1) for i in (image, moved_image) for t in (text, moved_text)]
    features = run(backbone, samples)
    for first in range(4):
        for second in range(first):
            assert (features[first] - features[second]).abs().max() > 1e-3


def test_equal_inputs_give_equal_outputs_in_training(backbone: SmallBackbone, ragged: list[Sample]) -> None:
    batch = Batch.collate(ragged)
    backbone.train()
    assert torch.equal(backbone(batch), backbone(batch))
    backbone.eval()


def test_class_scores_are_the_class_tokens_softmax(backbone: SmallBackbone, ragged: list[Sample]) -> None:
    scores = backbone.token_scores(Batch.collate(ragged))
    for sample, found in zip(ragged, scores, strict=True):
        expected = _attention_by_hand(backbone, sample)
        words = len(sample.tokens["text"]) if "text" in sample.tokens else 0
        assert set(found.class_scores) == set(sample.tokens)
        if words:
            np.testing.assert_allclose(found.class_scores["text"], expected[0, 1 : 1 + words], atol=1e-6)
        if "image" in sample.tokens:
            np.testing.assert_allclose(found.class_scores["image"], expected[0, 2 + words :], atol=1e-6)
        np.testing.assert_allclose(found.cross, expected[2 + words :, 1 : 1 + words], atol=1e-6)


def _attention_by_hand(backbone: SmallBackbone, sample: Sample) -> np.ndarray:
    """(n, n) head mean of the last layer for one sample alone, in the order [CLS] text [SEP] image."""
    with torch.no_grad():
        hidden, sequences = backbone.embed(Batch.collate([sample]))
        hidden = backbone.bert.encoder.layer[0](hidden[None], layout=sequences.layout)[0]
        attention = backbone.bert.encoder.layer[1].attention.self
        heads = []
        for head in range(4):
            part = slice(head * 8, head * 8 + 8)
            query, key = attention.query(hidden)[:, part].double(), attention.key(hidden)[:, part].double()
            logits = query @ key.T / 8**0.5
            weights = (logits - logits.max(1, keepdim=True).values).exp()
            heads.append(weights / weights.sum(1, keepdim=True))
    return torch.stack(heads).mean(0).numpy()


def test_scores_of_another_layer_differ(backbone: SmallBackbone, ragged: list[Sample]) -> None:
    batch = Batch.collate(ragged)
    first, last, second = (backbone.token_scores(batch, layer)[0].class_scores["image"] for layer in (0, -1, 1))
    assert np.array_equal(last, second)
    assert not np.allclose(first, last)


@pytest.mark.parametrize("adapter", [SSFAdapter(), LoRAAdapter(kind="lora")], ids=lambda adapter: adapter.kind)
def test_adapters_fit_on_their_targets_and_learn(adapter: SSFAdapter | LoRAAdapter, ragged: list[Sample]) -> None:
    backbone = SmallBackbone.tiny()
    attach(backbone, adapter, backbone.adapter_targets, seed=0)
    backbone(Batch.collate(ragged)).square().sum().backward()
    trained = adapter_parameters(backbone)
    # LoRA starts with B = 0, so that A's gradient is 0 at first.
    still = [name for name, value in trained.items() if "lora_A" not in name and not value.grad.any()]
    assert not still


def test_a_picture_of_another_grid_is_refused(backbone: SmallBackbone) -> None:
    image = Tokens.full(np.zeros((16, 16, 16, 3), np.uint8), (4, 4))
    with pytest.raises(ValueError, match="6 x 6"):
        run(backbone, [Sample({"image": image}, 0, 0, 1)])


def test_a_text_beyond_the_position_table_is_refused(backbone: SmallBackbone, rng: np.random.Generator) -> None:
    assert run(backbone, [random_sample(rng, 0, 126)]).shape == (1, 32)
    with pytest.raises(ValueError, match="more than 126 tokens"):
        run(backbone, [random_sample(rng, 0, 127)])
