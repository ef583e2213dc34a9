"""Token scores against attention that is computed the long way, for every backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dist_mcl.backbones import Backbone
from dist_mcl.config import AttentionScores, GradientScores, RolloutScores
from dist_mcl.tokens import Batch, Sample, TokenScores

from .samples import TINY, ragged_samples


@pytest.fixture(scope="module", params=TINY)
def backbone(request: pytest.FixtureRequest) -> Backbone:
    return TINY[request.param](seed=3)


@pytest.fixture(scope="module")
def ragged() -> list[Sample]:
    return ragged_samples(np.random.default_rng(5))


class Long:
    """Every map of one sample alone: weights and value vectors of each layer, (heads, n, n) and (heads, n, width)."""

    def __init__(self, backbone: Backbone, sample: Sample) -> None:
        with torch.no_grad():
            hidden, self.sequences = backbone.embed(Batch.collate([sample]))
            self.weights: list[Tensor] = []
            self.values: list[Tensor] = []
            self.entering = [hidden]
            for block in backbone.blocks:
                query, key, value = (part.double().transpose(0, 1) for part in backbone.attention_parts(block, hidden))
                logits = query @ key.transpose(1, 2) / query.shape[-1] ** 0.5
                exps = (logits - logits.amax(-1, keepdim=True)).exp()
                self.weights.append(exps / exps.sum(-1, keepdim=True))
                self.values.append(value)
                hidden = backbone.run_block(block, hidden, self.sequences.layout)
                self.entering.append(hidden)

    def check(self, sample: Sample, found: TokenScores, row: Tensor, table: Tensor) -> None:
        """The class scores are `row` (n,) and the cross scores a part of `table` (n, n)."""
        places = {name: self.sequences.places.get(name, torch.zeros(0, dtype=torch.long)) for name in ("image", "text")}
        assert set(found.class_scores) == set(sample.tokens)
        for name, scores in found.class_scores.items():
            assert scores.dtype == np.float32
            np.testing.assert_allclose(scores, row[places[name]], atol=1e-6)
        np.testing.assert_allclose(found.cross, table[places["image"]][:, places["text"]], atol=1e-6)


@pytest.mark.parametrize("layer", [0, -1])
@pytest.mark.parametrize("heads", ["mean", "max"])
def test_attention_of_one_layer(backbone: Backbone, ragged: list[Sample], layer: int, heads: str) -> None:
    how = AttentionScores(layer=layer, heads=heads)
    for sample, found in zip(ragged, backbone.token_scores(Batch.collate(ragged), how), strict=True):
        maps = Long(backbone, sample)
        table = maps.weights[layer].mean(0) if heads == "mean" else maps.weights[layer].amax(0)
        maps.check(sample, found, table[0], table)


def test_value_norms_silence_tokens_that_say_nothing(backbone: Backbone, ragged: list[Sample]) -> None:
    how = AttentionScores(value_norms=True)
    for sample, found in zip(ragged, backbone.token_scores(Batch.collate(ragged), how), strict=True):
        maps = Long(backbone, sample)
        table = (maps.weights[-1] * maps.values[-1].norm(dim=-1)[:, None]).mean(0)
        maps.check(sample, found, table[0], table)


def test_rollout_is_the_product_over_all_layers(backbone: Backbone, ragged: list[Sample]) -> None:
    for sample, found in zip(ragged, backbone.token_scores(Batch.collate(ragged), RolloutScores()), strict=True):
        maps = Long(backbone, sample)
        first, second = (weights.mean(0) for weights in maps.weights)
        identity = torch.eye(len(first), dtype=torch.double)
        flow = (second + identity) / 2 @ (first + identity) / 2
        maps.check(sample, found, flow[0], maps.weights[-1].mean(0))


@pytest.mark.parametrize("layer", [0, 1])
def test_gradients_are_those_of_the_largest_logit(backbone: Backbone, ragged: list[Sample], layer: int) -> None:
    torch.manual_seed(0)
    head = nn.Linear(32, 4)
    scores = backbone.token_scores(Batch.collate(ragged), GradientScores(layer=layer), head)
    for sample, found in zip(ragged[:2], scores, strict=False):
        maps = Long(backbone, sample)

        def logit(nudged: Tensor, at: tuple[int, int], maps: Long = maps) -> Tensor:
            # The largest logit when one head's attention of the class token to one token changes.
            layout = maps.sequences.layout
            with torch.no_grad():
                hidden = _with_attention(backbone, layer, maps, nudged, at)
                for block in backbone.blocks[layer + 1 :]:
                    hidden = backbone.run_block(block, hidden, layout)
                return head(backbone.pool(backbone.finish(hidden), maps.sequences))[0].double()

        best = int(logit(torch.tensor(0.0), (0, 0)).argmax())
        place = int(maps.sequences.places["image"][5])
        step, row = 1e-2, []
        for attending in range(4):
            up, down = (float(logit(torch.tensor(sign * step), (attending, place))[best]) for sign in (1, -1))
            slope = (up - down) / (2 * step)
            row.append(max(0.0, float(maps.weights[layer][attending, 0, place]) * slope))
        assert found.class_scores["image"][5] == pytest.approx(np.mean(row), abs=2e-5)
    assert all((part >= 0).all() for one in scores for part in one.class_scores.values())
    assert any(part.any() for one in scores for part in one.class_scores.values())


def _with_attention(backbone: Backbone, layer: int, maps: Long, nudge: Tensor, at: tuple[int, int]) -> Tensor:
    """What a block gives when one weight of the class token's attention is changed by `nudge`."""
    from dist_mcl.backbones import packing

    real = packing.attention_weights

    def changed(query: Tensor, key: Tensor, visible: Tensor, scaling: float) -> Tensor:
        weights = real(query, key, visible, scaling).clone()
        weights[0, at[0], 0, at[1]] += nudge
        return weights

    packing.attention_weights = changed
    try:
        return backbone.run_block(backbone.blocks[layer], maps.entering[layer], maps.sequences.layout)
    finally:
        packing.attention_weights = real


def test_gradients_need_a_head(backbone: Backbone, ragged: list[Sample]) -> None:
    with pytest.raises(ValueError, match="need the head"):
        backbone.token_scores(Batch.collate(ragged), GradientScores())


def test_no_gradient_is_left_behind(backbone: Backbone, ragged: list[Sample]) -> None:
    backbone.token_scores(Batch.collate(ragged), GradientScores(), nn.Linear(32, 4))
    assert all(parameter.grad is None for parameter in backbone.parameters())
