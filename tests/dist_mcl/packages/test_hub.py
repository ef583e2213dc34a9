"""Checkpoints are fetched from a hub of one's own, which has what the official ones have by the same names."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from huggingface_hub import snapshot_download
from transformers import (
    CLIPImageProcessor,
    InstructBlipForConditionalGeneration,
    LlavaProcessor,
)

from dist_mcl.backbones.causal_tiny import byte_tokenizer
from dist_mcl.backbones.qformer_folder import layout, open_instructblip
from dist_mcl.errors import UserError
from dist_mcl.packages.hub import checkpoint_folder, fetch_checkpoint, read_preprocessing
from tests.dist_mcl.packages.hub_server import serving

Publish = Callable[[Mapping[str, bytes]], None]
ID = "someone/model"
_TOKENIZER = ("special_tokens_map.json", "tokenizer.json", "tokenizer_config.json")
_QFORMER = tuple(f"qformer_tokenizer/{name}" for name in (*_TOKENIZER, "vocab.txt"))
_PICTURES = ("preprocessor_config.json", "processor_config.json")
_SHARDS = tuple(f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
_IN_PARTS = ("model.safetensors.index.json", *_SHARDS)
_BIN_SHARDS = tuple(f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2))
_USUAL = ("config.json", "generation_config.json", *_TOKENIZER)

# By checkpoint: what is needed of it, and what else it has.
LAYOUTS = {
    "instructblip-vicuna-7b": (
        (*_USUAL, *_PICTURES, *_QFORMER, "added_tokens.json", "tokenizer.model", *_IN_PARTS),
        ("README.md", ".gitattributes", "pytorch_model.bin.index.json", *_BIN_SHARDS),
    ),
    "as it was before safetensors": (
        (*_USUAL, "preprocessor_config.json", *_QFORMER, "pytorch_model.bin.index.json", *_BIN_SHARDS),
        ("README.md",),
    ),
    "llava-1.5-7b-hf": (
        (*_USUAL, *_PICTURES, "chat_template.jinja", "tokenizer.model", *_IN_PARTS),
        ("README.md", "chat_template.json"),
    ),
    "SmolLM2-135M-Instruct": (
        (*_USUAL, "merges.txt", "vocab.json", "model.safetensors"),
        ("onnx/model.onnx", "onnx/model_q4.onnx", "runs/events.out", "all_results.json"),
    ),
    "clip-vit-large-patch14": (
        (*_USUAL, "merges.txt", "vocab.json", "preprocessor_config.json", "model.safetensors"),
        ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"),
    ),
    "vilt-b32-mlm": (
        ("config.json", *_TOKENIZER, "preprocessor_config.json", "vocab.txt", "pytorch_model.bin"),
        ("README.md",),
    ),
}


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publish]:
    """Puts files on the hub, where they are as long as this test lasts; nothing is in the client's cache before."""
    files: dict[str, bytes] = {}
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    with serving({ID: files}) as address:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
        url = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", url)
        yield files.update


def in_folder(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", LAYOUTS)
def test_what_is_needed_of_a_checkpoint_is_fetched_and_then_found_offline(publish: Publish, name: str) -> None:
    needed, others = LAYOUTS[name]
    publish({path: path.encode() for path in (*needed, *others)})
    folder = fetch_checkpoint(ID)
    assert in_folder(folder) == {path: path.encode() for path in needed}
    assert checkpoint_folder(ID, "here") == folder


def test_a_fetched_instructblip_is_the_one_that_was_published(publish: Publish, tmp_path: Path) -> None:
    published = save_instructblip(tmp_path / "published")
    publish(in_folder(tmp_path / "published"))
    assert any(name.startswith("model-00002-of-") for name in in_folder(tmp_path / "published"))
    fetch_checkpoint(ID)
    assert_equal(open_instructblip(checkpoint_folder(ID, "here"))[0], published)


def test_a_fetched_instructblip_may_have_its_weights_in_torchs_format(publish: Publish, tmp_path: Path) -> None:
    published = save_instructblip(tmp_path / "published")
    files = {name: value for name, value in in_folder(tmp_path / "published").items() if "safetensors" not in name}
    publish(files | in_torchs_format(tmp_path, published.state_dict()))
    fetch_checkpoint(ID)
    assert_equal(open_instructblip(checkpoint_folder(ID, "here"))[0], published)


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return Path.mkdir, (Path("evil"),)


@pytest.mark.parametrize("weights", [pickle.dumps({"a": Evil()}), b"damaged", b""], ids=["evil", "damaged", "empty"])
def test_weights_that_are_no_tensors_get_one_clear_line_and_run_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: bytes
) -> None:
    monkeypatch.chdir(tmp_path)
    save_instructblip(tmp_path)
    for path in tmp_path.glob("model*"):
        path.unlink()
    (tmp_path / "pytorch_model.bin").write_bytes(weights)
    with pytest.raises(UserError, match=r"^[^\n]*: the checkpoint cannot be read \((they are damaged|EOFError)[^\n]*$"):
        open_instructblip(tmp_path)
    assert not Path("evil").exists()


def test_a_checkpoint_without_weights_for_transformers_is_refused_before_anything_is_fetched(
    publish: Publish, tmp_path: Path
) -> None:
    publish({"config.json": b"{}", "EVA02_CLIP_L_psz14_s4B.pt": b"x", "tf_model.h5": b"x"})
    with pytest.raises(UserError, match=f"^{ID}: has neither model.safetensors nor pytorch_model.bin, whole"):
        fetch_checkpoint(ID)
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("lost", ["qformer_tokenizer/tokenizer.json", _SHARDS[1], "model.safetensors.index.json"])
def test_a_fetch_that_was_interrupted_is_told_apart_and_goes_on(publish: Publish, lost: str) -> None:
    needed = LAYOUTS["instructblip-vicuna-7b"][0]
    publish({path: path.encode() for path in needed})
    folder = fetch_checkpoint(ID)
    (folder / lost).unlink()
    with pytest.raises(UserError, match=f"^{ID}: fetched without {lost}; run `mcl models fetch {ID}`, which gets what"):
        checkpoint_folder(ID, "here")
    fetch_checkpoint(ID)
    assert checkpoint_folder(ID, "here") == folder and (folder / lost).exists()


