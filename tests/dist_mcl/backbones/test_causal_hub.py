"""Hugging Face's own image-text-to-text models behind our interface, with tiny sizes and random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from dist_mcl.answer_config import Generation
from dist_mcl.backbones.causal_folder import open_multimodal_model, open_tokenizer
from dist_mcl.backbones.causal_hub import HubCausalBackbone
from dist_mcl.causal_config import CausalConfig
from dist_mcl.config import AttentionScores, Exemplars
from dist_mcl.encoder_config import HuggingFaceFeatures, Medium, PictureFeatures
from dist_mcl.errors import UserError
from dist_mcl.exemplars.questions import QuestionMasking
from dist_mcl.packages.pretrained import reads_pictures
from dist_mcl.tokens import Batch, QuestionAnswer, Sample, Tokens

from .tiny_llava import PATCH, PLACEHOLDER, PROMPT, SIDE, save_llava

MEDIA = {"image": Medium(place="here", encoder=PictureFeatures(), cue="")}


@pytest.fixture(scope="module")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llava")
    save_llava(folder)
    return folder


def config(**changes: object) -> CausalConfig:
    given = {"kind": "causal", "path": "x", "prompt": PROMPT, **changes}
    return TypeAdapter(CausalConfig).validate_python(given)


@pytest.fixture(scope="module")
def backbone(llava: Path) -> HubCausalBackbone:
    return open_multimodal_model(llava, open_tokenizer(llava), config(), MEDIA, {}, 0)


def test_without_weights_it_has_the_same_modules(backbone: HubCausalBackbone, llava: Path) -> None:
    with torch.device("meta"):
        empty = open_multimodal_model(llava, open_tokenizer(llava), config(), MEDIA, {}, 0, with_weights=False)
    shapes = [{name: value.shape for name, value in one.named_parameters()} for one in (empty, backbone)]
    assert shapes[0] == shapes[1] and empty.roles.keys() == backbone.roles.keys()
    assert {value.device.type for value in empty.parameters()} == {"meta"}


def picture(seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 256, (16, PATCH, PATCH, 3), dtype=np.uint8)
    return Sample({"image": Tokens.full(values, (4, 4))}, QuestionAnswer("What is it?", ("a cat",)), seed, stage=1)


def without(sample: Sample, dropped: list[int]) -> Sample:
    whole = sample.tokens["image"]
    keep = [place for place in range(16) if place not in dropped]
    return Sample(
        {"image": Tokens(whole.values[keep], whole.positions[keep], whole.grid)}, sample.target, sample.id, sample.stage
    )


def test_a_whole_picture_is_read_as_hugging_face_reads_it(backbone: HubCausalBackbone, llava: Path) -> None:
    assert reads_pictures(llava)
    sample = picture(0)
    tokenizer = open_tokenizer(llava)
    before, after = (tokenizer(text).input_ids for text in ("USER: ", "\nWhat is it? ASSISTANT:"))
    answer = [*tokenizer("a cat").input_ids, tokenizer.eos_token_id]
    ids = torch.tensor([[*before, *[PLACEHOLDER] * 16, *after, *answer]])
    pixels = torch.from_numpy(sample.tokens["image"].values.reshape(4, 4, PATCH, PATCH, 3)).permute(4, 0, 2, 1, 3)
    values = (pixels.reshape(1, 3, SIDE, SIDE).float() / 255 - 0.5) / 0.5
    with torch.no_grad():
        logits = backbone.model(input_ids=ids, pixel_values=values).logits[0, -len(answer) - 1 : -1]
        expected = torch.nn.functional.cross_entropy(logits, torch.tensor(answer), reduction="sum")
        found, _ = backbone(Batch.collate([sample]), ["a cat"])
    torch.testing.assert_close(found[0], expected, atol=1e-4, rtol=1e-5)


def test_placeholders_of_dropped_tokens_are_as_good_as_hidden(backbone: HubCausalBackbone) -> None:
    whole, gone = picture(1), [0, 5, 6, 15]
    less = without(whole, gone)
    with torch.no_grad():
        # What the picture encoder sees is the same in both: the picture with grey where patches were dropped.
        media = backbone.media(Batch.collate([less]))
        grey = Tokens.full(whole.tokens["image"].values.copy(), (4, 4))
        grey.values[gone] = 127
        everything = backbone.media(Batch.collate([Sample({"image": grey}, whole.target, 1, stage=1)]))
        sequences = backbone.prompter.sequences(everything, ["What is it?"], ["a cat"])
        mask = sequences.mask.clone()
        mask[0, sequences.media["image"][0].nonzero()[gone, 0]] = 0
        logits = backbone.model(
            inputs_embeds=sequences.fill(backbone.model.get_input_embeddings()(sequences.ids), everything),
            attention_mask=mask,
            position_ids=sequences.positions,
            logits_to_keep=sequences.predicts,
        ).logits
        expected = torch.nn.functional.cross_entropy(logits, sequences.answers, reduction="sum")
        found, _ = backbone(Batch.collate([less]), ["a cat"])
    assert len(media["image"].positions) == 12
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-6)


def test_batches_of_whole_and_incomplete_pictures_answer_as_each_alone(backbone: HubCausalBackbone) -> None:
    samples = [picture(2), without(picture(3), [1, 2, 3]), picture(4)]
    together = backbone.generate(Batch.collate(samples), Generation(max_tokens=5))
    assert together == [backbone.generate(Batch.collate([one]), Generation(max_tokens=5))[0] for one in samples]


def test_masks_see_the_projectors_cells_whatever_the_tokens_are(backbone: HubCausalBackbone) -> None:
    values = np.random.default_rng(5).integers(0, 256, (36, PATCH, PATCH, 3), dtype=np.uint8)
    sample = Sample({"image": Tokens.full(values, (6, 6))}, QuestionAnswer("What is it?", ("a cat",)), 5, stage=1)
    (found,) = backbone.attended(Batch.collate(backbone.prepare([sample])), ["a cat"], AttentionScores()).scores
    assert found["image"].grid == (4, 4) and found["image"].positions.tolist() == list(range(16))
    masked = QuestionMasking(Exemplars(), seed=0)(sample, found)
    assert 0 < len(masked.tokens["image"]) < 36


@torch.no_grad()
def test_it_answers_in_training_as_otherwise(tmp_path: Path) -> None:
    save_llava(tmp_path, dropout=0.5)
    backbone = open_multimodal_model(tmp_path, open_tokenizer(tmp_path), config(), MEDIA, {}, 0)
    asked, _ = backbone(Batch.collate([picture(6)]), ["a cat"])
    assert torch.equal(backbone.train()(Batch.collate([picture(6)]), ["a cat"])[0], asked)


def test_it_has_a_connector_and_a_decoder_and_all_is_frozen(backbone: HubCausalBackbone) -> None:
    assert {name for name, _ in backbone.roles["connector"].named_parameters()} >= {"linear_1.weight"}
    assert any(name.endswith("q_proj.weight") for name, _ in backbone.roles["decoder"].named_parameters())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())


def test_what_it_cannot_do_is_refused(llava: Path) -> None:
    tokenizer = open_tokenizer(llava)

    def refused(reason: str, given: CausalConfig, image: Medium = MEDIA["image"], folder: Path = llava) -> None:
        with pytest.raises(UserError, match=reason):
            open_multimodal_model(folder, tokenizer, given, {"image": image}, {}, 0)

    refused(r"^model\.backbone\.layers: .* is taken whole; leave layers out", config(layers=1))
    other = MEDIA["image"].model_copy(update={"encoder": HuggingFaceFeatures(kind="huggingface", path="google/vit")})
    refused(r"^here\.encoder: .* reads pictures itself; leave the encoder out", config(), other)
    refused("the language model's tokenizer has no chat template", config(prompt=None))
    refused(r"^model\.backbone\.prompt: 'what\?'; write \{media\} once", config(prompt="what?"))
    refused("holds no model like LLaVA that can be read", config(), folder=llava / "nowhere")
