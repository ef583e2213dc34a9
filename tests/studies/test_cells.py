"""Runs that are spread over processes, stopped and taken up again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from studies.cells import Result, results, run_missing


@dataclass(frozen=True)
class Square:
    number: int
    log: Path

    @property
    def name(self) -> str:
        return f"square-{self.number}"

    def run(self) -> Result:
        with self.log.open("a") as log:
            log.write(f"{self.number}\n")
        if self.number < 0:
            raise ValueError("negative")
        return {"square": self.number**2}


def test_what_has_a_result_is_not_run_again(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "results"
    run_missing([Square(2, log)], folder, processes=1)
    cells = [Square(2, log), Square(3, log)]
    run_missing(cells, folder, processes=2)
    assert log.read_text().split() == ["2", "3"]
    assert results(cells, folder) == {cells[0]: {"square": 4}, cells[1]: {"square": 9}}


def test_a_failure_ends_the_study_and_keeps_what_is_done(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "results"
    cells = [Square(2, log), Square(-1, log), Square(3, log), Square(4, log)]
    with pytest.raises(ValueError, match="negative"):
        run_missing(cells, folder, processes=1)
    kept = results(cells, folder)
    assert kept[cells[0]] == {"square": 4}
    assert cells[1] not in kept
