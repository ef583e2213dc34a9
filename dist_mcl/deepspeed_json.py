"""The user's own DeepSpeed configuration: passed on as it is, but for what the experiment decides itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# What the experiment decides in other words, and in which.
_DECIDED_ELSEWHERE = {
    "optimizer": "AdamW by training.learning_rate and training.weight_decay",
    "scheduler": "a warm-up and a cosine by training.warmup",
}
_PRECISIONS = ("fp16", "bf16", "bfloat16", "torch_autocast")
# What DeepSpeed keeps in the host's memory, and the ZeRO stages that do. The others take the words, and do nothing.
_OFFLOADING = {"offload_optimizer": (1, 2, 3), "offload_param": (3,)}


def read(value: object) -> object:
    """The document in a JSON file, where the value is a path; any other value as it is.

    Raises:
        ValueError: the file cannot be read or is not JSON.
    """
    if not isinstance(value, str | Path):
        return value
    try:
        return json.loads(Path(value).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{value}: cannot read the DeepSpeed configuration: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{value}: not JSON: {error}") from error


def check(given: Mapping[str, Any], decided: Mapping[str, tuple[object, str]]) -> None:
    """See that a DeepSpeed configuration does not contradict the experiment.

    Args:
        given: the user's.
        decided: by DeepSpeed's key (dots lead into sections), the value that the experiment has and the name of the
            field that it is from. DeepSpeed's key may be missing, "auto" or equal.

    Raises:
        ValueError: names key, value and mend of the first contradiction.
    """
    for key, reason in _DECIDED_ELSEWHERE.items():
        if key in given:
            raise ValueError(f"deepspeed.{key}: it is {reason}; remove it")
    for key in _PRECISIONS:
        section = given.get(key)
        if isinstance(section, Mapping) and section.get("enabled", True):
            raise ValueError(f"deepspeed.{key}: it is training.precision that decides; remove it")
    for key, (value, field) in decided.items():
        theirs = _find(given, key)
        if theirs not in (None, "auto", value):
            raise ValueError(
                f"deepspeed.{key} is {theirs!r}, but {value!r} follows from {field}; remove it, or change {field}"
            )


def check_offloading(given: Mapping[str, Any], zero_stage: int) -> None:
    """See that the ZeRO stage is one that does what a DeepSpeed configuration asks for.

    Raises:
        ValueError: names key and mend.
    """
    for section, stages in _OFFLOADING.items():
        device = _find(given, f"zero_optimization.{section}.device")
        if zero_stage not in stages and device not in (None, "none"):
            raise ValueError(
                f"deepspeed.zero_optimization.{section} does nothing with training.zero_stage {zero_stage}; remove it, "
                f"or choose {' or '.join(map(str, stages))}"
            )


def _find(given: Mapping[str, Any], key: str) -> object:
    section, dot, rest = key.partition(".")
    value = given.get(section)
    if not dot:
        return value
    return _find(value, rest) if isinstance(value, Mapping) else None
