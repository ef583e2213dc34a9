"""Containers that other training code uses, each with the very bytes that the store keeps of an exemplar.

They keep a record of four byte strings and decode it with the same codecs, so what differs is the container. None of
them checks what it reads in the way that it is used here.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.numpy

from store_bench.layout import Item, OneByOne, Reader, Record, tokens_of

FIELDS = ("image", "kept", "text", "words")


class Container:
    """Keeps records."""

    name: str
    note = "no checks"

    def prepare(self, items: Sequence[Item]) -> Sequence[Record]:
        return [item.record for item in items]


class ArrowFile(Container):
    """Arrow IPC file, mapped into memory."""

    name = "Arrow IPC"

    def write(self, folder: Path, prepared: Sequence[Record]) -> None:
        folder.mkdir()
        table = _table(prepared)
        with pa.OSFile(str(folder / "exemplars.arrow"), "wb") as sink, pa.ipc.new_file(sink, table.schema) as file:
            file.write_table(table)

    def open(self, folder: Path) -> Reader:
        return _ArrowReader(pa.ipc.open_file(pa.memory_map(str(folder / "exemplars.arrow"))).read_all())


class _ArrowReader(OneByOne):
    def __init__(self, table: pa.Table) -> None:
        self._columns = [table[field].combine_chunks() for field in FIELDS]

    def read(self, index: int) -> Any:
        return tokens_of(*(column[index].as_py() for column in self._columns))


class Lance(Container):
    """Lance dataset, rows by `take`."""

    def __init__(self) -> None:
        import lance

        self._lance, self.name = lance, f"Lance {lance.__version__}"

    def write(self, folder: Path, prepared: Sequence[Record]) -> None:
        self._lance.write_dataset(_table(prepared), str(folder))

    def open(self, folder: Path) -> Reader:
        return _LanceReader(self._lance.dataset(str(folder)))


class _LanceReader:
    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset

    def read(self, index: int) -> Any:
        return self.read_many([index])[0]

    def read_many(self, indices: Sequence[int]) -> list[Any]:
        rows = self._dataset.take(list(map(int, indices)), columns=list(FIELDS))
        return [tokens_of(*row) for row in zip(*(rows[field].to_pylist() for field in FIELDS), strict=True)]


class Mds(Container):
    """MosaicML streaming's MDS, read in place by its `LocalDataset`, without its download and shuffling."""

    def __init__(self) -> None:
        _stand_in_for_torchvision()
        import streaming

        self._streaming, self.name = streaming, f"MDS (streaming {streaming.__version__})"

    def write(self, folder: Path, prepared: Sequence[Record]) -> None:
        with self._streaming.MDSWriter(out=str(folder), columns=dict.fromkeys(FIELDS, "bytes")) as writer:
            for record in prepared:
                writer.write(record)

    def open(self, folder: Path) -> Reader:
        return _Rows(self._streaming.LocalDataset(str(folder)))


def _stand_in_for_torchvision() -> None:
    """Let `import streaming` pass: it wants torchvision for data sets of pictures, of which nothing is measured here.

    The torchvision of the package index does not load beside torch for the CPU.
    """
    import transformers.feature_extraction_utils  # noqa: F401 - streaming loads it, and it must not see the stand-in

    names = ("torchvision", "torchvision.datasets", "torchvision.transforms", "torchvision.transforms.functional")
    modules = {name: ModuleType(name) for name in names}
    modules["torchvision.datasets"].__dict__["VisionDataset"] = object
    modules["torchvision.transforms.functional"].__dict__["to_tensor"] = None
    for name, module in modules.items():
        sys.modules.setdefault(name, module)


class WebDataset(Container):
    """WebDataset tar, read at random by its companion `wids`."""

    note = "tar; read by wids; no checks"

    def __init__(self) -> None:
        import webdataset
        from wids.wids import IndexedTarSamples

        self._writer, self._samples = webdataset.TarWriter, IndexedTarSamples
        self.name = f"WebDataset {webdataset.__version__}"

    def write(self, folder: Path, prepared: Sequence[Record]) -> None:
        folder.mkdir()
        with self._writer(str(folder / "exemplars.tar")) as writer:
            for number, record in enumerate(prepared):
                writer.write({"__key__": f"{number:06d}", **record})

    def open(self, folder: Path) -> Reader:
        return _Members(self._samples(path=str(folder / "exemplars.tar")))


class Safetensors(Container):
    """One byte string of all records, and where each begins, in a safetensors file, mapped into memory."""

    name = "safetensors"

    def write(self, folder: Path, prepared: Sequence[Record]) -> None:
        folder.mkdir()
        tensors = {}
        for field in FIELDS:
            pieces = [record[field] for record in prepared]
            tensors[field] = np.frombuffer(b"".join(pieces), np.uint8)
            tensors[f"{field}.start"] = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
        safetensors.numpy.save_file(tensors, folder / "exemplars.safetensors")

    def open(self, folder: Path) -> Reader:
        return _SafetensorsReader(folder / "exemplars.safetensors")


class _SafetensorsReader(OneByOne):
    def __init__(self, path: Path) -> None:
        file = safetensors.safe_open(path, "numpy")
        self._slices = [file.get_slice(field) for field in FIELDS]
        self._starts = [file.get_tensor(f"{field}.start") for field in FIELDS]

    def read(self, index: int) -> Any:
        pieces = zip(self._slices, self._starts, strict=True)
        return tokens_of(*(piece[int(start[index]) : int(start[index + 1])].tobytes() for piece, start in pieces))


class _Rows(OneByOne):
    """Anything that gives a record by its number."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def read(self, index: int) -> Any:
        row = self._rows[int(index)]
        return tokens_of(*(row[field] for field in FIELDS))


class _Members(OneByOne):
    """Samples of a tar: open files by extension."""

    def __init__(self, samples: Any) -> None:
        self._samples = samples

    def read(self, index: int) -> Any:
        sample = self._samples[int(index)]
        return tokens_of(*(sample[f".{field}"].read() for field in FIELDS))


def _table(records: Sequence[Record]) -> pa.Table:
    return pa.table({field: pa.array([record[field] for record in records], pa.binary()) for field in FIELDS})
