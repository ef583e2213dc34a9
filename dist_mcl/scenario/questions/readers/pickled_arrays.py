"""Arrays of numbers from a pickle that somebody else wrote.

A pickle can run any code, and numpy's own makers trust what it says of a data type so far that the process may crash.
So nothing that a pickle names is looked up: for the few names that arrays of numbers need it gets what is written here.
"""

from __future__ import annotations

import pickle
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

# What reading a damaged or foreign file raises.
PICKLE_ERRORS = (
    *(pickle.UnpicklingError, EOFError, AttributeError, LookupError),
    *(MemoryError, OverflowError, TypeError, ValueError),
)


class PickledArray:
    """What takes the place of an array.

    Attributes:
        numbers: once it is read, its integers or floats.
    """

    numbers: NDArray[Any]

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, by_columns, raw = state
        coded = raw.encode("latin1") if isinstance(raw, str) else raw  # as Python 2 wrote it
        self.numbers = np.frombuffer(coded, kind.dtype).reshape(shape, order="F" if by_columns else "C")


def load_arrays(file: BinaryIO) -> Any:
    """What a pickle of lists, tuples, numbers and numpy's arrays holds; each array is a `PickledArray`.

    Raises one of `PICKLE_ERRORS` where it is damaged or holds anything else.
    """
    return _ArraysOnly(file, encoding="latin1").load()


class _Kind:
    """What takes the place of a data type."""

    def __init__(self, code: str, *_: object) -> None:
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "fiu":
            raise ValueError(f"an array of {self.dtype}, not of numbers")

    def __setstate__(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def _reconstruct(*_: object) -> PickledArray:
    return PickledArray()


def _from_buffer(buffer: Any, kind: _Kind, shape: Any, order: Any) -> PickledArray:
    made = PickledArray()
    made.numbers = np.frombuffer(buffer, kind.dtype).reshape(shape, order=order)
    return made


def _encode(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for bytes in {encoding!r}")
    return text.encode("latin1")


# Under numpy's old and new names.
_MADE_HERE: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): PickledArray,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _MADE_HERE:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return _MADE_HERE[module, name]
