"""The backbone `qformer`: equal to Hugging Face's on pictures and clips, and five modalities that do not disturb."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    InstructBlipForConditionalGeneration,
    InstructBlipVideoConfig,
    InstructBlipVideoForConditionalGeneration,
    PreTrainedModel,
)

from dist_mcl.adapter_config import AdapterInAdapter
from dist_mcl.adapters.adapter_in_adapter import (
    ModalityPaths,
    add_modality,
    load_modalities,
    modality_parameters,
    peft_config,
    save_modality,
)
from dist_mcl.answer_config import Generation
from dist_mcl.backbones.causal_tiny import byte_tokenizer
from dist_mcl.backbones.qformer import QFormerBackbone, Units
from dist_mcl.backbones.qformer_folder import assemble, layout, open_instructblip, untrained_qformer
from dist_mcl.encoder_config import HuggingFaceFeatures, InstructBlipFeatures, Medium, VectorFeatures
from dist_mcl.errors import UserError
from dist_mcl.modalities.features import Vectors
from dist_mcl.packages.pretrained import checkpoint_files
from dist_mcl.qformer_config import QFormerConfig
from dist_mcl.tokens import Batch, PackedTokens, QuestionAnswer, Sample, Tokens

PICTURES = InstructBlipFeatures()
MEDIA = {
    "image": Medium(place="here", encoder=PICTURES, cue="image: "),
    "video": Medium(place="here", encoder=PICTURES, cue="video: ", units=True),
    "audio": Medium(place="here", encoder=VectorFeatures(kind="vectors", features=24), cue="audio: ", units=True),
    "depth": Medium(place="here", encoder=PICTURES, cue="depth: "),
    "point_cloud": Medium(place="here", encoder=VectorFeatures(kind="vectors", features=20), cue="3d: "),
}
SITES = [
    {
        "role": "qformer",
        "suffixes": ["query", "key", "value", "attention.output.dense", "crossattention.output.dense"],
        "count": 12,
    },
    {"role": "connector", "suffixes": ["language_projection"], "count": 1, "gate": "none", "in_adapter": "none"},
]
ADAPTER = AdapterInAdapter.model_validate({"kind": "adapter_in_adapter", "rank": 4, "sites": SITES})
CONFIG = QFormerConfig.model_validate({"kind": "qformer", "layout": "tiny"})


def make(media: Mapping[str, Medium] = MEDIA) -> QFormerBackbone:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = untrained_qformer(CONFIG, media, checkpoint_files(CONFIG, media))
    backbone.paths = ModalityPaths(backbone)
    return backbone


def medium(name: str, rng: np.random.Generator) -> Tokens:
    def whole(values: NDArray[np.generic], grid: tuple[int, ...]) -> Tokens:
        return Tokens.full(values, grid)

    if name == "image":
        return whole(rng.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8), (2, 2))
    if name == "video":
        return whole(rng.integers(0, 256, (8, 2, 8, 8, 3), dtype=np.uint8), (2, 2, 2))
    if name == "depth":
        return whole(rng.integers(0, 65536, (4, 16, 16), dtype=np.uint16), (2, 2))
    if name == "audio":
        return Vectors(units=2).encode(rng.normal(size=(6, 24)).astype(np.float32))
    return whole(rng.normal(size=(5, 20)).astype(np.float16), (5,))


def sample(number: int, *modalities: str) -> Sample:
    rng = np.random.default_rng(number)
    asked = QuestionAnswer(f"what is {number}?", (f"a thing {number}",))
    return Sample({name: medium(name, rng) for name in modalities}, asked, number, 1)


def batch(*samples: Sample) -> Batch:
    return Batch.collate(samples)


@torch.no_grad()
def loss(backbone: QFormerBackbone, *samples: Sample) -> Tensor:
    return backbone(batch(*samples), [one.target.answers[0] for one in samples])[0]


def learn(backbone: QFormerBackbone, modality: str, steps: int = 2) -> None:
    """A stage: adapters, the modality's own modules, and some training."""
    later = list(MEDIA)[1:]
    place = later.index(modality)
    own = backbone.own_modules(modality)
    parents = ADAPTER.parents_of(modality, tuple(later[:place]))
    backbone.begin_as(modality, later[place - 1] if place else "image")
    config = peft_config(backbone, backbone.roles, ADAPTER, parents, own)
    add_modality(backbone, modality, config, seed=place)
    optimiser = torch.optim.AdamW([one for one in backbone.parameters() if one.requires_grad], lr=0.01)
    backbone.train()
    for step in range(steps):
        samples = [sample(1000 + 2 * step + number, modality) for number in range(2)]
        optimiser.zero_grad()
        backbone(batch(*samples), [one.target.answers[0] for one in samples])[0].mean().backward()
        optimiser.step()
    backbone.eval()


