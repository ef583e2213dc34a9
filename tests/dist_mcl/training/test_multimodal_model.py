"""Runs with a model that reads pictures itself: what it keeps of pictures, and a modality that it had not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from exemplar_store import StoreReader

from ..backbones.tiny_llava import PROMPT, save_llava
from .modality_runs import LORA, SITES, experiment, finish, write_data


def test_pictures_are_learned_and_remembered_without_what_the_answer_does_not_attend_to(tmp_path: Path) -> None:
    save_llava(tmp_path / "llava")
    write_data(tmp_path / "data")
    stage = {
        "modality": "image",
        "tokens": {"kind": "image", "side": 48},
        "data": {"dataset": "manifest", "folder": str(tmp_path / "data" / "image")},
    }
    config = experiment(
        tmp_path / "data",
        LORA,
        scenario={"stages": [stage]},
        model={
            "backbone": {"kind": "causal", "path": str(tmp_path / "llava"), "prompt": PROMPT},
            "adapter": LORA,
        },
        exemplars={"budget": "40kB"},
    )
    run = finish(tmp_path / "run", config)
    with closing(StoreReader(run.store)) as reader:
        pictures = [exemplar.tokens["image"] for exemplar in reader.read_many(range(len(reader)))]
    assert len(pictures) == 8
    assert all(0 < len(picture) < picture.grid[0] * picture.grid[1] for picture in pictures)
    assert run.stage(1).record("evaluate")["scores"].keys() == {"image"}


def test_another_modality_is_learned_and_pictures_are_not_forgotten(tmp_path: Path) -> None:
    save_llava(tmp_path / "llava")
    write_data(tmp_path / "data")
    stages = [
        {"modality": "image", "tokens": {"kind": "image", "side": 32}},
        {"modality": "sensor", "tokens": {"kind": "features"}, "encoder": {"kind": "vectors", "features": 4}},
    ]
    for stage in stages:
        stage["data"] = {"dataset": "manifest", "folder": str(tmp_path / "data" / str(stage["modality"]))}
    config = experiment(
        tmp_path / "data",
        {},
        scenario={"stages": stages},
        model={
            "backbone": {"kind": "causal", "path": str(tmp_path / "llava"), "prompt": PROMPT},
            "adapter": {"kind": "adapter_in_adapter", "rank": 2, "sites": SITES},
        },
    )
    run = finish(tmp_path / "run", config)
    first, last = (run.stage(number).record("evaluate")["scores"] for number in (1, 2))
    assert last.keys() == {"image", "sensor"} and last["image"] == first["image"]
