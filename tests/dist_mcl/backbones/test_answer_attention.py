"""What answers attend to is what the language model itself attends to, and asking changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dist_mcl.config import AttentionScores
from dist_mcl.errors import UserError
from dist_mcl.tokens import Batch

from .causal_samples import one_of_each, tiny

ANSWERS = ["yes", "no", "a chair", "y", "left"]


@pytest.mark.parametrize(("layer", "heads"), [(-1, "mean"), (0, "max")])
def test_it_is_the_models_own_attention_in_a_padded_batch(layer: int, heads: str) -> None:
    backbone = tiny()
    samples = backbone.prepare(one_of_each())
    how = AttentionScores.model_validate({"layer": layer, "heads": heads})
    found = backbone.attended(Batch.collate(samples), ANSWERS, how)
    assert backbone.model.config._attn_implementation == "sdpa"
    backbone.model.set_attn_implementation("eager")  # which returns its weights
    for sample, answer, scores, features in zip(samples, ANSWERS, found.scores, found.features, strict=True):
        embeddings, sequences = backbone._embed(Batch.collate([sample]), [answer])
        with torch.no_grad():
            whole = backbone.model.get_decoder()(
                inputs_embeds=embeddings, position_ids=sequences.positions, output_attentions=True
            )
        weights = whole.attentions[layer][0]
        over_heads = weights.mean(0) if heads == "mean" else weights.amax(0)
        rows = over_heads[sequences.predicts[0]].mean(0)
        ((name, own),) = scores.items()
        tokens = sample.tokens[name]
        assert own.grid == tokens.grid and own.positions.tolist() == tokens.positions.tolist()
        torch.testing.assert_close(torch.from_numpy(own.values), rows[sequences.media[name][0]], atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(features, whole.last_hidden_state[0][sequences.predicts[0]][0], atol=1e-4, rtol=1e-4)


def test_scores_are_fp32_in_a_model_that_computes_in_bf16() -> None:
    exact, rounded = tiny(), tiny().use_bf16()
    found = [
        one.attended(Batch.collate(one.prepare(one_of_each())), ANSWERS, AttentionScores()) for one in (exact, rounded)
    ]
    for fp32, bf16 in zip(*(one.scores for one in found), strict=True):
        ((name, scores),) = bf16.items()
        assert scores.values.dtype == np.float32
        np.testing.assert_allclose(scores.values, fp32[name].values, atol=0.01, rtol=0.05)


def test_values_may_weigh_and_a_missing_layer_is_named() -> None:
    backbone = tiny()
    batch = Batch.collate(backbone.prepare(one_of_each())[:1])
    plain = backbone.attended(batch, ["yes"], AttentionScores())
    weighed = backbone.attended(batch, ["yes"], AttentionScores(value_norms=True))
    assert not np.array_equal(plain.scores[0]["image"].values, weighed.scores[0]["image"].values)
    for layer in (2, -3):
        with pytest.raises(UserError) as refused:
            backbone.attended(batch, ["yes"], AttentionScores(layer=layer))
        assert str(refused.value) == (
            f"exemplars.scores.layer: {layer}, but the language model has 2 layers; choose 0 to 1, or -2 to -1 counted "
            "from the end"
        )
