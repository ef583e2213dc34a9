import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from dist_mcl.errors import UserError
from dist_mcl.modalities.media import open_media_tokenizer
from dist_mcl.modality_config import TOKENS
from dist_mcl.packages import download
from dist_mcl.scenario.builders import made_of, prepare
from dist_mcl.scenario.builders.prepare import QUESTION_BUILDERS, prepare_emoji
from dist_mcl.scenario.builders.progress import Item
from dist_mcl.scenario.builders.questions import QuestionTables
from dist_mcl.scenario.commands import app
from dist_mcl.scenario.questions.tables import QuestionsInfo, check_sums, read_info, read_media
from dist_mcl.scenario.tables import shipped_folder

SAMPLE = Path(__file__).parents[3] / "data"


def quiet(sequence: Sequence[Item], description: str) -> Iterable[Item]:
    return sequence


@pytest.mark.network
def test_a_rebuild_equals_the_shipped_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path / "cache"))
    prepare_emoji(tmp_path / "emoji", quiet)
    shipped = shipped_folder("emoji")
    files = sorted(path.relative_to(shipped) for path in shipped.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path / "emoji") for path in (tmp_path / "emoji").rglob("*.*"))
    for file in files:
        assert (tmp_path / "emoji" / file).read_bytes() == (shipped / file).read_bytes(), file


@pytest.mark.network
@pytest.mark.parametrize(("name", "per_class"), [("shapes", 2), ("notes", 4)])
def test_the_committed_sample_is_built_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, per_class: int
) -> None:
    """Words and splits as they are; single numbers of media may differ with the processor."""
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path / "cache"))
    QUESTION_BUILDERS[name](tmp_path / name, quiet, per_class)
    check_sums(tmp_path / name)
    sample = SAMPLE / name
    assert (tmp_path / name / "ATTRIBUTION.md").read_bytes() == (sample / "ATTRIBUTION.md").read_bytes()
    (made, info), (expected, expected_info) = read_info(tmp_path / name), read_info(sample)
    assert made.equals(expected) and info == expected_info
    for modality in set(expected["modality"].to_pylist()):
        tokenizer = open_media_tokenizer(TOKENS[modality]())
        tables = read_media(tmp_path / name, modality), read_media(sample, modality)
        assert tables[0].drop_columns("media").equals(tables[1].drop_columns("media"))
        for one, other in zip(*(table["media"].to_pylist() for table in tables), strict=True):
            arrays = [tokenizer.read(io.BytesIO(coded)).astype(np.float64) for coded in (one, other)]
            assert arrays[0].shape == arrays[1].shape and (arrays[0] != arrays[1]).mean() < 0.01


def test_a_missing_client_is_named_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(download.CLIENTS, "npm", ("no-such-npm", "pack"))
    with pytest.raises(UserError, match=r"@iconify-json/noto 1\.2\.9: no-such-npm is not installed; install Node"):
        prepare_emoji(tmp_path / "emoji", quiet)
    assert not (tmp_path / "emoji").exists()


Prepare = Callable[..., bool]


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prepare:
    """Calls `mcl data prepare notes` for a set of one note; whether it was built."""
    tables = QuestionTables({"family": ["What?"]})
    note = {"name": "Piano", "source": "a", "label": "piano", "group": 0, "split": "train", "media": b"note"}
    tables.ask("audio", tables.add_media("audio", **note), "family", "piano", "train")
    built: list[int | None] = []

    def build(archives: object, most: int | None, track: object) -> SimpleNamespace:
        built.append(most)
        return SimpleNamespace(tables=tables, notes=[], info=QuestionsInfo("a set", "MIT", {}))

    monkeypatch.setitem(made_of.PACKAGES, "notes", ())
    monkeypatch.setattr(prepare.notes, "build", build)

    def call(*options: str) -> bool:
        before = len(built)
        result = CliRunner().invoke(app, ["prepare", "notes", "--output", str(tmp_path / "notes"), *options])
        assert result.exit_code == 0, result.exception
        assert ("is there already and whole; --again" in result.stdout) == (len(built) == before)
        return len(built) > before

    return call


def test_a_whole_set_is_built_once(prepared: Prepare) -> None:
    assert prepared()
    assert not prepared()
    assert prepared("--again")


@pytest.mark.parametrize("change", ["SHA256SUMS", "MADE_OF", "audio.parquet"])
def test_a_damaged_set_and_one_of_nobody_knows_what_are_built_again(
    tmp_path: Path, prepared: Prepare, change: str
) -> None:
    prepared()
    (tmp_path / "notes" / change).unlink()
    assert prepared() and not prepared()


def test_a_part_is_not_the_whole_and_the_other_way_round(prepared: Prepare) -> None:
    assert prepared("--per-class", "2") and not prepared("--per-class", "2")
    assert prepared("--per-class", "3")
    assert prepared() and prepared("--per-class", "3")


def test_another_recipe_makes_another_set(prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    prepared()
    monkeypatch.setattr(made_of, "_RECIPE", 2)
    assert prepared()


def test_a_set_that_is_half_replaced_is_not_taken_for_whole(
    tmp_path: Path, prepared: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared()
    folder, replace = tmp_path / "notes", Path.replace
    left = [path.name for path in folder.iterdir()]

    def seen(path: Path, target: Path) -> Path:
        if target.parent == folder:
            with pytest.raises(UserError, match="SHA256SUMS: cannot be read"):
                check_sums(folder)
            left.remove(target.name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", seen)
    assert prepared("--again") and left == []
    check_sums(folder)
