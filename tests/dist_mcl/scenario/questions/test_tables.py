import shutil
from pathlib import Path

import pytest

from dist_mcl.errors import UserError
from dist_mcl.scenario.questions.tables import (
    QUESTIONS,
    QuestionsInfo,
    check_sums,
    read_info,
    read_media,
    write_questions,
    write_sums,
)

ROW = {"name": "Chair", "source": "a", "label": "seat", "group": 0, "split": "train", "media": b"file"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    questions = {
        "modality": ["image"],
        "media": [0],
        "task": ["category"],
        "question": ["What?"],
        "answers": [["seat"]],
        "split": ["train"],
    }
    info = QuestionsInfo("a set", "MIT", {"category": ("seat", "lamp")})
    write_questions(tmp_path, questions, {"image": {name: [value] for name, value in ROW.items()}}, info)
    (tmp_path / "licences").mkdir()
    (tmp_path / "licences" / "one.txt").write_text("free")
    write_sums(tmp_path)
    return tmp_path


def test_what_is_written_is_read(folder: Path) -> None:
    questions, info = read_info(folder)
    assert questions.to_pylist()[0]["answers"] == ["seat"]
    assert info == QuestionsInfo("a set", "MIT", {"category": ("seat", "lamp")})
    assert read_media(folder, "image").to_pylist() == [ROW]
    check_sums(folder)


@pytest.mark.parametrize("name", [QUESTIONS, "image.parquet", "licences/one.txt"])
def test_a_file_that_changed_or_is_missing_is_named(folder: Path, name: str) -> None:
    with (folder / name).open("ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match=rf"{name}: is not what was written there; make it with `mcl data prepare"):
        check_sums(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"{name}: is not what was written there"):
        check_sums(folder)


def test_missing_and_foreign_files_are_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"audio\.parquet: no such data file; make it with `mcl data prepare"):
        read_media(folder, "audio")
    shutil.copy(folder / "image.parquet", folder / QUESTIONS)
    with pytest.raises(UserError, match=r"questions\.parquet: another format"):
        read_info(folder)
    (folder / "SHA256SUMS").unlink()
    with pytest.raises(UserError, match="SHA256SUMS: cannot be read"):
        check_sums(folder)