def fetch_only(*patterns: str) -> Path:
    """What `hf download --include` does, or `mcl models fetch` of a version that had fewer patterns."""
    return Path(snapshot_download(ID, allow_patterns=[*patterns]))


@pytest.mark.parametrize(
    ("name", "included"),
    [
        ("SmolLM2-135M-Instruct", ("*.safetensors", "*config.json", "tokenizer.json", "special_tokens_map.json")),
        ("clip-vit-large-patch14", ("pytorch_model.bin", "*config.json", "tokenizer.json", "special_tokens_map.json")),
        ("instructblip-vicuna-7b", ("*.bin*", "generation_*", "config*", "pre*", "tok*.json", "spec*", "qf*/[st]*")),
    ],
)
def test_what_was_fetched_otherwise_will_do_where_all_is_there_that_counts(
    publish: Publish, name: str, included: tuple[str, ...]
) -> None:
    needed, others = LAYOUTS[name]
    publish({path: path.encode() for path in (*needed, *others)})
    folder = fetch_only(*included)
    assert checkpoint_folder(ID, "here") == folder
    assert not {"vocab.json", "merges.txt", "tokenizer.model", "processor_config.json"} & set(in_folder(folder))


@pytest.mark.parametrize(
    ("included", "missing"),
    [
        (
            ("*.safetensors", "config.json", "t*"),
            "generation_config.json, merges.txt, preprocessor_config.json, special_tokens_map.json and 1 more",
        ),
        (("*.json", "*.txt"), "model.safetensors"),
        (("*.safetensors", "*.json"), "merges.txt"),
    ],
)
def test_what_is_missing_is_named(publish: Publish, included: tuple[str, ...], missing: str) -> None:
    publish({path: path.encode() for path in LAYOUTS["clip-vit-large-patch14"][0] if path != "tokenizer.json"})
    fetch_only(*included)
    with pytest.raises(UserError, match=f"^{ID}: fetched without {missing}; run `mcl models fetch {ID}`"):
        checkpoint_folder(ID, "here")
    fetch_checkpoint(ID)
    checkpoint_folder(ID, "here")


def test_settings_alone_are_no_checkpoint(publish: Publish) -> None:
    publish({"config.json": b"{}", "README.md": b"x", "model.safetensors": b"x"})
    fetch_only("README.md")
    with pytest.raises(
        UserError, match=f"^here: {ID}: no such folder, and no fetched checkpoint; run `mcl models fetch"
    ):
        checkpoint_folder(ID, "here")
    fetch_only("config.json")
    with pytest.raises(UserError, match=f"^{ID}: fetched without model.safetensors; run"):
        checkpoint_folder(ID, "here")


def test_no_hub_no_such_checkpoint_and_no_id_get_one_clear_line(
    publish: Publish, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"^no/such: cannot be fetched from the hub \([^\n]*404[^\n]*; check the id"):
        fetch_checkpoint("no/such")
    with pytest.raises(UserError, match=r"^a/b--c: cannot be fetched from the hub \(Cannot have --[^\n]*; check"):
        fetch_checkpoint("a/b--c")
    with pytest.raises(UserError, match=r"^here: a/b--c: no such folder, and no fetched checkpoint"):
        checkpoint_folder("a/b--c", "here")
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # between the client's tries
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=rf"^{ID}: cannot be fetched from the hub \([^\n]*; check the id and"):
        fetch_checkpoint(ID)


def test_how_pictures_are_normalised_is_read_where_old_and_new_checkpoints_have_it(tmp_path: Path) -> None:
    mean = [0.1, 0.2, 0.3]
    processor = CLIPImageProcessor(image_mean=mean)
    assert read_preprocessing(tmp_path) == {}
    LlavaProcessor(processor, byte_tokenizer(), patch_size=14).save_pretrained(tmp_path)
    assert not (tmp_path / "preprocessor_config.json").exists()
    assert read_preprocessing(tmp_path)["image_mean"] == mean
    CLIPImageProcessor(image_mean=mean[::-1]).save_pretrained(tmp_path)
    assert read_preprocessing(tmp_path)["image_mean"] == mean[::-1]


def save_instructblip(folder: Path) -> InstructBlipForConditionalGeneration:
    """A tiny one in parts, with the tokenizers that the official ones have."""
    torch.manual_seed(0)
    model = InstructBlipForConditionalGeneration(layout("tiny"))
    model.save_pretrained(folder, max_shard_size="200KB")
    byte_tokenizer().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder / "qformer_tokenizer")
    return model


def in_torchs_format(folder: Path, weights: Mapping[str, torch.Tensor]) -> dict[str, bytes]:
    """The files of weights in two parts."""
    names = list(weights)
    files, places = {}, {}
    for part, those in zip(_BIN_SHARDS, (names[::2], names[1::2]), strict=True):
        torch.save({name: weights[name].clone() for name in those}, folder / part)
        files[part] = (folder / part).read_bytes()
        places.update(dict.fromkeys(those, part))
    index = {"metadata": {"total_size": sum(map(len, files.values()))}, "weight_map": places}
    return files | {"pytorch_model.bin.index.json": json.dumps(index).encode()}


def assert_equal(model: torch.nn.Module, other: torch.nn.Module) -> None:
    mine, theirs = model.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
