"""Exemplars in formats of others, decoded: npz (numpy), a tar for WebDataset, an Arrow IPC file."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exemplar_store.errors import StoreError
from exemplar_store.exemplar import Exemplar
from exemplar_store.reader import StoreReader
from exemplar_store.tokens import Tokens

ARROW_BATCH = 64  # exemplars that are in memory at once
NUMBERS = ("sample_id", "label", "stage", "rank", "score", "baseline_bytes")


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A file beside ``target`` that takes its name when all is written, and else is removed.

    Raises:
        StoreError: the target exists, or the disk refuses.
    """
    if target.exists():
        raise StoreError(f"{target}: exists; remove it or give another file")
    part = target.with_name(f".{target.name}.part")
    try:
        yield part
        part.rename(target)
    except OSError as error:
        raise StoreError(f"{error.filename or target}: {error.strerror or error}; nothing was written") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def facts(reader: StoreReader, exemplar: Exemplar) -> dict[str, Any]:
    """All of an exemplar but its tokens, as plain values."""
    return {
        **{name: getattr(exemplar, name) for name in NUMBERS},
        "class_name": reader.snapshot.generation.class_names.get(exemplar.label),
        "source_height": exemplar.source_hw[0],
        "source_width": exemplar.source_hw[1],
        "further_labels": list(exemplar.target.further_labels),
        "question": exemplar.target.question,
        "answer": exemplar.target.answer,
    }


def export_npz(path: Path, reader: StoreReader, indices: Iterable[int]) -> None:
    """One array per field, read with ``np.load(path)``; no pickle.

    ``sample_id``, ``label``, ... have an entry per exemplar. Modality ``m`` of exemplar i is ``m.values[a:b]`` at
    ``m.positions[a:b]`` of the grid ``m.grid[i]`` with ``a, b = m.start[i : i + 2]``; further labels likewise. The
    decoded memory is held in RAM.

    Raises:
        StoreError: the tokens of a modality are not of one dtype and shape.
    """
    exemplars = [reader.read(index) for index in indices]
    table = [facts(reader, one) for one in exemplars]
    arrays: dict[str, NDArray[Any]] = {
        name: np.array([record[name] for record in table])
        for name in (*NUMBERS, "source_height", "source_width", "question", "answer")
    }
    arrays["class_name"] = np.array([record["class_name"] or "" for record in table])
    arrays["further_labels"] = np.array([label for record in table for label in record["further_labels"]], np.int64)
    arrays["further_labels.start"] = _starts([len(record["further_labels"]) for record in table])
    for name in sorted({name for one in exemplars for name in one.tokens}):
        arrays |= _modality_arrays(name, [one.tokens.get(name) for one in exemplars])
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _modality_arrays(name: str, tokens: list[Tokens | None]) -> dict[str, NDArray[Any]]:
    present = [one for one in tokens if one is not None]
    kinds = {(one.values.dtype.str, one.values.shape[1:], len(one.grid)) for one in present}
    if len(kinds) > 1:
        raise StoreError(
            f"modality {name!r} has tokens of {len(kinds)} kinds ({', '.join(map(str, sorted(kinds)))}), an npz holds "
            "one; choose a --stage or --label, or another --format"
        )
    absent = (0,) * len(present[0].grid)
    return {
        f"{name}.values": np.concatenate([one.values for one in present]),
        f"{name}.positions": np.concatenate([one.positions for one in present]),
        f"{name}.start": _starts([0 if one is None else len(one) for one in tokens]),
        f"{name}.grid": np.array([absent if one is None else one.grid for one in tokens], np.int64),
    }


def _starts(counts: list[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def export_webdataset(path: Path, reader: StoreReader, indices: Iterable[int]) -> None:
    """A tar with the members of an exemplar one after the other, for WebDataset and for `tar`.

    Exemplar 7 has ``00000007.json`` (its facts, and the grids) and for each modality ``00000007.m.npy`` (values) and
    ``00000007.m.positions.npy``. The same exemplars make the same bytes.
    """
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for index in indices:
            one = reader.read(index)
            grids = {name: list(tokens.grid) for name, tokens in one.tokens.items()}
            record = json.dumps({**facts(reader, one), "grid": grids}, ensure_ascii=False)
            _add_member(archive, f"{index:08d}.json", record.encode("utf-8"))
            for name, tokens in one.tokens.items():
                _add_member(archive, f"{index:08d}.{name}.npy", _npy(tokens.values))
                _add_member(archive, f"{index:08d}.{name}.positions.npy", _npy(tokens.positions))


def _npy(values: NDArray[Any]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, allow_pickle=False)
    return buffer.getvalue()


def _add_member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    archive.addfile(member, io.BytesIO(data))


def export_arrow(path: Path, reader: StoreReader, indices: Iterable[int]) -> None:
    """An Arrow IPC file with a row per exemplar, for pyarrow, polars, DuckDB and Hugging Face datasets.

    Column ``tokens`` has a field per modality, null where an exemplar lacks it: ``values`` in C order as bytes, their
    ``dtype`` (numpy type string) and ``token_shape``, ``positions`` and ``grid``.
    """
    import pyarrow as pa

    modality = pa.struct(
        {
            "values": pa.binary(),
            "dtype": pa.string(),
            "token_shape": pa.list_(pa.int32()),
            "positions": pa.list_(pa.int64()),
            "grid": pa.list_(pa.int32()),
        }
    )
    numbers = dict.fromkeys((*NUMBERS, "source_height", "source_width"), pa.int64()) | {"score": pa.float64()}
    texts = dict.fromkeys(("class_name", "question", "answer"), pa.string())
    tokens = pa.struct(dict.fromkeys(sorted(reader.kept), modality))
    schema = pa.schema(numbers | {"further_labels": pa.list_(pa.int64())} | texts | {"tokens": tokens})
    remaining = iter(indices)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, schema) as writer:
        while batch := [reader.read(index) for index in islice(remaining, ARROW_BATCH)]:
            rows = [facts(reader, one) | {"tokens": _structs(one)} for one in batch]
            writer.write_batch(pa.RecordBatch.from_pylist(rows, schema))


def _structs(exemplar: Exemplar) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "values": tokens.values.tobytes(),
            "dtype": tokens.values.dtype.str,
            "token_shape": list(tokens.values.shape[1:]),
            "positions": tokens.positions,
            "grid": list(tokens.grid),
        }
        for name, tokens in exemplar.tokens.items()
    }


EXPORTS: dict[str, Callable[[Path, StoreReader, Iterable[int]], None]] = {
    "npz": export_npz,
    "webdataset": export_webdataset,
    "arrow": export_arrow,
}
