"""Reading one segment: side arrays into memory at once, payloads one exemplar at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from exemplar_store.disk import read_inside
from exemplar_store.errors import Damaged
from exemplar_store.exemplar import MAX_GRID, EncodedExemplar, EncodedTokens, Exemplar, decode
from exemplar_store.outline import Outline
from exemplar_store.records import (
    SEGMENT_ATTRIBUTE,
    SegmentAttributes,
    SegmentIndex,
    SegmentRef,
    crc_text,
    parse_object,
    parse_record,
    unseal,
)
from exemplar_store.table import row_names
from exemplar_store.targets import SegmentTargets
from exemplar_store.zarr_arrays import CRC, Payload, SegmentFiles, read_array

MAX_MASKS = 1 << 30  # bytes of position masks in one segment; a segment that claims more is refused
MAX_TABLE = 1 << 30  # bytes of the table of a segment, likewise
MAX_PAYLOAD = 1 << 60  # bytes of payload of a segment


def open_files(root: Path, ref: SegmentRef) -> SegmentFiles:
    """The list of a segment's files, itself checked against the generation.

    Raises:
        Damaged: segment.json is missing, changed, or disagrees with the generation.
    """
    directory = root / "segments" / ref.name
    path = directory / "segment.json"
    data = read_inside(root, path)
    if crc_text(data) != ref.crc32c:
        raise Damaged(f"{path}: crc32c is {crc_text(data)}, the generation says {ref.crc32c}; it was changed")
    index = parse_record(SegmentIndex, unseal(data, str(path)), str(path))
    total = len(data) + sum(size for size, _ in index.files.values())
    if (index.exemplars, total) != (ref.exemplars, ref.bytes):
        raise Damaged(
            f"{path}: {index.exemplars} exemplars in {total} bytes, the generation says {ref.exemplars} in {ref.bytes}"
        )
    return SegmentFiles(root, directory, index.files)


class SegmentReader:
    """One open segment of n exemplars.

    Attributes:
        columns: int64 (n,) by row name of the table, see `table.row_names`.
        score: float32 (n,).
        targets: further classes and texts.
        modalities: sides of the grid by modality name, ordered by name.
        kept, places: int64 (n,) by modality: tokens kept, and tokens of the full grid (0 without the modality).
    """

    def __init__(self, root: Path, ref: SegmentRef) -> None:
        self.files = open_files(root, ref)
        self._where = str(self.files.directory)
        self._read_attributes()
        count = ref.exemplars
        if self.files.size("score/c/0") != 4 * count + CRC:  # bounds everything that is allocated below
            raise Damaged(f"{self._where}/score/c/0: {self.files.size('score/c/0')} bytes do not hold {count} scores")
        self.score: NDArray[np.float32] = read_array(self.files, "score", "float32", (count,))
        self._read_table(count)
        self._read_masks()
        sizes = np.sum([self.columns[f"{name}.bytes"] for name in self.modalities], axis=0)
        if sizes.sum(dtype=np.float64) > MAX_PAYLOAD:  # float: a sum of absurd sizes must not wrap around
            raise Damaged(f"{self._where}/table: claims more than {MAX_PAYLOAD} bytes of payload")
        self._start = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        self.payload = Payload(self.files, int(self._start[-1]))

    def __len__(self) -> int:
        return len(self.score)

    def __iter__(self) -> Iterator[EncodedExemplar]:
        return (self.encoded(row) for row in range(len(self)))

    def encoded(self, row: int) -> EncodedExemplar:
        """The exemplar at ``row`` as it is stored, its payload checked.

        Raises:
            Damaged: the payload's checksum does not match.
        """
        payload = self.payload.read(int(self._start[row]), int(self._start[row + 1]))
        if google_crc32c.value(payload) != self.columns["crc32c"][row]:
            raise Damaged(f"{self.where(row)}: its checksum does not match; the payload was changed")
        return self._exemplar(row, payload)

    def outline(self, row: int) -> Outline:
        """The exemplar at ``row`` without its payload, which is not read."""
        facts = self._exemplar(row, b"")
        sizes = tuple(int(self.columns[f"{part.modality}.bytes"][row]) for part in facts.parts)
        return Outline(facts, sizes, int(self.columns["crc32c"][row]))

    def decoded(self, row: int) -> Exemplar:
        """The exemplar at ``row``, checked and decoded."""
        return decode(self.encoded(row), self.where(row))

    def where(self, row: int) -> str:
        """Name of an exemplar for error messages."""
        return f"{self._where}/payload: exemplar {row} (sample {self.columns['sample_id'][row]})"

    def close(self) -> None:
        self.payload.close()

    def _exemplar(self, row: int, payload: bytes) -> EncodedExemplar:
        cell = dict(zip(self.columns, self._table[:, row].tolist(), strict=True))
        parts, at = [], 0
        for name, sides in self.modalities.items():
            if cell[f"{name}.encoding"] >= 0:
                grid = tuple(cell[f"{name}.grid.{side}"] for side in range(sides))
                mask = self._mask[name][self._mask_start[name][row] : self._mask_start[name][row + 1]].tobytes()
                size = cell[f"{name}.bytes"]
                parts.append(
                    EncodedTokens(name, self.encodings[cell[f"{name}.encoding"]], grid, mask, payload[at : at + size])
                )
                at += size
        return EncodedExemplar(
            cell["sample_id"],
            cell["label"],
            cell["stage"],
            cell["rank"],
            float(self.score[row]),
            (cell["source_height"], cell["source_width"]),
            cell["baseline_bytes"],
            tuple(parts),
            self.targets.of(row),
        )

    def _read_attributes(self) -> None:
        where = f"{self._where}/zarr.json"
        attributes = parse_object(self.files.read("zarr.json"), where).get("attributes")
        fields = attributes.get(SEGMENT_ATTRIBUTE) if isinstance(attributes, dict) else None
        if not isinstance(fields, dict):
            raise Damaged(f"{where}: has no attribute {SEGMENT_ATTRIBUTE}")
        record = parse_record(SegmentAttributes, fields, where)
        self.modalities = {modality.name: modality.sides for modality in record.modalities}
        self.encodings = [one.encoding for one in record.encodings]

    def _read_table(self, count: int) -> None:
        fields, where = self.files.metadata("table")
        attributes = fields.get("attributes")
        rows = attributes.get("rows") if isinstance(attributes, dict) else None
        expected = row_names(self.modalities)
        if not isinstance(rows, list) or rows[: len(expected)] != expected or len(rows) > 2 * len(expected):
            raise Damaged(f"{where}: rows are {str(rows)[:200]}, expected {expected}")
        if 8 * len(rows) * count > MAX_TABLE:
            raise Damaged(f"{where}: claims {8 * len(rows) * count} bytes of table, allowed are {MAX_TABLE}")
        table = read_array(self.files, "table", "int64", (len(rows), count))
        self._table = table[: len(expected)]
        self.columns = dict(zip(expected, self._table, strict=True))
        further = dict(zip(map(str, rows[len(expected) :]), table[len(expected) :], strict=True))
        self.targets = SegmentTargets(self.files, further, count)
        for name, column in self.columns.items():
            low, high = (-1, len(self.encodings) - 1) if name.endswith(".encoding") else (0, _highest(name))
            if column.min() < low or column.max() > high:
                raise Damaged(
                    f"{self._where}/table: {name} runs from {column.min()} to {column.max()}, allowed is "
                    f"{low} to {high}"
                )
        for name in self.modalities:
            if np.any((self.columns[f"{name}.encoding"] < 0) & (self.columns[f"{name}.bytes"] > 0)):
                raise Damaged(f"{self._where}/table: an exemplar without {name!r} has bytes of it")

    def _read_masks(self) -> None:
        self._mask_start: dict[str, NDArray[np.int64]] = {}
        self._mask: dict[str, NDArray[np.uint8]] = {}
        self.kept: dict[str, NDArray[np.int64]] = {}
        self.places: dict[str, NDArray[np.int64]] = {}
        for name, sides in self.modalities.items():
            places = np.ones(len(self), np.float64)  # float: a product of absurd sides must not wrap around
            for side in range(sides):
                places *= self.columns[f"{name}.grid.{side}"]
            if places.max() > MAX_GRID:
                raise Damaged(
                    f"{self._where}/table: a grid of {name!r} has {places.max():.0f} places, allowed are {MAX_GRID}"
                )
            self.places[name] = np.where(self.columns[f"{name}.encoding"] >= 0, places, 0).astype(np.int64)
            self._mask_start[name] = np.concatenate([[0], np.cumsum(-(-self.places[name] // 8))])
        total = sum(int(start[-1]) for start in self._mask_start.values())
        if total > MAX_MASKS:
            raise Damaged(f"{self._where}/table: claims {total} bytes of position masks, allowed are {MAX_MASKS}")
        masks = read_array(self.files, "positions", "uint8", (total,))
        at = 0
        for name, start in self._mask_start.items():
            self._mask[name] = masks[at : at + int(start[-1])]
            at += int(start[-1])
            counts = np.concatenate([[0], np.cumsum(np.bitwise_count(self._mask[name]), dtype=np.int64)])
            self.kept[name] = counts[start[1:]] - counts[start[:-1]]


def _highest(row: str) -> int:
    """The largest number that a row of the table may hold."""
    if row == "crc32c":
        return (1 << 32) - 1
    return MAX_GRID if ".grid." in row else (1 << 40) if row.endswith(".bytes") else (1 << 63) - 1
