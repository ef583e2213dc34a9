"""A modality on disk: a folder in PEFT's form with its own tensors alone, and a manifest of what they build on.

`adapter_config.json` says the form and the layers, `adapter_model.safetensors` holds the adapters and the modules that
are the modality's own, `manifest.json` names its parents and ancestors, and has SHA-256 digests of the ancestors'
tensors, of the base's modules, and of the modality's tensors and configuration. Neither the base nor an ancestor is
ever saved again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import ConfigDict
from safetensors.torch import save
from torch import Tensor, nn

from dist_mcl.adapters.adapter_in_adapter.config import AdapterInAdapterConfig
from dist_mcl.adapters.adapter_in_adapter.layer import AdapterInAdapterLayer
from dist_mcl.adapters.adapter_in_adapter.modality import (
    MODALITY_NAME,
    add_modality,
    modality_parameters,
    undone_on_failure,
)
from dist_mcl.adapters.adapter_in_adapter.model import AdapterInAdapterModel
from dist_mcl.adapters.attach import adapter_parameters
from dist_mcl.adapters.folder import CONFIG_FILE, WEIGHTS_FILE, name_in_file, read_tensors
from dist_mcl.errors import UserError
from dist_mcl.files import sha256, write_json
from dist_mcl.section import Section

MANIFEST_FILE = "manifest.json"


class Manifest(Section):
    """What a modality's tensors build on; digests are hexadecimal SHA-256."""

    model_config = ConfigDict(extra="ignore")

    modality: str
    parents: tuple[str, ...]
    ancestors: dict[str, str]
    base: dict[str, str]  # by the module's name in the backbone
    config: str
    weights: str

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Raises UserError if there is none, or it is damaged."""
        path = folder / MANIFEST_FILE
        try:
            manifest = cls.model_validate_json(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(f"{path}: cannot read the adapter: {error.strerror}") from error
        except ValueError as error:  # pydantic's and Unicode's are
            raise UserError(f"{path}: not the manifest of a modality's adapter; save it again") from error
        if strange := [name for name in (manifest.modality, *manifest.ancestors) if not MODALITY_NAME.fullmatch(name)]:
            raise UserError(f"{path}: {strange[0]!r} names no modality; save the adapter again")
        return manifest


def save_modality(backbone: nn.Module, modality: str, folder: Path) -> Manifest:
    """Write what is a modality's alone into `folder`; the manifest comes last. Equal tensors give equal bytes.

    Raises:
        ValueError: it has no adapters on this backbone, a path is merged, or the tensors are not whole on this rank.
    """
    data = _file_bytes(backbone, modality)
    config: AdapterInAdapterConfig = cast(Any, backbone).peft_config[modality]
    ancestors = {name: _digest(_file_bytes(backbone, name)) for name in config.ancestors}
    base = BaseDigests(backbone).of(config.base_modules)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST_FILE).unlink(missing_ok=True)
    (folder / WEIGHTS_FILE).write_bytes(data)
    write_json(folder / CONFIG_FILE, config.to_dict())
    manifest = Manifest(
        modality=modality,
        parents=tuple(config.parents),
        ancestors=ancestors,
        base=base,
        config=sha256(folder / CONFIG_FILE),
        weights=_digest(data),
    )
    write_json(folder / MANIFEST_FILE, manifest.model_dump(mode="json"))
    return manifest


def load_modality(
    backbone: nn.Module, folder: Path, dtype: torch.dtype | None = None, base: BaseDigests | None = None
) -> AdapterInAdapterModel:
    """Put the modality of `folder` on a backbone that has its ancestors and its own modules already.

    Where that fails, the backbone is as it was.

    Args:
        dtype: as in `add_modality`.
        base: of this backbone, where several modalities are loaded in a row; found anew when left out.

    Raises:
        UserError: the folder is unreadable, incomplete or damaged; or the backbone's base, or one of the ancestors on
            it, is not the one that the modality was trained with, bit for bit.
        ValueError: the modality has adapters on the backbone already, or a path is merged.
    """
    saved = _Saved.read(folder)
    with undone_on_failure(backbone, [saved.manifest.modality], saved.config.own_modules):
        return _put_on(backbone, saved, dtype, base or BaseDigests(backbone))


def load_modalities(backbone: nn.Module, root: Path, modality: str) -> None:
    """`load_modality` of `root/modality`, after those of its ancestors that are not on the backbone yet.

    Where one of them fails, the backbone is as it was.

    Raises: as `load_modality`.
    """
    names = (*Manifest.read(root / modality).ancestors, modality)
    found = [_Saved.read(root / name) for name in names if name not in getattr(backbone, "peft_config", {})]
    own = [name for saved in found for name in saved.config.own_modules]
    base = BaseDigests(backbone)
    with undone_on_failure(backbone, [saved.manifest.modality for saved in found], own):
        for saved in found:
            _put_on(backbone, saved, None, base)


class BaseDigests:
    """SHA-256 digests of modules of a backbone; of each found once, so nothing of the base may change meanwhile.

    They are of the parameters and saved buffers, by name, without those of adapters; a tied weight counts once.
    """

    def __init__(self, backbone: nn.Module) -> None:
        self._backbone = backbone
        self._found: dict[nn.Module, str] = {}

    def of(self, modules: Iterable[str]) -> dict[str, str]:
        """By name, in hexadecimal.

        Raises:
            AttributeError: the backbone has no such module.
            ValueError: a path is merged into one, or its tensors are not whole on this rank.
        """
        return {name: self._of_module(name, self._backbone.get_submodule(name)) for name in modules}

    def _of_module(self, name: str, module: nn.Module) -> str:
        if module not in self._found:
            if any(isinstance(layer, AdapterInAdapterLayer) and layer.merged for layer in module.modules()):
                raise ValueError(f"a path is merged into {name}: unmerge it first")
            self._found[module] = self._made(module)
        return self._found[module]

    def _made(self, module: nn.Module) -> str:
        digest = hashlib.sha256()
        passed = set(map(id, adapter_parameters(self._backbone).values()))
        for name, tensor in module.state_dict(keep_vars=True).items():
            if id(tensor) not in passed:
                passed.add(id(tensor))
                value = _on_cpu(name, tensor)
                plain = ".".join(word for word in name.split(".") if word != "base_layer")
                digest.update(f"{plain} {value.dtype} {list(value.shape)}\n".encode())
                digest.update(value.flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


def _file_bytes(backbone: nn.Module, modality: str) -> bytes:
    parameters = _by_name_in_file(backbone, modality)
    return save({name: _on_cpu(name, value) for name, value in parameters.items()}, metadata={"format": "pt"})


def _by_name_in_file(backbone: nn.Module, modality: str) -> dict[str, nn.Parameter]:
    adapters = adapter_parameters(backbone)
    return {
        name_in_file(name, modality if name in adapters else ""): value
        for name, value in modality_parameters(backbone, modality).items()
    }


def _on_cpu(name: str, value: Tensor) -> Tensor:
    if not value.numel():
        raise ValueError(f"{name} is empty: gather sharded parameters before they are saved")
    return value.detach().cpu().contiguous()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read_config(path: Path) -> AdapterInAdapterConfig:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields["peft_type"] != "ADAPTER_IN_ADAPTER":
            raise ValueError(fields["peft_type"])
        return AdapterInAdapterConfig(**fields)
    except OSError as error:
        raise UserError(f"{path}: cannot read the adapter: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not the configuration of an adapter-in-adapter; save it again") from error


@dataclass(frozen=True)
class _Saved:
    """A modality's folder, read and found whole.

    Attributes:
        tensors: as `save_modality` has named them.
    """

    folder: Path
    manifest: Manifest
    config: AdapterInAdapterConfig
    tensors: dict[str, Tensor]

    @classmethod
    def read(cls, folder: Path) -> _Saved:
        """Raises UserError if the folder is unreadable, incomplete or damaged."""
        manifest, config = Manifest.read(folder), _read_config(folder / CONFIG_FILE)
        tensors = read_tensors(folder / WEIGHTS_FILE)
        for name, digest in ((WEIGHTS_FILE, manifest.weights), (CONFIG_FILE, manifest.config)):
            if sha256(folder / name) != digest:
                raise UserError(f"{folder / name}: not the file that its manifest means; restore it or train it again")
        return cls(folder, manifest, config, tensors)


def _put_on(backbone: nn.Module, saved: _Saved, dtype: torch.dtype | None, base: BaseDigests) -> AdapterInAdapterModel:
    """As `load_modality`; where it fails, the backbone is left half changed."""
    _check_has_modules(backbone, saved)
    _check_fits(backbone, saved, base)
    modality = saved.manifest.modality
    tuner = add_modality(backbone, modality, saved.config, seed=0, dtype=dtype)
    _fill(_by_name_in_file(backbone, modality), saved)
    return tuner


def _check_has_modules(backbone: nn.Module, saved: _Saved) -> None:
    modality, config = saved.manifest.modality, saved.config
    there = {name for name, _ in backbone.named_modules(remove_duplicate=False)}
    adapted = [name for group in config.groups for name in group["modules"]]
    if lacking := [name for name in (*config.own_modules, *saved.manifest.base, *adapted) if name not in there]:
        raise UserError(
            f"{saved.folder}: the adapter belongs to another backbone: this one has no module {lacking[0]}; use the "
            f"model that it was trained with, and {modality} among its modalities"
        )


def _check_fits(backbone: nn.Module, saved: _Saved, base: BaseDigests) -> None:
    folder, manifest = saved.folder, saved.manifest
    known = getattr(backbone, "peft_config", {})
    for name, digest in manifest.ancestors.items():
        if name not in known:
            raise UserError(f"{folder}: {manifest.modality} builds on {name}, which is not loaded; load that first")
        if _digest(_file_bytes(backbone, name)) != digest:
            raise UserError(
                f"{folder}: {manifest.modality} builds on another {name} than the one that is loaded; load the folder "
                f"of {name} whose {WEIGHTS_FILE} has a SHA-256 of {digest[:12]}..., or train {manifest.modality} again"
            )
    found = base.of(manifest.base)
    if differing := [name for name, digest in manifest.base.items() if found[name] != digest]:
        raise UserError(
            f"{folder}: {manifest.modality} was trained on another base: {differing[0]} differs; use the backbone, and "
            "the precision, that it had"
        )


def _fill(parameters: dict[str, nn.Parameter], saved: _Saved) -> None:
    shapes = [{name: value.shape for name, value in side.items()} for side in (parameters, saved.tensors)]
    if differing := sorted(name for name, _ in shapes[0].items() ^ shapes[1].items()):
        raise UserError(
            f"{saved.folder}: the adapter belongs to another backbone: {differing[0]} is missing on one side or "
            "differs in shape; use the model that it was trained with"
        )
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(saved.tensors[name])
