"""Whole runs over three modalities with the tiny language model, in forked processes, and what they leave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dist_mcl.config import Experiment
from dist_mcl.coordinator.start import open_or_begin
from dist_mcl.run_folder import RunFolder, StageFolder
from stage_launchers.kinds.local import LocalHandle

from .forking import ForkedRanks

SITES = [
    {"role": "connector", "suffixes": ["linear_1", "linear_2"], "count": 2},
    {"role": "decoder", "suffixes": ["q_proj", "v_proj"], "count": 4},
]
LORA = {"kind": "lora", "rank": 2, "sites": SITES}
FULL = {"kind": "full"}
ORDER = ("image", "depth", "sensor")
_TOKENS = {"image": {"side": 32}, "depth": {"side": 32}, "sensor": {"kind": "features"}}
_PICTURES = {"encoder": {"kind": "efficientnet-lite0", "side": 32, "cells": 2}}
_MEDIA = {"image": _PICTURES, "depth": _PICTURES, "sensor": {"encoder": {"kind": "vectors", "features": 4}}}
_TRAINING = {"epochs": 2, "batch_size": 4, "micro_batch_size": 2, "learning_rate": 0.02}


def write_data(folder: Path, train: int = 8, test: int = 2) -> None:
    """Light and dark pictures, near and far depth maps, high and low readings, each with a question."""
    for modality in ORDER:
        (folder / modality).mkdir(parents=True)
        for split, count in (("train", train), ("test", test)):
            rows = [
                {
                    "media": _write_medium(folder / modality / f"{split}-{number}", modality, number),
                    "question": "Much?",
                    "answer": ("no", "yes")[number % 2],
                    "candidates": ["no", "yes"],
                }
                for number in range(count)
            ]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (folder / modality / f"{split}.jsonl").write_text(text)


def _write_medium(path: Path, modality: str, number: int) -> str:
    level = (40, 210)[number % 2] + np.random.default_rng(number).integers(-20, 20, (32, 32))
    if modality == "sensor":
        np.save(path.with_suffix(".npy"), level[:6, :4] / 255)
        return f"{path.name}.npy"
    picture = Image.fromarray(level.astype(np.uint8)) if modality == "image" else Image.fromarray(_far(level))
    (picture.convert("RGB") if modality == "image" else picture).save(path.with_suffix(".png"))
    return f"{path.name}.png"


def _far(level: Any) -> Any:
    return (level * 257).astype(np.uint16)


def experiment(data: Path, adapter: Mapping[str, Any], **sections: Any) -> Experiment:
    """An experiment over the modalities of `write_data`; `sections` are laid over it, field by field."""
    stages = [
        {"modality": name, "tokens": {"kind": name, **_TOKENS[name]}, "data": _manifest(data / name)} for name in ORDER
    ]
    return Experiment.model_validate(
        {
            "name": "three",
            "scenario": {"kind": "modality_incremental", "stages": stages, **sections.pop("scenario", {})},
            "model": {"backbone": {"kind": "causal-tiny", "media": _MEDIA}, "adapter": adapter},
            "training": {**_TRAINING, **sections.pop("training", {})},
            "exemplars": {"budget": 0, **sections.pop("exemplars", {})},
            "launcher": {"processes": 1},
            **sections,
        }
    )


def _manifest(folder: Path) -> dict[str, str]:
    return {"dataset": "manifest", "folder": str(folder)}


def begin_stage(run: RunFolder, number: int, processes: int) -> LocalHandle:
    """Start an attempt at a stage."""
    folder = run.stage(number)
    attempt = folder.new_attempt()
    folder.write_state(replace(folder.state, status="running", attempt=attempt))
    return ForkedRanks(folder.attempt(attempt), processes, _run_rank, run.path, number, attempt)


def _run_rank(*arguments: Any) -> None:
    from . import modality_stages  # which the server has imported, and whoever looks on need not

    modality_stages.run_rank(*arguments)


def finish(path: Path, config: Experiment, processes: int = 1) -> RunFolder:
    """Begin a run or continue it, to its end."""
    run = open_or_begin(path, config)
    for folder in run.stages():
        if not folder.is_done():
            code = begin_stage(run, folder.number, processes).wait(timeout=400)
            assert code == 0, "".join(log.read_text() for log in folder.path.glob("attempts/*/rank-0.log"))
    return run


def digests(folder: StageFolder) -> dict[str, str]:
    """Of what a stage has trained, by file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.adapter.iterdir())}


def losses(run: RunFolder) -> list[list[float]]:
    """Of every step of every stage."""
    return [(folder.record("train") or {})["loss"] for folder in run.stages()]
