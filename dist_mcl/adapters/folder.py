"""Adapters on disk, in PEFT's folder format: `adapter_config.json` and `adapter_model.safetensors`.

A LoRA folder loads with plain PEFT, `PeftModel.from_pretrained(backbone, folder)`.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

import torch
from peft import LoraConfig, PeftConfig
from peft.tuners.tuners_utils import BaseTuner
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dist_mcl.adapters.attach import ADAPTER_NAME, adapter_parameters, inject
from dist_mcl.adapters.ssf import SSFConfig
from dist_mcl.errors import UserError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
_CONFIGS: dict[str, type[PeftConfig]] = {"SSF": SSFConfig, "LORA": LoraConfig}


def save(backbone: nn.Module, folder: Path) -> None:
    """Write the adapter that `backbone` carries into `folder`. Equal adapters give equal bytes.

    Raises:
        ValueError: `backbone` carries no adapter, or one that is not whole on this rank.
    """
    parameters = adapter_parameters(backbone)
    if not parameters:
        raise ValueError("the backbone carries no adapter")
    folder.mkdir(parents=True, exist_ok=True)
    configs = cast(dict[str, PeftConfig], backbone.peft_config)
    text = json.dumps(configs[ADAPTER_NAME].to_dict(), indent=2, sort_keys=True, default=sorted)  # sets have no order
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")
    tensors = {name_in_file(name): value.detach().cpu().contiguous() for name, value in parameters.items()}
    if empty := [name for name, value in tensors.items() if not value.numel()]:
        raise ValueError(f"{empty[0]} is empty: gather sharded parameters before they are saved")
    save_file(tensors, folder / WEIGHTS_FILE, metadata={"format": "pt"})


def load(backbone: nn.Module, folder: Path, dtype: torch.dtype | None = None) -> BaseTuner:
    """Attach the adapter of `folder` to `backbone`, to be used or trained on; what `attach` says holds here too.

    Raises:
        UserError: the folder is unreadable or incomplete, or its adapter belongs to another backbone, which may then
            be left with a fresh adapter on it.
        ValueError: `backbone` carries an adapter already.
    """
    if adapter_parameters(backbone):
        raise ValueError("the backbone carries an adapter already")
    config, tensors = _read_config(folder / CONFIG_FILE), read_tensors(folder / WEIGHTS_FILE)
    try:
        tuner = inject(backbone, config, seed=0, dtype=dtype)
    except ValueError as error:
        raise UserError(_belongs_elsewhere(folder, "its modules are not there")) from error
    parameters = {name_in_file(name): value for name, value in adapter_parameters(backbone).items()}
    expected = {name: value.shape for name, value in parameters.items()}
    found = {name: value.shape for name, value in tensors.items()}
    if expected != found:
        differing = sorted(name for name, _ in expected.items() ^ found.items())
        raise UserError(_belongs_elsewhere(folder, f"{differing[0]} is missing on one side or differs in shape"))
    with torch.no_grad():
        for name, value in parameters.items():
            value.copy_(tensors[name])
    return tuner


def _belongs_elsewhere(folder: Path, reason: str) -> str:
    return f"{folder}: the adapter belongs to another backbone: {reason}; use the model that it was trained with"


def name_in_file(name: str, adapter: str = ADAPTER_NAME) -> str:
    """A parameter's name as PEFT has it in a file: after the model's prefix, and without the adapter's name if any."""
    suffix = rf"\.{re.escape(adapter)}(?=(\.weight|\.bias)?$)"
    return "base_model.model." + (re.sub(suffix, "", name) if adapter else name)


def _read_config(path: Path) -> PeftConfig:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return _CONFIGS[fields["peft_type"]](**fields)
    except OSError as error:
        raise UserError(f"{path}: cannot read the adapter: {error.strerror}") from error
    except (ValueError, TypeError, KeyError) as error:
        kinds = " or ".join(_CONFIGS)
        raise UserError(f"{path}: not the configuration of an adapter of type {kinds}; save it again") from error


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        UserError: it cannot be read, or is damaged.
    """
    try:
        return load_file(path)
    except OSError as error:
        raise UserError(f"{path}: cannot read the adapter: {error.strerror or error}") from error
    except SafetensorError as error:
        raise UserError(f"{path}: damaged: {error}; restore it from a copy or train the stage again") from error
