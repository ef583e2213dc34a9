"""Runs that are spread over processes, stopped and taken up again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from studies.cells import Result, results, run_missing

SLOW = 100  # numbers above it go on while another one fails


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
        while self.number > SLOW and "-1" not in self.log.read_text():
            time.sleep(0.05)
        if self.number > SLOW:
            time.sleep(1)  # until the failure has been seen
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


def test_what_runs_beside_a_failure_is_kept(tmp_path: Path) -> None:
    log, folder = tmp_path / "log", tmp_path / "results"
    cells = [Square(101, log), Square(-1, log), Square(3, log)]
    with pytest.raises(ValueError, match="negative"):
        run_missing(cells, folder, processes=2)
    assert results(cells, folder)[cells[0]] == {"square": 101**2}
