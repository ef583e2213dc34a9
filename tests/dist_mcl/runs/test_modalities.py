"""A whole run over modalities, in real processes, with a tiny language model."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from dist_mcl.run_folder import RunFolder

from .conftest import mcl

pytestmark = pytest.mark.xdist_group("runs")

ENCODER = {"kind": "efficientnet-lite0", "side": 32, "cells": 1}
CONFIG = {
    "name": "two",
    "scenario": {
        "kind": "modality_incremental",
        "stages": [
            {"modality": name, "tokens": {"kind": name, "side": 32}, "encoder": ENCODER} for name in ("image", "depth")
        ],
    },
    "model": {
        "backbone": "causal-tiny",
        "adapter": {
            "kind": "adapter_in_adapter",
            "rank": 2,
            "sites": [
                {"role": "connector", "suffixes": ["linear_1", "linear_2"], "count": 2},
                {"role": "decoder", "suffixes": ["q_proj", "v_proj"], "count": 4},
            ],
        },
    },
    "training": {"epochs": 1, "batch_size": 4, "micro_batch_size": 2, "checkpoint": {"every_steps": 1}},
    "evaluation": {"generation": {"max_tokens": 3}},
    "exemplars": {"budget": 0},
    "launcher": {"processes": 1, "threads": 1},
}


_CHOICE = {"candidates": ["dark", "light"], "task": "choice"}
_TASKS: dict[int, dict[str, object]] = {0: _CHOICE, 1: _CHOICE, 3: {"task": "caption"}}


def write_questions(folder: Path, mode: str) -> None:
    """Six grey pictures, light or dark, with a question each; two of them have candidates, one is a caption."""
    folder.mkdir()
    for split, count in (("train", 6), ("test", 4)):
        rows = []
        for number in range(count):
            shade = (40, 220)[number % 2]
            depth = np.full((32, 32), shade * (257 if mode == "I;16" else 1), np.uint16 if mode == "I;16" else np.uint8)
            name = f"{split}-{number}.png"
            Image.fromarray(depth).convert("RGB" if mode == "RGB" else None).save(folder / name)
            asked = {"media": name, "question": "Light or dark?", "answer": ("dark", "light")[number % 2]}
            rows.append({**asked, **_TASKS.get(number, {})})
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def config(tmp_path: Path) -> Path:
    stages = []
    for stage, mode in zip(CONFIG["scenario"]["stages"], ("RGB", "I;16"), strict=True):
        write_questions(tmp_path / stage["modality"], mode)
        stages.append({**stage, "data": {"dataset": "manifest", "folder": str(tmp_path / stage["modality"])}})
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump({**CONFIG, "scenario": {**CONFIG["scenario"], "stages": stages}}))
    return path


def run(config: Path, folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(mcl("run", config, "--run", folder, *more), capture_output=True, text=True, check=False)


def test_what_was_learned_first_is_not_forgotten(config: Path, tmp_path: Path) -> None:
    done = run(config, tmp_path / "run")
    assert done.returncode == 0, done.stdout + done.stderr
    begun = RunFolder.open(tmp_path / "run")
    first, second = (stage.record("evaluate")["scores"] for stage in begun.stages())
    assert set(first) == {"image"} and set(second) == {"image", "depth"}
    assert second["image"] == first["image"]
    assert set(second["depth"]) == {"manifest/choice", "manifest/qa", "manifest/caption"}
    details = begun.stage(2).record("evaluate")["details"]["depth"]
    assert {"BLEU-4", "ROUGE-L", "CIDEr", "exact_match"} <= set(details["manifest/caption"])
    assert set(details["manifest/qa"]) == {"exact_match"}
    assert [path.name for path in sorted(begun.stage(2).adapter.iterdir())] == [
        "adapter_config.json",
        "adapter_model.safetensors",
        "manifest.json",
    ]
    assert "2 modalities in 2 stages, begins with stage 1" in done.stdout
    assert "F, all before" in done.stdout and "F, all before, CIDEr" in done.stdout
    assert "Trained parameters" in done.stdout and "exemplars" not in done.stdout
    assert "S[a][b][d]" in begun.report.read_text()
    compared = subprocess.run(mcl("compare", begun.path), capture_output=True, text=True, check=True).stdout
    assert "last score" in compared and "CIDEr" in compared and "exemplars" not in compared
