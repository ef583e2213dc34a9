"""How the exemplar store compares with other ways to keep the same exemplars, in one run.

Real crops of photographs, 36 % of their patches kept. Containers keep the same coded bytes and decode them with the
same codec in one thread, so that what differs is the container; whole JPEG and npz files are what people do without
one. All layouts are read in turns, so that other load on the machine meets all of them. Files are in the page cache.

    python benchmarks/store.py --exemplars 5000 --json store.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from exemplar_store import Raw, encode
from store_bench.containers import ArrowFile, Lance, Mds, Safetensors, WebDataset
from store_bench.files import NumpyArchives, WholeJpegs
from store_bench.layout import IMAGE, TEXT, Item, Layout
from store_bench.measure import Measurement, measure
from store_bench.own import OwnStore, Tensorstore, ZarrPython
from store_bench.pictures import SIDE, pictured
from store_bench.table import print_table

THREADS = 2
LAYOUTS: tuple[Callable[[], Layout], ...] = (
    lambda: OwnStore(IMAGE),
    lambda: OwnStore(IMAGE, THREADS),
    lambda: OwnStore(Raw(dtype="|u1", token_shape=(16, 16, 3))),
    ZarrPython,
    Tensorstore,
    Mds,
    Lance,
    WebDataset,
    Safetensors,
    ArrowFile,
    lambda: WholeJpegs(90),
    lambda: WholeJpegs(75),
    NumpyArchives,
)


def main() -> None:
    """Write, read, print the table and, if asked, JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exemplars", type=int, default=5000, help="how many exemplars to keep (5000)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of reading all layouts in turn (15)")
    parser.add_argument("--folder", type=Path, help="where to write the layouts; a temporary folder if left out")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()
    items = [
        Item(one.exemplar, encode(one.exemplar, {"image": IMAGE, "text": TEXT}), one.picture)
        for one in pictured(options.exemplars)
    ]
    layouts, missing = _available()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measured = measure(layouts, items, Path(folder), options.rounds)
    facts = _facts(items, measured, missing)
    print_table(facts)
    if options.json:
        options.json.write_text(json.dumps(facts, indent=1) + "\n", "utf-8")


def _available() -> tuple[list[Layout], dict[str, str]]:
    """The layouts whose libraries are installed, and why others are not."""
    layouts: list[Layout] = []
    missing = {}
    for make in LAYOUTS:
        try:
            layouts.append(make())
        except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision built for another torch
            missing[make.__name__] = f"left out: {error}; pip install 'dist-mcl[bench]'"
    return layouts, missing


def _facts(items: Sequence[Item], measured: Sequence[Measurement], missing: dict[str, str]) -> dict[str, object]:
    kept = sum(len(item.exemplar.tokens["image"]) for item in items) / len(items)
    return {
        "exemplars": len(items),
        "picture_side": SIDE,
        "patches_kept": round(kept, 2),
        "patches_kept_share": round(kept / (SIDE // 16) ** 2, 4),
        "coded_bytes": round(sum(len(item.encoded.payload) for item in items) / len(items), 1),
        "layouts": [one.facts() for one in measured],
        "missing": missing,
    }


if __name__ == "__main__":
    main()
