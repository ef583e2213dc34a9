"""`python -m studies.NAME --scale small|full`: run what is missing of a study, and write its page again."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal

from studies.cells import C, Result, results, run_missing

Scale = Literal["full", "small"]
_DOCS = Path(__file__).parents[1] / "docs" / "results"


@dataclass(frozen=True)
class Study(Generic[C]):
    """A study.

    Attributes:
        home: its folder.
        cells: all runs of a scale, those that say most first.
        write_page: from the results that there are and all runs that are wanted, into a folder; returns the page.
    """

    home: Path
    cells: Callable[[Scale], Sequence[C]]
    write_page: Callable[[Mapping[C, Result], Sequence[C], Path], Path]

    def page_folder(self, scale: Scale) -> Path:
        return _DOCS if scale == "full" else self.home / "small"

    def results_folder(self, scale: Scale) -> Path:
        return self.home / "results" if scale == "full" else self.home / "small" / "results"

    def main(self) -> None:
        """The command."""
        parser = argparse.ArgumentParser(prog=f"python -m studies.{self.home.name}", description=__doc__)
        parser.add_argument("--scale", choices=("full", "small"), default="full", help="full: what docs/results shows")
        parser.add_argument("--processes", type=int, default=2, help="runs at once, one thread each (2)")
        parser.add_argument("--page-only", action="store_true", help="run nothing; write the page of what there is")
        arguments = parser.parse_args()
        wanted, folder = self.cells(arguments.scale), self.results_folder(arguments.scale)
        if not arguments.page_only:
            run_missing(wanted, folder, arguments.processes)
        page = self.write_page(results(wanted, folder), wanted, self.page_folder(arguments.scale))
        print(f"{page} is written")
