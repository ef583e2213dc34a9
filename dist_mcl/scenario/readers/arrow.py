"""Arrow IPC files, memory-mapped: their rows are read from disk when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa

from dist_mcl.errors import UserError


def open_table(path: Path, columns: Sequence[str]) -> pa.Table:
    """The rows of an IPC file or stream.

    Args:
        columns: names that have to be among its columns.

    Raises:
        UserError: the file is missing, is no Arrow file or lacks a column.
    """
    try:
        source = pa.memory_map(str(path))
        table = _read(source)
    except FileNotFoundError as error:
        raise UserError(f"{path}: no such file; docs/data.md shows the layout") from error
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Arrow file ({error}); get it again") from error
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise UserError(f"{path}: has no column {missing[0]!r}, its columns are {', '.join(table.column_names)}")
    return table


def picture_of(table: pa.Table, column: str, row: int) -> Callable[[], BinaryIO]:
    """Opens one coded picture: a binary value, or a struct with `bytes` as Hugging Face's Image feature has it.

    Only what is read of the stream is read from disk. Called, it raises ValueError where there are no bytes.
    """

    def open_picture() -> BinaryIO:
        value = table[column][row]
        if isinstance(value, pa.StructScalar) and value.is_valid and "bytes" in value:
            value = value["bytes"]
        if not value.is_valid or not (pa.types.is_binary(value.type) or pa.types.is_large_binary(value.type)):
            raise ValueError(f"column {column} has no picture's bytes there")
        stream: BinaryIO = pa.BufferReader(value.as_buffer())
        return stream

    return open_picture


def texts_of(value: Any, source: str) -> list[str | None]:
    """The texts of one row: a string, or a list of them; [None] where there is none.

    Raises:
        UserError: it is neither.
    """
    texts = [value] if isinstance(value, str) else value
    if texts is None or texts == []:
        return [None]
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{source}: {value!r} is neither a text nor a list of texts; mend the file")
    return texts


def _read(source: pa.MemoryMappedFile) -> pa.Table:
    try:
        return pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid:  # a stream has no footer
        source.seek(0)
        return pa.ipc.open_stream(source).read_all()