def save_checkpoint(model: PreTrainedModel, folder: Path) -> None:
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder / "qformer_tokenizer")


def test_a_picture_is_read_as_hugging_faces_instructblip_reads_it(tmp_path: Path) -> None:
    torch.manual_seed(0)
    theirs = InstructBlipForConditionalGeneration(layout("tiny")).eval()
    with torch.no_grad():
        theirs.query_tokens.normal_()
        theirs.vision_model.post_layernorm.weight.normal_()
    save_checkpoint(theirs, tmp_path)
    ours = assemble(*open_instructblip(tmp_path), MEDIA, CONFIG.prompt, {})
    one = sample(0, "image")
    embeddings = ours.media(batch(one))["image"].embeddings
    picture = (
        torch.from_numpy(one.tokens["image"].values).view(2, 2, 16, 16, 3).permute(4, 0, 2, 1, 3).reshape(3, 32, 32)
    )
    encoder = ours.encoders["image"]
    words = byte_tokenizer()(one.target.question, return_tensors="pt")
    with torch.no_grad():
        expected = theirs.get_image_features(
            pixel_values=((picture / 255 - encoder.mean) / encoder.deviation)[None],
            qformer_input_ids=words.input_ids,
            qformer_attention_mask=words.attention_mask,
        ).pooler_output[0]
    assert torch.allclose(embeddings, expected, atol=1e-5)


def test_a_clip_is_read_and_answered_as_hugging_faces_instructblip_video_does(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = layout("tiny")
    parts = {name: getattr(sizes, name).to_dict() for name in ("vision_config", "qformer_config", "text_config")}
    theirs = InstructBlipVideoForConditionalGeneration(InstructBlipVideoConfig(**parts, num_query_tokens=4)).eval()
    with torch.no_grad():
        theirs.query_tokens.normal_()
        theirs.vision_model.post_layernorm.weight.normal_()
    save_checkpoint(theirs, tmp_path)
    clips = Medium(place="here", encoder=PICTURES, cue="", units=True)
    ours = assemble(*open_instructblip(tmp_path), {"video": clips}, "{media}{question}", {})
    values = np.random.default_rng(0).integers(0, 256, (8, 2, 16, 16, 3), dtype=np.uint8)
    clip = batch(replace(sample(0), tokens={"video": Tokens.full(values, (2, 2, 2))}))
    # Two tubelets of two frames, each of 2 x 2 patches.
    frames = torch.from_numpy(values).view(2, 2, 2, 2, 16, 16, 3).permute(0, 3, 6, 1, 4, 2, 5).reshape(4, 3, 32, 32)
    encoder = ours.encoders["video"]
    words = byte_tokenizer()(clip.questions[0].question, return_tensors="pt")
    with torch.no_grad():
        shown = theirs.get_video_features(
            pixel_values=((frames / 255 - encoder.mean) / encoder.deviation)[None],
            qformer_input_ids=words.input_ids,
            qformer_attention_mask=words.attention_mask,
        ).pooler_output
        prompt = torch.cat([shown, theirs.get_input_embeddings()(words.input_ids)], 1)
        said = theirs.language_model.generate(
            inputs_embeds=prompt, max_new_tokens=4, min_new_tokens=4, do_sample=False, eos_token_id=256
        )
    assert torch.allclose(ours.media(clip)["video"].embeddings, shown[0], atol=1e-5)
    assert ours.generate(clip, Generation(max_tokens=4, min_tokens=4)) == ours.prompter.read(said)


def test_clips_and_recordings_go_through_the_qformer_unit_by_unit() -> None:
    backbone = make()
    media = backbone.media(batch(sample(0, "video", "audio", "point_cloud"), sample(1, "video")))
    queries = 4
    assert media["video"].lengths.tolist() == [4 * queries, 4 * queries]  # two tubelets of two frames
    assert media["audio"].lengths.tolist() == [2 * queries, 0]
    assert media["point_cloud"].lengths.tolist() == [queries, 0]
    assert media["video"].positions.tolist() == [*range(16), *range(16)]
    alone = backbone.media(batch(sample(1, "video")))["video"].embeddings
    assert torch.allclose(media["video"].embeddings[16:], alone, atol=1e-5)


def test_a_unit_of_which_nothing_was_kept_is_not_there_and_the_others_keep_their_places() -> None:
    whole = medium("audio", np.random.default_rng(0))
    kept = whole.take(np.array([3, 5]))  # of the second of two windows
    masked = replace(sample(0), tokens={"audio": kept})
    media = make().media(batch(masked))["audio"]
    assert media.positions.tolist() == [4, 5, 6, 7] and media.lengths.tolist() == [8]


def test_units_of_ragged_samples() -> None:
    packed = PackedTokens(
        values=torch.arange(6.0)[:, None],
        positions=torch.tensor([0, 1, 3, 0, 4, 5]),
        sample=torch.tensor([0, 0, 0, 2, 2, 2]),
        grids=torch.tensor([[2, 2], [0, 0], [3, 2]]),
    )
    units = Units.of(packed.values, packed, has_units=True)
    assert units.sample.tolist() == [0, 0, 2, 2] and units.number.tolist() == [0, 1, 0, 2]
    assert units.features[..., 0].tolist() == [[0, 1], [2, 0], [3, 0], [4, 5]]
    assert units.mask.tolist() == [[1, 1], [1, 0], [1, 0], [1, 1]] and units.counts.tolist() == [2, 0, 3]
    one = Units.of(packed.values, packed, has_units=False)
    assert one.features[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]] and one.counts.tolist() == [1, 0, 1]


