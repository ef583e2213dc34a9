"""`python -m studies.pathweave --scale small|full`."""

from __future__ import annotations

from pathlib import Path

from studies.command import Study
from studies.pathweave.grid import cells
from studies.pathweave.page import write_page

STUDY = Study(Path(__file__).parent, cells, write_page)

if __name__ == "__main__":
    STUDY.main()
