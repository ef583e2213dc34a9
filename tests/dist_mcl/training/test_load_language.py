"""Backbones that answer in words, as a configuration asks for them."""

from __future__ import annotations

from pathlib import Path

import torch
from transformers import InstructBlipForConditionalGeneration

from dist_mcl.backbones.causal_tiny import byte_tokenizer
from dist_mcl.backbones.qformer_folder import layout
from dist_mcl.config import Experiment
from dist_mcl.training.load_language import load_language_backbone


def experiment(folder: Path, seed: int) -> Experiment:
    stage = {
        "modality": "imu",
        "tokens": "features",
        "encoder": {"kind": "vectors", "features": 6},
        "data": {"dataset": "manifest", "folder": "x"},
    }
    return Experiment.model_validate(
        {
            "name": "one",
            "seed": seed,
            "scenario": {"kind": "modality_incremental", "stages": [stage]},
            "model": {"backbone": {"kind": "qformer", "path": str(folder)}, "adapter": {"kind": "adapter_in_adapter"}},
            "exemplars": {"budget": 0},
        }
    )


def test_what_a_checkpoint_lacks_begins_as_the_seed_says(tmp_path: Path) -> None:
    InstructBlipForConditionalGeneration(layout("tiny")).save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path / "qformer_tokenizer")
    lifts = [load_language_backbone(experiment(tmp_path, seed)).entries["imu"].lift.weight for seed in (0, 0, 1)]
    assert torch.equal(lifts[0], lifts[1]) and not torch.equal(lifts[0], lifts[2])
