"""How the exemplar store compares with other ways to keep the same exemplars, in one run.

Real crops of photographs, 36 % of their patches kept. Containers keep the same coded bytes and decode them with the
same codec in one thread, so that what differs is the container; whole JPEG and npz files are what people do without
one. All layouts are read in turns, so that other load on the machine meets all of them. Files are in the page cache.

    python benchmarks/store.py --exemplars 2000 --json store.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from exemplar_store import Avif, Jxl, Predicted, Raw, UnsupportedFormat, Webp, WebpLossless, encode
from store_bench.containers import ArrowFile, Lance, Mds, Safetensors, WebDataset
from store_bench.files import NumpyArchives, WholeJpegs
from store_bench.layout import IMAGE, TEXT, Item, Layout
from store_bench.measure import BATCH, Measurement, measure
from store_bench.own import THREADS, OwnStore, Tensorstore, ZarrPython
from store_bench.pictures import SIDE, pictured
from store_bench.table import print_table

PATCH = (16, 16, 3)
LAYOUTS: dict[str, Callable[[], Layout]] = {
    "jpeg": lambda: OwnStore(IMAGE),
    "jpeg in threads": lambda: OwnStore(IMAGE, THREADS),
    "webp q85": lambda: OwnStore(Webp(quality=85)),
    "webp": lambda: OwnStore(Webp()),
    "avif": lambda: OwnStore(Avif()),
    "jxl": lambda: OwnStore(Jxl()),
    "webp-lossless": lambda: OwnStore(WebpLossless()),
    "predicted": lambda: OwnStore(Predicted(dtype="|u1", token_shape=PATCH)),
    "raw": lambda: OwnStore(Raw(dtype="|u1", token_shape=PATCH)),
    "zarr-python": ZarrPython,
    "tensorstore": Tensorstore,
    "MDS": Mds,
    "Lance": Lance,
    "WebDataset": WebDataset,
    "safetensors": Safetensors,
    "Arrow IPC": ArrowFile,
    "whole JPEG q90": lambda: WholeJpegs(90),
    "whole JPEG q75": lambda: WholeJpegs(75),
    "npz": NumpyArchives,
}


def main() -> None:
    """Write, read, print the table and, if asked, JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exemplars", type=int, default=2000, help="how many exemplars to keep (2000)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of reading all layouts in turn (15)")
    parser.add_argument("--folder", type=Path, help="where to write the layouts; a temporary folder if left out")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()
    if options.exemplars < BATCH:
        parser.error(f"--exemplars is {options.exemplars}; at least {BATCH} are needed, a batch")
    if options.rounds < 1:
        parser.error(f"--rounds is {options.rounds}; at least 1 is needed")
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
    for name, make in LAYOUTS.items():
        try:
            layouts.append(make())
        except (ImportError, UnsupportedFormat) as error:
            missing[name] = f"left out: {error}; `make bench-store` installs all that is compared"
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
