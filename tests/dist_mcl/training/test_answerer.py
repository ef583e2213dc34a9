"""Modalities learned in turn: what trains, what stays, what is saved."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dist_mcl.adapter_config import AdapterInAdapter, FullFineTuning, LoRAAdapter, ModalityAdapter, NoAdapter
from dist_mcl.answer_config import Generation
from dist_mcl.errors import UserError
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.answerer import Answerer

from ..backbones.causal_samples import one_of_each, tiny

SITES = (
    {"role": "connector", "suffixes": ("linear_1", "linear_2"), "count": 2},
    {"role": "decoder", "suffixes": ("q_proj", "v_proj"), "count": 4},
)
ADAPTER = AdapterInAdapter.model_validate({"kind": "adapter_in_adapter", "rank": 4, "sites": SITES})
SHARING = [
    LoRAAdapter.model_validate({"rank": 4, "sites": SITES}),
    FullFineTuning(kind="full"),
    NoAdapter(kind="none"),
]
IMAGE, VIDEO, AUDIO, _, POINTS = one_of_each()


def digest(tensors: dict[str, Tensor]) -> str:
    return hashlib.sha256(
        b"".join(name.encode() + value.numpy().tobytes() for name, value in tensors.items())
    ).hexdigest()


def frozen(model: Answerer) -> str:
    return digest({name: value.detach() for name, value in model.named_parameters() if not value.requires_grad})


def learn(model: Answerer, sample: Sample, steps: int = 3) -> None:
    """A few steps; everything that trains must move, and nothing else may."""
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.trainable(), lr=0.05)
    model.train()
    for _ in range(steps):
        sums, counts, _ = model(Batch.collate([sample]))
        optimizer.zero_grad()
        (sums.sum() / counts.sum()).backward()
        optimizer.step()
    model.eval()
    moved = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved <= {name for name, value in model.named_parameters() if value.requires_grad}
    assert moved


def losses(model: Answerer, samples: list[Sample]) -> Tensor:
    with torch.no_grad():
        return model(Batch.collate(samples))[0]


def learned(adapter: ModalityAdapter, folder: Path) -> tuple[Answerer, Tensor]:
    """A model that learned image and then video, and what it made of the image before that."""
    model = Answerer(tiny())
    model.begin(["image"], adapter, seed=1)
    learn(model, IMAGE)
    model.save(folder / "image")
    after_own_stage = losses(model, [IMAGE])
    model.begin(["video"], adapter, seed=2)
    learn(model, VIDEO)
    model.save(folder / "video")
    return model, after_own_stage


def test_adapters_leave_what_was_learned_as_it_was_bit_for_bit(tmp_path: Path) -> None:
    model, after_own_stage = learned(ADAPTER, tmp_path)
    assert torch.equal(losses(model, [IMAGE]), after_own_stage)
    video = losses(model, [VIDEO])
    model.begin(["audio"], ADAPTER, seed=3)
    learn(model, AUDIO)
    assert torch.equal(losses(model, [IMAGE]), after_own_stage) and torch.equal(losses(model, [VIDEO]), video)
    mixed = losses(model, [AUDIO, IMAGE, VIDEO])
    apart = torch.cat([losses(model, [sample]) for sample in (AUDIO, IMAGE, VIDEO)])
    torch.testing.assert_close(mixed, apart, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("adapter", SHARING, ids=lambda adapter: adapter.kind)
def test_what_is_shared_is_trained_on_and_forgets(tmp_path: Path, adapter: ModalityAdapter) -> None:
    model, after_own_stage = learned(adapter, tmp_path)
    assert not torch.allclose(losses(model, [IMAGE]), after_own_stage, atol=0.01)


@pytest.mark.parametrize("adapter", [ADAPTER, *SHARING], ids=lambda adapter: adapter.kind)
def test_saved_folders_bring_back_every_modality(tmp_path: Path, adapter: ModalityAdapter) -> None:
    model, _ = learned(adapter, tmp_path)
    again = Answerer(tiny())
    again.load([([name], tmp_path / name) for name in ("image", "video")])
    assert torch.equal(losses(again, [IMAGE]), losses(model, [IMAGE]))
    assert torch.equal(losses(again, [VIDEO]), losses(model, [VIDEO]))
    assert not again.trainable()


def trained_names(model: Answerer) -> set[str]:
    return {name.removeprefix("backbone.") for name, value in model.named_parameters() if value.requires_grad}


def test_one_lora_is_trained_on_and_the_connector_in_the_first_stage_alone(tmp_path: Path) -> None:
    model, _ = learned(SHARING[0], tmp_path)
    later = trained_names(model)
    layers = {name.split(".lora_")[0] for name in later if ".lora_" in name}
    assert len(layers) == 6 and {name.split(".")[0] for name in layers} == {"connector", "model"}
    assert {name for name in later if ".lora_" not in name} == {
        f"entries.video.{part}" for part in ("norm.weight", "norm.bias")
    }
    loras = [load_file(tmp_path / name / "adapter_model.safetensors") for name in ("image", "video")]
    assert loras[0].keys() == loras[1].keys() and digest(loras[0]) != digest(loras[1])
    first = load_file(tmp_path / "image" / "trained.safetensors")
    assert {name.split(".")[0] for name in first} == {"entries", "connector"}


def test_full_fine_tuning_trains_the_roles_that_are_named() -> None:
    model = Answerer(tiny())
    model.begin(["image"], FullFineTuning(kind="full"), seed=1)
    assert {name.split(".")[0] for name in trained_names(model)} == {"entries", "connector", "model"}
    assert "model.model.embed_tokens.weight" in trained_names(model)
    model.begin(["video"], FullFineTuning(kind="full", roles=("decoder",)), seed=2)
    assert {name.split(".")[0] for name in trained_names(model)} == {"entries", "model"}
    with pytest.raises(UserError, match=r"model\.adapter\.roles: 'qformer': this backbone has connector, decoder"):
        model.begin(["audio"], FullFineTuning(kind="full", roles=("qformer",)), seed=3)


def test_of_what_later_stages_trained_again_the_newest_is_read_alone(tmp_path: Path) -> None:
    model, _ = learned(SHARING[1], tmp_path)
    path = tmp_path / "image" / "trained.safetensors"
    tensors = load_file(path)
    save_file({name: value if "entries" in name else value[:0] for name, value in tensors.items()}, path)
    again = Answerer(tiny())
    again.load([([name], tmp_path / name) for name in ("image", "video")])
    assert torch.equal(losses(again, [IMAGE, VIDEO]), losses(model, [IMAGE, VIDEO]))


def test_what_trains_in_full_is_fp32_beside_a_backbone_in_bf16(tmp_path: Path) -> None:
    model = Answerer(tiny().use_bf16())
    model.begin(["image"], SHARING[1], seed=1)
    assert {value.dtype for value in model.trainable()} == {torch.float32}
    learn(model, IMAGE)
    model.save(tmp_path)
    again = Answerer(tiny().use_bf16())
    again.load([(["image"], tmp_path)])
    assert torch.equal(losses(again, [IMAGE]), losses(model, [IMAGE]))


@pytest.mark.parametrize("adapter", SHARING, ids=lambda adapter: adapter.kind)
def test_modalities_that_are_learned_at_once_train_together(tmp_path: Path, adapter: ModalityAdapter) -> None:
    model = Answerer(tiny())
    model.begin(["image", "depth"], adapter, seed=1)
    assert {name.split(".")[1] for name in trained_names(model) if "entries" in name} == {"image", "depth"}
    learn(model, IMAGE)
    model.save(tmp_path)
    again = Answerer(tiny())
    again.load([(["image", "depth"], tmp_path)])
    assert torch.equal(losses(again, [IMAGE]), losses(model, [IMAGE]))
    with pytest.raises(ValueError, match="depth is learned already"):
        again.begin(["depth"], adapter, seed=2)


def test_independent_adapters_use_none_of_other_modalities(tmp_path: Path) -> None:
    """The control of adapter-in-adapter: nothing is forgotten, and nothing is passed on but where an entry begins."""
    model, _ = learned(ADAPTER, tmp_path)
    independent = ADAPTER.model_copy(update={"parents": "none"})
    video = losses(model, [VIDEO])
    model.begin(["audio"], independent, seed=3)
    assert not [name for name in trained_names(model) if "ana_inner" in name or "ana_gate" in name]
    learn(model, AUDIO)
    audio = losses(model, [AUDIO])
    assert torch.equal(losses(model, [VIDEO]), video)
    with torch.no_grad():
        for name, value in model.named_parameters():
            if "ana_" in name and ".video" in name:
                value.zero_()
    assert torch.equal(losses(model, [AUDIO]), audio) and not torch.equal(losses(model, [VIDEO]), video)


@pytest.mark.parametrize("parents", ["chain", "none"])
def test_own_modules_begin_as_those_learned_just_before_whatever_the_parents(tmp_path: Path, parents: str) -> None:
    model, _ = learned(ADAPTER, tmp_path)
    video = {name: value.clone() for name, value in model.backbone.entries["video"].state_dict().items()}
    model.begin(["depth"], ADAPTER.model_copy(update={"parents": parents}), seed=3)
    torch.testing.assert_close(dict(model.backbone.entries["depth"].state_dict()), video, rtol=0, atol=0)
    image = model.backbone.entries["image"].norm.weight
    assert not torch.equal(model.backbone.entries["depth"].norm.weight, image)


def test_a_later_modality_trains_its_own_and_nothing_else() -> None:
    model = Answerer(tiny())
    model.begin(["image"], ADAPTER, seed=1)
    assert {name.split(".")[1] for name, value in model.named_parameters() if value.requires_grad} == {
        "entries",
        "connector",
    }
    before = digest({name: value.detach() for name, value in model.backbone.model.named_parameters()})
    model.begin(["point_cloud"], ADAPTER, seed=2)
    names = {name for name, value in model.named_parameters() if value.requires_grad}
    own = ("backbone.entries.point_cloud.", "backbone.encoders.point_cloud.")
    assert all(name.startswith(own) or "point_cloud" in name.split(".") for name in names)
    unchanged = frozen(model)
    learn(model, POINTS)
    assert frozen(model) == unchanged
    assert before == digest(
        {
            name.replace(".base_layer", ""): value.detach()
            for name, value in model.backbone.model.named_parameters()
            if "ana_" not in name
        }
    )


def test_adapters_on_the_last_layers_queries_alone_have_no_gradient(tmp_path: Path) -> None:
    """docs/causal.md says so: nobody reads what the last layer makes of media tokens."""
    model, _ = learned(ADAPTER, tmp_path)
    for parameter in model.trainable():
        parameter.grad = None
        parameter.data += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    model.train()(Batch.collate([VIDEO])).surprise.sum().backward()
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    idle = {name.split(".ana_")[0] for name, value in trained.items() if value.grad is None or not value.grad.any()}
    assert idle == {"backbone.model.model.layers.1.self_attn.q_proj"}


@pytest.mark.parametrize("beams", [1, 2])
def test_generation_takes_each_samples_own_path(tmp_path: Path, beams: int) -> None:
    model, _ = learned(ADAPTER, tmp_path)
    how = Generation(max_tokens=5, beams=beams)
    samples = [VIDEO, IMAGE]
    together = model.backbone.generate(Batch.collate(samples), how)
    assert together == [model.backbone.generate(Batch.collate([sample]), how)[0] for sample in samples]
    base = Answerer(tiny())
    base.load([(["image"], tmp_path / "image")])
    assert base.backbone.generate(Batch.collate([IMAGE]), how) == together[1:]


def test_candidates_are_words_whatever_modality_is_active(tmp_path: Path) -> None:
    model, _ = learned(ADAPTER, tmp_path)
    texts = ["yes", "no", "left"]
    for sample in (IMAGE, VIDEO):
        (found,) = model.backbone.rank(Batch.collate([sample]), [texts])
        with torch.no_grad():
            sums, counts = model.backbone(Batch.collate([sample] * len(texts)), texts)
        torch.testing.assert_close(found, sums / counts, atol=1e-4, rtol=1e-5)


def test_adapters_go_on_the_connector_where_no_sites_are_said() -> None:
    model = Answerer(tiny())
    model.begin(["image"], ADAPTER, seed=1)
    model.begin(["video"], ADAPTER.model_copy(update={"sites": ()}), seed=2)
    model.begin(["audio"], ADAPTER.model_copy(update={"sites": ()}), seed=2)
    adapted = {name.split(".ana_")[0] for name, _ in model.named_parameters() if ".ana_" in name}
    assert adapted == {"backbone.connector.linear_1", "backbone.connector.linear_2"}


def changed_first_value(part: torch.nn.Module) -> None:
    with torch.no_grad():
        next(part.parameters()).view(-1)[0] += 1e-3


def test_a_modality_is_refused_on_another_base_though_only_the_connector_has_sites(tmp_path: Path) -> None:
    on_connector = ADAPTER.model_copy(update={"sites": ()})
    learned(on_connector, tmp_path)
    folders = [([name], tmp_path / name) for name in ("image", "video")]
    places = {"model.lm_head": "model", "model.model.layers.1.mlp": "model", "encoders.video": "encoders.video"}
    for place, base in places.items():
        other = tiny()
        changed_first_value(other.get_submodule(place))
        with pytest.raises(UserError, match=f"video was trained on another base: {base} differs"):
            Answerer(other).load(folders)
    other = tiny()
    for own in ("entries.depth", "encoders.point_cloud"):  # of modalities that are not learned yet
        changed_first_value(other.get_submodule(own))
    Answerer(other).load(folders)


def test_mistakes_are_named(tmp_path: Path) -> None:
    model = Answerer(tiny())
    model.begin(["image"], ADAPTER, seed=1)
    with pytest.raises(ValueError, match="image is learned already"):
        model.begin(["image"], ADAPTER, seed=1)
    parents = AdapterInAdapter.model_validate({**ADAPTER.model_dump(), "parents": {"video": ["audio"]}})
    with pytest.raises(UserError, match=r"model\.adapter\.parents\.video: audio is not learned before video"):
        model.begin(["video"], parents, seed=1)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "trained.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match="cannot be read"):
        Answerer(tiny()).load([(["image"], tmp_path / "broken")])
