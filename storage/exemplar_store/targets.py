"""What an exemplar is to be answered with, beyond its class: further classes, and a question with its answer.

Segments hold rows and arrays for them only if one of their exemplars has them. FORMAT.md section 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from exemplar_store.errors import Damaged, StoreError
from exemplar_store.zarr_arrays import SegmentFiles, read_array

LABELS, TEXTS = "labels", "texts"  # arrays, and the rows of the table that say how much of them an exemplar has
ROWS = {LABELS: ("further_labels",), TEXTS: ("question_bytes", "answer_bytes")}
MAX_LABELS = 1 << 16  # of one exemplar
MAX_TEXT = 1 << 20  # bytes of one question or answer
MAX_ARRAY = 1 << 27  # numbers in one array of a segment


@dataclass(frozen=True)
class Target:
    """The part of an exemplar's target that is not its class.

    Attributes:
        further_labels: the other classes of a sample that has several, ascending.
        question, answer: texts, empty where there is none.
    """

    further_labels: tuple[int, ...] = ()
    question: str = ""
    answer: str = ""

    def check(self, label: int) -> None:
        """Refuse what cannot be stored for an exemplar of class ``label``.

        Raises:
            StoreError: labels that are not distinct, ascending and 0 or more, or are too many; a text that is too long
                or is not Unicode.
        """
        labels = self.further_labels
        if list(labels) != sorted({*labels} - {label}) or len(labels) > MAX_LABELS:
            raise StoreError(
                f"further_labels are {str(labels)[:80]}; they must ascend without the exemplar's own class {label}, "
                f"{MAX_LABELS} at most"
            )
        if labels and not 0 <= labels[0] <= labels[-1] < 1 << 63:
            raise StoreError(f"further_labels are {str(labels)[:80]}; they must be 0 or more and fit 63 bits")
        for name in ("question", "answer"):
            try:
                size = len(getattr(self, name).encode("utf-8"))
            except UnicodeEncodeError as error:
                raise StoreError(f"{name} is not Unicode text: {error.reason} at character {error.start}") from error
            if size > MAX_TEXT:
                raise StoreError(f"{name} has {size} bytes; the store takes {MAX_TEXT}")


CLASS_ONLY = Target()


def target_arrays(targets: Sequence[Target]) -> tuple[dict[str, list[int]], dict[str, NDArray[np.generic]]]:
    """Further rows of a segment's table by name, and further arrays by name, for its exemplars in order."""
    labels = np.array([label for one in targets for label in one.further_labels], np.int64)
    texts = [(one.question.encode("utf-8"), one.answer.encode("utf-8")) for one in targets]
    joined = np.frombuffer(b"".join(part for pair in texts for part in pair), np.uint8)
    rows: dict[str, list[int]] = {}
    if labels.size:
        rows["further_labels"] = [len(one.further_labels) for one in targets]
    if joined.size:
        rows["question_bytes"], rows["answer_bytes"] = ([len(pair[side]) for pair in texts] for side in (0, 1))
    arrays: dict[str, NDArray[np.generic]] = {LABELS: labels, TEXTS: joined}
    return rows, {name: values for name, values in arrays.items() if values.size}


class SegmentTargets:
    """The targets of an open segment of ``count`` exemplars.

    Args:
        columns: the further rows of its table, int64 (count,) by name.

    Raises:
        Damaged: a row claims more than an exemplar may have, or an array is not what the rows say.
    """

    def __init__(self, files: SegmentFiles, columns: Mapping[str, NDArray[np.int64]], count: int) -> None:
        self._where = str(files.directory)
        nothing = np.zeros(count, np.int64)
        sizes = {row: columns.get(row, nothing) for rows in ROWS.values() for row in rows}
        for row, column in sizes.items():
            most = MAX_LABELS if row == "further_labels" else MAX_TEXT
            if column.min(initial=0) < 0 or column.max(initial=0) > most:
                raise Damaged(f"{self._where}/table: {row} runs from {column.min()} to {column.max()}, allowed {most}")
        self._labels_start = _starts(sizes["further_labels"])
        self._texts_start = _starts(sizes["question_bytes"] + sizes["answer_bytes"])
        self._question_bytes = sizes["question_bytes"]
        self._labels = self._read(files, LABELS, "int64", int(self._labels_start[-1]))
        self._texts = self._read(files, TEXTS, "uint8", int(self._texts_start[-1])).tobytes()

    def of(self, row: int) -> Target:
        """The target of the exemplar at ``row``."""
        if not len(self._labels) and not self._texts:
            return CLASS_ONLY
        labels = self._labels[self._labels_start[row] : self._labels_start[row + 1]]
        text = self._texts[self._texts_start[row] : self._texts_start[row + 1]]
        middle = int(self._question_bytes[row])
        try:
            return Target(tuple(labels.tolist()), text[:middle].decode("utf-8"), text[middle:].decode("utf-8"))
        except UnicodeDecodeError as error:
            raise Damaged(f"{self._where}/texts: exemplar {row}: {error}") from error

    def _read(self, files: SegmentFiles, name: str, data_type: str, length: int) -> NDArray[np.int64]:
        if length > MAX_ARRAY:
            raise Damaged(f"{self._where}/table: claims {length} {name}, allowed are {MAX_ARRAY}")
        return read_array(files, name, data_type, (length,)) if length else np.empty(0, np.int64)


def _starts(sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
