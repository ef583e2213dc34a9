"""A run with a model that reads pictures itself, of which a LoRA alone trains, and masks of its cells."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from exemplar_store import StoreReader

from ..backbones.tiny_llava import PROMPT, save_llava
from .modality_runs import LORA, experiment, finish, write_data


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
