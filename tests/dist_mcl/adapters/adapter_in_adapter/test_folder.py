"""Folders of modalities: bit for bit, with what they build on, and refused on anything else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dist_mcl.adapters.adapter_in_adapter import (
    BaseDigests,
    add_modality,
    load_modalities,
    load_modality,
    modality_parameters,
    peft_config,
    save_modality,
)
from dist_mcl.errors import UserError

from .models import CHAIN, Model, config_of, learn, learned, make_model
from .test_layer import inputs, look, state_of

FILES = ["adapter_config.json", "adapter_model.safetensors", "manifest.json"]


@pytest.fixture
def saved(tmp_path: Path) -> tuple[Model, Path]:
    model = learned({"video": [], "audio": ["video"], "depth": ["video"], "imu": ["audio"]})
    for modality in ("video", "audio", "depth", "imu"):
        save_modality(model, modality, tmp_path / modality)
    return model, tmp_path


def test_every_modality_comes_back_bit_for_bit(saved: tuple[Model, Path], tmp_path: Path) -> None:
    model, root = saved
    again = make_model()
    for modality in ("imu", "depth"):
        load_modalities(again, root, modality)
    assert list(again.peft_config) == ["video", "audio", "imu", "depth"]
    x = inputs(3, 12)
    for modality in ("image", "video", "audio", "depth", "imu"):
        assert torch.equal(look(again, modality, x), look(model, modality, x))
    for modality in ("video", "audio", "imu"):
        save_modality(again, modality, tmp_path / "again")
        for name in FILES:
            assert (tmp_path / "again" / name).read_bytes() == (root / modality / name).read_bytes()


def test_a_folder_holds_only_what_is_the_modalitys_own(saved: tuple[Model, Path]) -> None:
    model, root = saved
    assert sorted(path.name for path in (root / "imu").iterdir()) == FILES
    tensors = load_file(root / "imu" / "adapter_model.safetensors")
    assert sum(map(torch.numel, tensors.values())) == sum(
        parameter.numel() for parameter in modality_parameters(model, "imu").values()
    )
    assert "base_model.model.body.inner.ana_down.weight" in tensors
    assert "base_model.model.entries.norms.imu.weight" in tensors
    manifest = json.loads((root / "imu" / "manifest.json").read_text())
    assert manifest["parents"] == ["audio"] and list(manifest["ancestors"]) == ["video", "audio"]
    audio = json.loads((root / "audio" / "manifest.json").read_text())
    assert manifest["ancestors"]["audio"] == audio["weights"] and manifest["base"] == audio["base"]


def test_what_is_loaded_goes_on_training(saved: tuple[Model, Path]) -> None:
    again = make_model()
    load_modalities(again, saved[1], "audio")
    trained = {name for name, parameter in again.named_parameters() if parameter.requires_grad}
    assert trained == set(modality_parameters(again, "audio"))
    add_modality(again, "points", peft_config(again, again.roles, config_of(), ["audio"]), seed=0)
    assert again.body["inner"].experts["points"] == ["video", "audio", "points"]


def refusal(model: Model, folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_modality(model, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_another_base_another_parent_and_no_parent_are_refused(saved: tuple[Model, Path]) -> None:
    root = saved[1]
    assert "audio builds on video, which is not loaded" in refusal(make_model(), root / "audio")
    assert "trained on another base: head differs" in refusal(make_model(seed=1), root / "video")
    for part in ("head", "body"):  # head carries no adapters
        other = make_model()
        with torch.no_grad():
            next(other.get_submodule(part).parameters()).view(-1)[0] += 1e-7
        assert f"trained on another base: {part} differs" in refusal(other, root / "video")
    other = make_model()
    load_modality(other, root / "video")
    with torch.no_grad():
        other.body["inner"].ana_up["video"].bias[0] += 1e-3
    trained_with = json.loads((root / "video" / "manifest.json").read_text())["weights"][:12]
    assert (
        "audio builds on another video than the one that is loaded; load the folder of video whose "
        f"adapter_model.safetensors has a SHA-256 of {trained_with}..., or train audio again"
    ) in refusal(other, root / "audio")
    assert list(other.peft_config) == ["video"]


def test_ancestors_in_another_order_are_refused(saved: tuple[Model, Path]) -> None:
    """They have the same shapes: in-adapters and gates would go with the wrong experts."""
    root = saved[1]
    model = make_model()
    load_modalities(model, root, "audio")
    path = root / "imu" / "adapter_config.json"
    text = path.read_text()
    assert json.loads(text)["ancestors"] == ["video", "audio"]
    path.write_text(changed(text, ancestors=["audio", "video"]))
    assert "adapter_config.json: not the file that its manifest means" in refusal(model, root / "imu")
    path.write_text(text)
    load_modality(model, root / "imu")


def test_the_base_is_looked_at_once_for_modalities_in_a_row(
    saved: tuple[Model, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_at = []
    made = BaseDigests._made
    monkeypatch.setattr(BaseDigests, "_made", lambda self, module: looked_at.append(module) or made(self, module))
    model = make_model()
    load_modalities(model, saved[1], "imu")
    assert looked_at == [model.head, model.body]


def test_the_digest_of_a_base_is_of_parameters_and_saved_buffers_each_once() -> None:
    def made(tied: bool = True, kept: float = 1.0, made_anew: float = 1.0, dtype: torch.dtype = torch.float32) -> str:
        part = torch.nn.ModuleDict({"words": torch.nn.Embedding(3, 2), "out": torch.nn.Linear(2, 3, bias=False)})
        weight = torch.nn.Parameter(torch.ones(3, 2, dtype=dtype))
        part["words"].weight, part["out"].weight = weight, weight if tied else torch.nn.Parameter(weight.clone())
        part["out"].register_buffer("kept", torch.tensor(kept))
        part["out"].register_buffer("made_anew", torch.tensor(made_anew), persistent=False)
        return BaseDigests(torch.nn.ModuleDict({"part": part})).of(["part"])["part"]

    assert made() == made() == made(made_anew=2)
    assert len({made(), made(tied=False), made(kept=2), made(dtype=torch.bfloat16)}) == 4


def test_what_cannot_be_loaded_leaves_nothing_behind(saved: tuple[Model, Path]) -> None:
    trained, root = saved
    model = make_model()
    model.entries.norms["video"] = torch.nn.LayerNorm(13)
    model.head.requires_grad_(False)
    assert "entries.norms.video.bias is missing on one side or differs in shape" in refusal(model, root / "video")
    assert isinstance(model.body["inner"], torch.nn.Linear) and not hasattr(model, "peft_config")
    assert {name.split(".")[0] for name, value in model.named_parameters() if value.requires_grad} == {
        "entries",
        "body",
    }
    model.entries.norms["video"] = torch.nn.LayerNorm(12)
    load_modality(model, root / "video")
    assert torch.equal(look(model, "video", inputs(2, 12)), look(trained, "video", inputs(2, 12)))
    with pytest.raises(ValueError, match="video has adapters on this backbone already"):
        load_modality(model, root / "video")
    assert torch.equal(look(model, "video", inputs(2, 12)), look(trained, "video", inputs(2, 12)))


@pytest.mark.parametrize("loaded", [None, "video"], ids=["a bare backbone", "one that has the oldest"])
@pytest.mark.parametrize("wrong", ["damaged", "ancestor", "base", "module"])
def test_a_row_of_modalities_of_which_one_cannot_be_loaded_leaves_nothing_behind(
    saved: tuple[Model, Path], loaded: str | None, wrong: str
) -> None:
    root, model = saved[1], make_model()
    model.head.requires_grad_(False)
    if loaded is not None:
        load_modalities(model, root, loaded)
    if wrong == "module":
        del model.entries.norms["imu"]
    elif wrong == "damaged":
        weights = root / "imu" / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        manifest = root / "imu" / "manifest.json"
        field = {"ancestor": {"ancestors": {"video": "0", "audio": "0"}}, "base": {"base": {"head": "0"}}}[wrong]
        manifest.write_text(changed(manifest.read_text(), **field))
    before, modules = state_of(model), [(name, type(module)) for name, module in model.named_modules()]
    with pytest.raises(UserError):
        load_modalities(model, root, "imu")
    assert state_of(model) == before and [(name, type(module)) for name, module in model.named_modules()] == modules
    assert hasattr(model, "peft_config") == (loaded is not None)
    load_modalities(model, root, "audio")  # which is whole


def test_the_base_is_the_same_with_and_without_adapters(saved: tuple[Model, Path]) -> None:
    model, root = saved
    save_modality(learned({"video": []}), "video", root / "first")
    first, later = (json.loads((root / name / "manifest.json").read_text())["base"] for name in ("first", "imu"))
    assert first == later
    tuner = model.body["inner"].switch.tuner
    tuner.merge_adapter(["video"])
    with pytest.raises(ValueError, match="merged into body"):
        save_modality(model, "video", root / "merged")


def test_a_base_module_that_is_an_adapted_layer_itself(tmp_path: Path) -> None:
    adapter = config_of(sites=[{"role": "head", "suffixes": ["head"], "count": 1}])
    model, again = make_model(), make_model()
    learn(model, "video", [], adapter)
    save_modality(model, "video", tmp_path)
    load_modality(again, tmp_path)
    assert torch.equal(look(again, "video", inputs(2, 12)), look(model, "video", inputs(2, 12)))


def test_damaged_folders_get_one_clear_line(saved: tuple[Model, Path]) -> None:
    folder = saved[1] / "video"
    config, weights, manifest = (folder / name for name in FILES)
    whole, text, facts = weights.read_bytes(), config.read_text(), manifest.read_text()
    weights.write_bytes(whole[:-1])
    assert "damaged" in refusal(make_model(), folder)
    tensors = load_file_of(whole, folder)
    tensors.pop(min(tensors))
    save_file(tensors, weights)
    assert "not the file that its manifest means" in refusal(make_model(), folder)
    weights.unlink()
    assert "adapter_model.safetensors: cannot read" in refusal(make_model(), folder)
    weights.write_bytes(whole)
    groups = json.loads(text)["groups"]
    for broken in ("{", "[]", changed(text, peft_type="SSF"), changed(text, groups=[{**groups[0], "gate": "open"}])):
        config.write_text(broken)
        assert "not the configuration" in refusal(make_model(), folder)
    config.write_text(changed(text, groups=[{**groups[0], "rank": 4}]))
    assert "adapter_config.json: not the file that its manifest means" in refusal(make_model(), folder)
    config.write_text(text)
    other = make_model()
    del other.entries.norms["video"]
    assert (
        "video: the adapter belongs to another backbone: this one has no module entries.norms.video; use the model "
        "that it was trained with, and video among its modalities"
    ) in refusal(other, folder)
    for broken in ("{", "{}", changed(facts, ancestors={"../../elsewhere": "0"}), changed(facts, modality="a/b")):
        manifest.write_text(broken)
        assert "manifest.json: " in refusal(make_model(), folder)
    manifest.unlink()
    assert "manifest.json: cannot read" in refusal(make_model(), folder)
    manifest.write_text(facts)
    load_modality(make_model(), folder)


def load_file_of(data: bytes, folder: Path) -> dict[str, torch.Tensor]:
    (folder / "copy").write_bytes(data)
    return load_file(folder / "copy")


def changed(text: str, **fields: object) -> str:
    return json.dumps({**json.loads(text), **fields})


def test_misuse_is_refused(tmp_path: Path) -> None:
    model = learned()
    with pytest.raises(ValueError, match="video has adapters on this backbone already"):
        add_modality(model, "video", peft_config(model, model.roles, config_of()), seed=0)
    with pytest.raises(ValueError, match="names no modality"):
        add_modality(model, "../video", peft_config(model, model.roles, config_of()), seed=0)
    with pytest.raises(ValueError, match="smell has no adapters"):
        save_modality(model, "smell", tmp_path)
    with pytest.raises(ValueError, match="parent smell has no adapters"):
        peft_config(model, model.roles, config_of(), ["smell"])
    assert list(model.peft_config) == list(CHAIN)
