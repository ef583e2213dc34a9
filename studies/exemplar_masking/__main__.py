"""`python -m studies.exemplar_masking --scale small|full`."""

from __future__ import annotations

from pathlib import Path

from studies.command import Study
from studies.exemplar_masking.grid import cells
from studies.exemplar_masking.page import write_page

STUDY = Study(Path(__file__).parent, cells, write_page)

if __name__ == "__main__":
    STUDY.main()
