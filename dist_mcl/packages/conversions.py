"""From the forms in which models are packaged to safetensors that Hugging Face's classes load.

Each conversion takes the folder of a model's files and replaces them there. Nothing is unpickled.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dist_mcl.errors import UserError

STATE_DICT, GGUF, CTRANSLATE2 = "weights.pth", "weights.gguf", "model.bin"
_SAFE = "model.safetensors"


def state_dict_to_safetensors(folder: Path) -> None:
    """`weights.pth` to `model.safetensors` with the same names and values."""
    import torch  # seconds to import, and needed by these conversions only
    from safetensors.torch import save_file

    source = folder / STATE_DICT
    weights = torch.load(source, map_location="cpu", weights_only=True)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / _SAFE)
    source.unlink()


def gguf_to_safetensors(folder: Path) -> None:
    """`weights.gguf` to a folder of a language model: weights in bf16, configuration, tokenizer and chat template.

    The weights are those of the file, whose quantisation they keep.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    AutoTokenizer.from_pretrained(folder, gguf_file=GGUF).save_pretrained(folder)
    unpacked = AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=GGUF, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    # A model that came out of a GGUF refuses to be saved, so a plain one takes over its weights.
    plain = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder, gguf_file=GGUF), dtype=torch.bfloat16)
    plain.load_state_dict(unpacked.state_dict())
    plain.save_pretrained(folder)
    (folder / GGUF).unlink()


def ctranslate2_to_whisper_encoder(folder: Path) -> None:
    """`model.bin` of a Whisper to `model.safetensors` and `config.json` of its encoder, as WhisperEncoder loads it.

    Raises:
        UserError: the file is damaged or of another model.
    """
    from safetensors.numpy import save_file
    from transformers import WhisperConfig

    source = folder / CTRANSLATE2
    try:
        weights = _whisper_encoder(dict(_variables(source.read_bytes())))
    except (KeyError, ValueError, struct.error) as error:
        raise UserError(f"{source}: not CTranslate2's Whisper ({error}); the package has changed") from error
    layers = {name.split(".")[1] for name in weights if name.startswith("layers.")}
    width, bins, _ = weights["conv1.weight"].shape
    config = WhisperConfig(
        d_model=width,
        num_mel_bins=bins,
        encoder_layers=len(layers),
        encoder_attention_heads=width // _HEAD_WIDTH,
        encoder_ffn_dim=len(weights["layers.0.fc1.bias"]),
        max_source_positions=len(weights["embed_positions.weight"]),
    )
    (folder / "config.json").write_text(json.dumps(config.to_dict(), indent=2, sort_keys=True), encoding="utf-8")
    save_file(weights, folder / _SAFE)
    source.unlink()


_HEAD_WIDTH = 64  # in all sizes of Whisper
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def _variables(data: bytes) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """The variables of a model in CTranslate2's format, version 6: docs/model_spec and serialization of that project.

    Little-endian: version, name of the specification, its revision, number of variables; of each variable its name,
    rank, sides, type and bytes.
    """
    place = 0

    def number(form: str) -> int:
        nonlocal place
        (value,) = struct.unpack_from(f"<{form}", data, place)
        place += struct.calcsize(f"<{form}")
        return int(value)

    def taken(length: int) -> bytes:
        nonlocal place
        place += length
        if place > len(data):
            raise ValueError("the file is cut off")
        return data[place - length : place]

    number("I")
    specification = taken(number("H")).rstrip(b"\0").decode()
    if specification != "WhisperSpec":
        raise ValueError(f"it is a {specification!r}")
    number("I")
    for _ in range(number("I")):
        name = taken(number("H")).rstrip(b"\0").decode()
        sides = [number("I") for _ in range(number("B"))]
        kind, length = _TYPES[number("B")], number("I")
        yield name, np.frombuffer(taken(length), kind).reshape(sides)


def _whisper_encoder(variables: dict[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
    """The encoder's weights under Hugging Face's names."""
    found = {name.removeprefix("encoder/"): value for name, value in variables.items() if name.startswith("encoder/")}
    weights: dict[str, NDArray[np.float32]] = {}

    def put(name: str, source: str, rows: slice = slice(None), kinds: tuple[str, ...] = ("weight", "bias")) -> None:
        for kind in kinds:
            weights[f"{name}.{kind}"] = np.ascontiguousarray(found[f"{source}/{kind}"][rows], np.float32)

    def put_norm(name: str, source: str) -> None:
        weights[f"{name}.weight"] = found[f"{source}/layer_norm/gamma"].astype(np.float32)
        weights[f"{name}.bias"] = found[f"{source}/layer_norm/beta"].astype(np.float32)

    weights["embed_positions.weight"] = found["position_encodings/encodings"].astype(np.float32)
    put("conv1", "conv1")
    put("conv2", "conv2")
    weights["layer_norm.weight"] = found["layer_norm/gamma"].astype(np.float32)
    weights["layer_norm.bias"] = found["layer_norm/beta"].astype(np.float32)
    width = len(weights["layer_norm.weight"])
    for layer in range(sum(name.endswith("ffn/linear_0/weight") for name in found)):
        here, there = f"layer_{layer}", f"layers.{layer}"
        for part, name in enumerate(("q_proj", "k_proj", "v_proj")):
            kinds = ("weight",) if name == "k_proj" else ("weight", "bias")  # Whisper's keys have no bias
            rows = slice(part * width, (part + 1) * width)
            put(f"{there}.self_attn.{name}", f"{here}/self_attention/linear_0", rows, kinds)
        put(f"{there}.self_attn.out_proj", f"{here}/self_attention/linear_1")
        put(f"{there}.fc1", f"{here}/ffn/linear_0")
        put(f"{there}.fc2", f"{here}/ffn/linear_1")
        put_norm(f"{there}.self_attn_layer_norm", f"{here}/self_attention")
        put_norm(f"{there}.final_layer_norm", f"{here}/ffn")
    return weights
