"""`python -m studies.exemplar_masking --scale small|full`: run what is missing, and write the page again."""

from __future__ import annotations

import argparse
from pathlib import Path

from studies.cells import results, run_missing
from studies.exemplar_masking.grid import cells
from studies.exemplar_masking.page import write_page

HERE = Path(__file__).parent
PAGES = {"full": HERE.parents[1] / "docs" / "results", "small": HERE / "small"}
RESULTS = {"full": HERE / "results", "small": HERE / "small" / "results"}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m studies.exemplar_masking", description=__doc__)
    parser.add_argument("--scale", choices=("full", "small"), default="full", help="full: what docs/results shows")
    parser.add_argument("--processes", type=int, default=2, help="runs at once, one thread each (2)")
    parser.add_argument("--page-only", action="store_true", help="run nothing; write the page of what there is")
    arguments = parser.parse_args()
    wanted, folder = cells(arguments.scale), RESULTS[arguments.scale]
    if not arguments.page_only:
        from studies.exemplar_masking.cell import run_cell  # loads torch, which the page does without

        run_missing(wanted, run_cell, folder, arguments.processes)
    page = write_page(results(wanted, folder), wanted, PAGES[arguments.scale])
    print(f"{page} is written")


if __name__ == "__main__":
    main()
