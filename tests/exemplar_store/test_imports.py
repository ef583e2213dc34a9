"""`exemplar-store import`: pictures and samples.jsonl to a store, and one line for every mistake."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from exemplar_store import StoreReader, Target, verify
from exemplar_store.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two pictures of one colour each, and one that is no picture."""
    path = tmp_path / "photos"
    (path / "more").mkdir(parents=True)
    Image.new("RGB", (80, 40), (200, 30, 30)).save(path / "red.png")
    Image.new("L", (64, 64), 77).save(path / "more" / "grey.jpg")
    (path / "broken.jpg").write_bytes(b"\xff\xd8 not a picture")
    return path


def samples(folder: Path, *lines: dict[str, Any]) -> None:
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def run(folder: Path, *options: str, budget: str = "20 kB") -> int:
    target = str(folder.parent / "store")
    return main(["import", str(folder), target, "--budget", budget, "--size", "32", *options])


def test_pictures_texts_and_targets_come_in(
    folder: Path, tokenizer_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples(
        folder,
        {"label": "colour", "image": "red.png", "text": "a red square", "kept_tokens": [1, 2], "kept": [0, 3]},
        {"label": "grey", "image": "more/grey.jpg", "further_labels": ["colour", "photo"], "stage": 2, "score": 0.5},
        {"label": "colour", "tokens": [3, 1], "question": "What?", "answer": "This.", "sample_id": 70},
    )
    assert run(folder, "--tokenizer", str(tokenizer_file), "--quality", "80") == 0
    assert "3 of 3 samples" in capsys.readouterr().out
    store = folder.parent / "store"
    assert verify(store, full=True).problems == []
    reader = StoreReader(store)
    assert reader.snapshot.generation.class_names == {0: "colour", 1: "grey", 2: "photo"}
    assert reader.snapshot.generation.stages == (1, 2)
    red, grey, asked = reader.read_many([0, 1, 2])
    assert (red.sample_id, grey.sample_id, asked.sample_id) == (0, 1, 70)
    assert (red.rank, grey.rank, asked.rank) == (0, 0, 1) and red.source_hw == (40, 80) and grey.score == 0.5
    image, text = red.tokens["image"], red.tokens["text"]
    assert image.grid == (2, 2) and image.positions.tolist() == [0, 3]
    assert np.abs(image.values.astype(int) - (200, 30, 30)).max() < 6
    assert text.values.tolist() == [2, 3] and text.positions.tolist() == [1, 2] and text.grid == (3,)
    assert np.abs(grey.tokens["image"].values.astype(int) - 77).max() < 4 and grey.baseline_bytes > 200
    assert grey.target == Target(further_labels=(0, 2)) and asked.target == Target((), "What?", "This.")


def test_the_budget_decides_how_many_come_in(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples(folder, *({"label": number % 3, "tokens": list(range(500))} for number in range(30)))
    assert run(folder, budget="25KiB") == 0
    reader = StoreReader(folder.parent / "store")
    assert 5 < len(reader) < 25 and reader.snapshot.used_bytes <= 25 * 1024
    assert f"{len(reader)} of 30 samples" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"label": 0}, "line 2: has no image, text or tokens"),
        ({"image": "red.png"}, "line 2: label: Field required"),
        ({"label": 0, "image": "red.png", "colour": 1}, "line 2: colour is '1': Extra inputs"),
        ({"label": -1, "image": "red.png"}, "line 2: label is '-1': Input should be greater"),
        ({"label": "name", "image": "red.png"}, "some classes are numbers and some are names"),
        ({"label": 0, "image": "none.png"}, "line 2: image 'none.png': No such file"),
        ({"label": 0, "image": "broken.jpg"}, "line 2: image 'broken.jpg': cannot identify"),
        ({"label": 0, "image": "../secret.png"}, "'../secret.png' lies outside the folder"),
        ({"label": 0, "image": "/etc/passwd"}, "'/etc/passwd' lies outside the folder"),
        ({"label": 0, "image": "link.png"}, "'link.png' lies outside the folder"),
        ({"label": 0, "image": "loop.png"}, "line 2: image 'loop.png'"),
        ({"label": 0, "image": "pipe.png"}, "line 2: image 'pipe.png' is no file"),
        ({"label": 0, "image": "more"}, "line 2: image 'more' is no file"),
        ({"label": 0, "image": "a\0b.png"}, "line 2: image 'a\\x00b.png': "),
        ({"label": 0, "image": "red.png", "kept": [4]}, "kept is [4]; the numbers must ascend and be below 4"),
        ({"label": 0, "image": "red.png", "kept": [2, 1]}, "kept is [2, 1]"),
        ({"label": 0, "text": "a", "tokens": [1]}, "has a text and tokens"),
        ({"label": 0, "text": "a"}, "line 2: has a text; give --tokenizer"),
        ({"label": 0, "image": "red.png", "sample_id": 0}, "sample 0"),
        ({"label": 0, "image": "red.png", "answer": "\ud800"}, "line 2: the line is '{"),
    ],
)
def test_mistakes_get_one_line_and_make_no_store(
    folder: Path, capsys: pytest.CaptureFixture[str], line: dict[str, Any], message: str
) -> None:
    Image.new("RGB", (32, 32)).save(folder.parent / "secret.png")
    (folder / "link.png").symlink_to(folder.parent / "secret.png")
    (folder / "loop.png").symlink_to(folder / "loop.png")
    os.mkfifo(folder / "pipe.png")  # reading it would wait for ever
    samples(folder, {"label": 0, "image": "red.png"}, line)
    assert run(folder) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1
    assert sorted(path.name for path in folder.parent.iterdir()) == ["photos", "secret.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "many"], "budget is 'many'; write a size such as"),
        (["--budget", "400"], "budget_bytes is 400"),
        (["--budget", 400 * "9" + "GB"], "budget_bytes is more than 2^63 - 1"),
        (["--size", "1000000"], "--size"),
        (["--budget", "900"], "raise the budget"),
        (["--size", "30"], "size is 30; it must be a multiple of the patch of 16"),
        (["--tokenizer", "none.json"], "none.json: No such file"),
    ],
)
def test_options_that_make_no_sense(
    folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    samples(folder, {"label": 0, "image": "red.png"}, {"label": 0, "tokens": [1]})
    assert run(folder, *options) == 2
    err = capsys.readouterr().err
    assert message in err and err.count("\n") == 1 and not (folder.parent / "store").exists()


def test_a_folder_without_samples_makes_no_store(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples(folder)
    assert run(folder) == 2 and "samples.jsonl: holds no samples" in capsys.readouterr().err
    assert not (folder.parent / "store").exists()


def test_a_store_that_exists_is_left_alone(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    samples(folder, {"label": 0, "image": "red.png"})
    assert run(folder) == 0
    before = {path: path.read_bytes() for path in (folder.parent / "store").rglob("*") if path.is_file()}
    assert run(folder) == 2 and "exists and is not empty" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in before} == before


def test_a_folder_without_samples(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path) == 2
    assert f"{tmp_path / 'samples.jsonl'}: No such file" in capsys.readouterr().err
