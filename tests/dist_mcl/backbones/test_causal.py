"""A language model that is shown media: what is dropped, what is batched, what is generated."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor

from dist_mcl.answer_config import Generation
from dist_mcl.backbones.causal import CausalBackbone
from dist_mcl.tokens import Batch, QuestionAnswer, Sample

from .causal_samples import MODALITIES, dropped, one_of_each, random_sample, tiny

ANSWERS = ["a chair", "no", "it turns left", "a", "seat"]
EVERY_SECOND = slice(None, None, 2)


@pytest.fixture(scope="module")
def backbone() -> CausalBackbone:
    return tiny()


def alone(samples: list[Sample]) -> list[Batch]:
    return [Batch.collate([sample]) for sample in samples]


def test_a_mixed_batch_is_as_good_as_each_sample_alone(backbone: CausalBackbone) -> None:
    samples = one_of_each()
    with torch.no_grad():
        together, lengths = backbone(Batch.collate(samples), ANSWERS)
        apart = [backbone(batch, [answer])[0] for batch, answer in zip(alone(samples), ANSWERS, strict=True)]
    torch.testing.assert_close(together, torch.cat(apart), atol=1e-4, rtol=1e-5)
    assert lengths.tolist() == [len(answer) + 1 for answer in ANSWERS]


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_dropped_token_is_as_good_as_one_that_nobody_attends_to(backbone: CausalBackbone, modality: str) -> None:
    rng = np.random.default_rng(1)
    (whole,) = backbone.prepare([random_sample(rng, modality)])
    less = dropped(whole, EVERY_SECOND)
    kept = np.isin(whole.tokens[modality].positions, less.tokens[modality].positions)
    assert 0 < kept.sum() < len(kept)
    if modality == "point_cloud":  # the encoder looks at all groups: let it see the same ones
        whole = less = dropped(whole, slice(None, 3))
        kept = np.array([True, True, True])
    with torch.no_grad():
        media = backbone.media(Batch.collate([whole]))
        sequences = backbone.prompter.sequences(media, ["What is it?"], ["a chair"])
        embeddings = sequences.fill(backbone.model.get_input_embeddings()(sequences.ids), media)
        mask = sequences.mask.clone()
        mask[sequences.media[modality]] = torch.from_numpy(kept).long()
        masked = backbone.model(
            inputs_embeds=embeddings,
            attention_mask=mask,
            position_ids=sequences.positions,
            logits_to_keep=sequences.predicts,
        ).logits
        losses = torch.nn.functional.cross_entropy(masked, sequences.answers, reduction="sum")
        found, _ = backbone(Batch.collate([less]), ["a chair"])
    torch.testing.assert_close(found[0], losses, atol=1e-5, rtol=1e-6)


def test_dropped_tokens_are_not_computed(backbone: CausalBackbone) -> None:
    (whole,) = backbone.prepare([random_sample(np.random.default_rng(2), "image")])
    lengths = []
    handle = backbone.model.model.layers[0].register_forward_hook(
        lambda _, given, out: lengths.append(given[0].shape[1])
    )
    with torch.no_grad():
        backbone(Batch.collate([whole]), ["a chair"])
        backbone(Batch.collate([dropped(whole, slice(1))]), ["a chair"])
    handle.remove()
    assert lengths[0] - lengths[1] == len(whole.tokens["image"]) - 1


@pytest.mark.parametrize("modality", ["image", "video", "audio", "depth"])
def test_features_are_kept_where_tokens_are(backbone: CausalBackbone, modality: str) -> None:
    whole = random_sample(np.random.default_rng(3), modality)
    all_features, few = (backbone.prepare([sample])[0].tokens[modality] for sample in (whole, dropped(whole, slice(1))))
    assert few.grid == all_features.grid and 0 < len(few) < len(all_features)
    assert set(few.positions) <= set(all_features.positions)


def test_prepared_samples_answer_as_raw_ones(backbone: CausalBackbone) -> None:
    samples = one_of_each(4)
    prepared = backbone.prepare(samples)
    assert all(tokens.values.ndim == 2 for sample in prepared[:4] for tokens in sample.tokens.values())
    assert prepared[4].tokens["point_cloud"] is samples[4].tokens["point_cloud"]
    assert backbone.prepare(prepared)[0].tokens["image"] is prepared[0].tokens["image"]
    with torch.no_grad():
        raw, _ = backbone(Batch.collate(samples), ANSWERS)
        ready, _ = backbone(Batch.collate(prepared), ANSWERS)
    torch.testing.assert_close(raw, ready, atol=0.02, rtol=1e-3)  # features are kept in half precision


def test_generation_in_batches_is_that_of_each_sample(backbone: CausalBackbone) -> None:
    samples = one_of_each(5)
    how = Generation(max_tokens=8)
    together = backbone.generate(Batch.collate(samples), how)
    assert together == [backbone.generate(batch, how)[0] for batch in alone(samples)]
    assert len(set(together)) > 1


def test_greedy_generation_says_what_is_likeliest(backbone: CausalBackbone) -> None:
    batch = Batch.collate(one_of_each(6)[:1])
    with torch.no_grad():
        media = backbone.media(batch)
        sequences = backbone.prompter.sequences(media, [batch.questions[0].question])
        hidden = sequences.fill(backbone.model.get_input_embeddings()(sequences.ids), media)
        ids: list[int] = []
        for _ in range(4):
            words = backbone.model.get_input_embeddings()(torch.tensor([ids], dtype=torch.int64))
            ids.append(int(backbone.model(inputs_embeds=torch.cat([hidden, words], 1)).logits[0, -1].argmax()))
    assert backbone.generate(batch, Generation(max_tokens=4, min_tokens=0)) == backbone.prompter.read(
        torch.tensor([ids])
    )


def test_candidates_are_ranked_by_their_mean_loss(backbone: CausalBackbone) -> None:
    samples = one_of_each(7)[:3]
    candidates = [["yes", "no", "perhaps so"], ["a chair", "x"], ["left"]]
    found = backbone.rank(Batch.collate(samples), candidates)
    for sample, texts, losses in zip(samples, candidates, found, strict=True):
        with torch.no_grad():
            sums, lengths = backbone(Batch.collate([sample] * len(texts)), texts)
        torch.testing.assert_close(losses, sums / lengths, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def log_likelihood(backbone: CausalBackbone, samples: list[Sample], ids: Tensor) -> Tensor:
    """(B,), of generated ids (B, n), summed; each sample by itself."""
    sums = []
    for batch, words in zip(alone(samples), ids, strict=True):
        prompt, _ = backbone._embed(batch)
        whole = torch.cat([prompt, backbone.model.get_input_embeddings()(words)[None]], 1)
        each = backbone.model(inputs_embeds=whole).logits[0, prompt.shape[1] - 1 : -1].log_softmax(-1)
        sums.append(each.gather(1, words[:, None]).sum())
    return torch.stack(sums)


def test_beams_are_at_least_as_likely_as_greed(backbone: CausalBackbone, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = one_of_each(8)[:3]
    said: list[Tensor] = []
    # Not every row of bytes is a text: the ids are taken before they become one.
    monkeypatch.setattr(backbone.prompter, "read", lambda ids: said.append(ids) or [""] * len(ids))
    for beams in (1, 4):
        backbone.generate(Batch.collate(samples), Generation(beams=beams, max_tokens=3, min_tokens=3))
    greedy, searched = (log_likelihood(backbone, samples, ids) for ids in said)
    assert all(ids.shape == (3, 3) for ids in said)
    assert (searched >= greedy - 1e-4).all() and (searched > greedy + 1e-4).any()


def test_a_modality_that_the_backbone_lacks_is_named(backbone: CausalBackbone) -> None:
    sample = random_sample(np.random.default_rng(9), "image")
    other = dataclasses.replace(sample, tokens={"smell": sample.tokens["image"]})
    with pytest.raises(ValueError, match="the backbone has no modality smell"):
        backbone(Batch.collate([other]), ["a chair"])


def test_the_language_model_and_pretrained_encoders_are_frozen(backbone: CausalBackbone) -> None:
    trains = {name.split(".")[0] for name, value in backbone.named_parameters() if value.requires_grad}
    assert trains == {"entries", "connector", "encoders"}
    learned = {name for name, value in backbone.named_parameters() if value.requires_grad and "encoders" in name}
    assert all(name.startswith("encoders.point_cloud.") for name in learned)


def test_questions_may_differ_within_a_batch(backbone: CausalBackbone) -> None:
    rng = np.random.default_rng(10)
    one = random_sample(rng, "image")
    other = dataclasses.replace(one, target=QuestionAnswer("Which colour has the thing on the left?", ("red",)))
    with torch.no_grad():
        together, _ = backbone(Batch.collate([one, other]), ["red", "red"])
    assert abs(float(together[0] - together[1])) > 1e-3
