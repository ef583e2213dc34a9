from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from dist_mcl.errors import UserError
from dist_mcl.packages import download
from dist_mcl.scenario.builders.prepare import prepare_emoji
from dist_mcl.scenario.builders.progress import Item
from dist_mcl.scenario.tables import shipped_folder


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


def test_a_missing_client_is_named_and_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(download.CLIENTS, "npm", ("no-such-npm", "pack"))
    with pytest.raises(UserError, match=r"@iconify-json/noto 1\.2\.9: no-such-npm is not installed; install Node"):
        prepare_emoji(tmp_path / "emoji", quiet)
    assert not (tmp_path / "emoji").exists()
