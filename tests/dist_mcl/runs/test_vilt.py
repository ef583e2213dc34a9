"""Whole runs with ViLT at tiny width, and with maskers that store pixels at two resolutions."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from dist_mcl.exemplars.resolution import SURROUND
from dist_mcl.run_folder import RunFolder
from exemplar_store import StoreReader, verify
from tests.dist_mcl.backbones.test_vilt import save_checkpoint

from .conftest import finish
from .test_zero3 import ZERO_3

pytestmark = pytest.mark.xdist_group("runs")


@pytest.fixture
def short(tmp_path: Path) -> dict[str, str]:
    """Two stages of ViLT on a few samples; its pictures are 64 px in 4 x 4 patches."""
    save_checkpoint(tmp_path / "vilt")
    vilt = f"{{kind: vilt, path: {tmp_path / 'vilt'}, max_text_tokens: 20}}"
    return {"model__backbone": vilt, "scenario__stages": "2", "data__max_per_class": "4"}


def memory(folder: Path) -> StoreReader:
    run = RunFolder.open(folder)
    assert verify(run.store, full=True).problems == []
    assert all((stage.record("evaluate") or {})["accuracy"] for stage in run.stages())
    return StoreReader(run.store)


def test_a_run_remembers_boxes_chosen_by_gradients(short: dict[str, str], tmp_path: Path) -> None:
    options = {"exemplars__masker": "box", "exemplars__scores": "gradient", "exemplars__image_codec": "webp"}
    finish(tmp_path / "run", **short, **options)
    with closing(memory(tmp_path / "run")) as reader:
        assert {*reader.codecs("image"), *reader.codecs(SURROUND)} - {""} == {"webp"}
        for exemplar in reader.read_many(range(len(reader))):
            image = exemplar.tokens["image"]
            assert image.grid == (4, 4) and exemplar.source_hw == (64, 64)
            rows, columns = (len(np.unique(axis)) for axis in np.divmod(image.positions, 4))
            assert rows * columns == len(image)
            assert (SURROUND in exemplar.tokens) == (len(image) < 16)


@pytest.mark.slow
def test_a_sharded_run_replays_small_pictures(short: dict[str, str], tmp_path: Path) -> None:
    precision = {"training__precision": "bf16", "training__activation_checkpointing": "true"}
    finish(tmp_path / "run", **short, **ZERO_3, **precision, exemplars__masker="low_res", exemplars__scores="rollout")
    with closing(memory(tmp_path / "run")) as reader:
        assert {exemplar.tokens["image"].grid for exemplar in reader.read_many(range(len(reader)))} == {(2, 2)}