def test_five_stages_leave_every_earlier_modality_bit_for_bit_as_it_was(tmp_path: Path) -> None:
    backbone = make()
    shown = {name: [sample(number, name) for number in range(2)] for name in MEDIA}
    frozen = {name: value.clone() for name, value in backbone.state_dict().items() if "entries" not in name}
    after_own_stage = {}
    for name in MEDIA:
        if name != "image":
            learn(backbone, name)
            save_modality(backbone, name, tmp_path / name)
        after_own_stage[name] = loss(backbone, *shown[name])
    for name, expected in after_own_stage.items():
        assert torch.equal(loss(backbone, *shown[name]), expected), name
    now = {name.replace(".base_layer", ""): value for name, value in backbone.state_dict().items()}
    assert all(torch.equal(now[name], value) for name, value in frozen.items())
    again = make()
    load_modalities(again, tmp_path, "point_cloud")
    for name, expected in after_own_stage.items():
        assert torch.equal(loss(again, *shown[name]), expected), name


def test_a_batch_of_all_modalities_is_what_each_is_by_itself() -> None:
    backbone = make()
    for name in list(MEDIA)[1:]:
        learn(backbone, name, steps=1)
    samples = [sample(number, name) for number, name in enumerate(MEDIA)]
    together = loss(backbone, *samples)
    alone = torch.cat([loss(backbone, one) for one in samples])
    assert torch.allclose(together, alone, rtol=1e-5, atol=1e-4)


def test_only_the_modalitys_own_trains() -> None:
    backbone = make()
    learn(backbone, "video", steps=1)
    learn(backbone, "audio", steps=0)
    backbone.zero_grad()
    one = sample(0, "audio")
    backbone.train()(batch(one), one.target.answers)[0].sum().backward()
    reached = {name for name, parameter in backbone.named_parameters() if parameter.grad is not None}
    own = modality_parameters(backbone, "audio")
    assert reached == set(own)
    assert {name.removeprefix("entries.audio.") for name in own if name.startswith("entries")} == {
        "queries",
        "norm.weight",
        "norm.bias",
        "lift.weight",
        "lift.bias",
    }


def test_a_modality_begins_with_its_parents_queries_and_with_a_norm_that_fits() -> None:
    backbone = make()
    with torch.no_grad():
        backbone.entry("video").queries.normal_()
        backbone.entry("video").norm.weight.normal_()
    backbone.begin_as("audio", "video")
    backbone.begin_as("depth", "video")
    video, audio, depth = (backbone.entry(name) for name in ("video", "audio", "depth"))
    assert torch.equal(audio.queries, video.queries) and torch.equal(depth.norm.weight, video.norm.weight)
    assert torch.equal(audio.norm.weight, torch.ones(24))


def test_any_picture_encoder_of_hugging_face(tmp_path: Path) -> None:
    sizes = {"hidden_size": 20, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=24, patch_size=8)).save_pretrained(tmp_path)
    encoder = HuggingFaceFeatures(kind="huggingface", path=str(tmp_path))
    backbone = make({"image": Medium(place="here", encoder=encoder, cue="")})
    masked = replace(sample(0), tokens={"image": medium("image", np.random.default_rng(0)).take(np.array([0]))})
    features = backbone.prepare([masked])[0].tokens["image"]
    assert features.values.shape == (1 + 4, 20) and features.grid == (10,)  # the class token, and 2 x 2 cells of 3 x 3
    assert backbone.media(batch(masked))["image"].embeddings.shape == (4, 32)


def test_folders_of_something_else_get_one_clear_line(tmp_path: Path) -> None:
    def refusal() -> str:
        with pytest.raises(UserError) as caught:
            open_instructblip(tmp_path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "model_type None" in refusal()
    (tmp_path / "config.json").write_text('{"model_type": "vilt"}')
    assert "holds no InstructBLIP (config.json says model_type 'vilt')" in refusal()
    config = layout("tiny")
    config.save_pretrained(tmp_path)
    assert "cannot be read" in refusal()
    (tmp_path / "config.json").write_text('{"model_type": "instructblip", "text_config": {"model_type": "t5"}}')
    assert "'t5' has an encoder" in refusal()
