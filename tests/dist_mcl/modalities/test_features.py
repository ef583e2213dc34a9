import io

import numpy as np
import pytest

from dist_mcl.modalities.features import Vectors
from dist_mcl.modalities.media import MediaError


def test_rows_come_back_as_far_as_float16_holds_them() -> None:
    rows = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    tokens = Vectors().encode(rows)
    assert tokens.grid == (5,) and tokens.values.dtype == np.float16
    np.testing.assert_array_equal(Vectors().decode(tokens), rows.astype(np.float16).astype(np.float32))


def test_dropped_rows_are_zeros() -> None:
    tokens = Vectors().encode(np.ones((3, 2), np.float32)).take(np.array([2]))
    assert Vectors().decode(tokens).tolist() == [[0, 0], [0, 0], [1, 1]]


def test_npy_and_csv_files_are_read() -> None:
    rows = np.array([[1, 2.5], [-3, 4]], np.float32)
    npy = io.BytesIO()
    np.save(npy, rows)
    npy.seek(0)
    for file in (npy, io.BytesIO(b"1,2.5\n-3,4\n")):
        np.testing.assert_array_equal(Vectors().read(file), rows)
    assert Vectors().read(io.BytesIO(b"1,2,3")).shape == (1, 3)


# A .npy file whose head has a bracket that is not closed.
OPEN_HEAD = b"\x93NUMPY\x01\x00\x26\x00{'descr': '<f4', 'shape': (2, 3        \n"


@pytest.mark.parametrize("content", [b"", b"a,b\n", b"1,2\n3\n", b"1,nan\n", b"\x93NUMPY damaged", OPEN_HEAD])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(MediaError, match="the table"):
        Vectors().read(io.BytesIO(content))


def test_other_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="features are float32"):
        Vectors().encode(np.zeros(4, np.float32))
    with pytest.raises(ValueError, match="more than 65504; scale them down"):
        Vectors().encode(np.full((1, 1), 1e6, np.float32))


def test_rows_in_units_come_back_and_dropped_ones_are_zeros() -> None:
    rows = np.arange(12, dtype=np.float32).reshape(6, 2) + 1
    tokens = Vectors(units=2).encode(rows)
    assert tokens.grid == (2, 3)
    np.testing.assert_array_equal(Vectors(units=2).decode(tokens), rows)
    assert Vectors(units=2).decode(tokens.take(np.array([4]))).tolist() == [[0, 0]] * 4 + [[9, 10], [0, 0]]
    with pytest.raises(ValueError, match="6 vectors are not 4 units of equal length"):
        Vectors(units=4).encode(rows)
