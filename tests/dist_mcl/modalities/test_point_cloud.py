import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dist_mcl.modalities.media import MediaError
from dist_mcl.modalities.point_cloud import PointGroups, farthest_points, unit_sphere
from exemplar_store.forms import form_of


def cloud(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)


def saved(array: np.ndarray, zipped: bool = False) -> io.BytesIO:
    file = io.BytesIO()
    np.savez(file, array) if zipped else np.save(file, array)
    file.seek(0)
    return file


@settings(max_examples=20)
@given(st.integers(1, 200), st.integers(1, 16), st.integers(1, 16), st.integers(0, 99))
def test_every_point_of_a_token_is_one_of_the_cloud(count: int, groups: int, group: int, seed: int) -> None:
    points = cloud(count, seed)
    tokenizer = PointGroups(groups, group)
    tokens = tokenizer.encode(points)
    assert tokens.values.shape == (groups, 1 + group, 3) and tokens.values.dtype == np.float16
    assert tokens.grid == (groups,) and form_of(tokens) == "points"
    back, whole = tokenizer.decode(tokens), unit_sphere(points)
    assert back.shape == (groups * group, 3)
    nearest = np.linalg.norm(back[:, None] - whole[None], axis=-1).min(axis=1)
    assert nearest.max() < 4e-3  # float16 holds numbers up to 2 to 1e-3


def test_a_group_has_the_nearest_points_of_its_centre() -> None:
    points = np.concatenate([cloud(20) * 0.01, cloud(20, seed=1) * 0.01 + np.float32(3)])
    tokens = PointGroups(groups=2, group=20).encode(points)
    assert np.abs(tokens.values[:, 1:].astype(np.float32)).max() < 0.1
    assert np.linalg.norm(np.diff(tokens.values[:, 0].astype(np.float32), axis=0)) > 1


def test_groups_follow_the_order_in_which_centres_are_found() -> None:
    few, many = (PointGroups(groups, 4).encode(cloud(100)) for groups in (3, 9))
    np.testing.assert_array_equal(many.values[:3], few.values)


def test_each_centre_is_the_farthest_from_those_before() -> None:
    line = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [10, 0, 0]], np.float32)
    assert farthest_points(line, 3).tolist() == [3, 0, 2]


def test_a_cloud_without_extent_has_tokens() -> None:
    tokens = PointGroups(2, 3).encode(np.ones((5, 3), np.float32))
    assert (tokens.values == 0).all()


def test_place_and_size_do_not_matter() -> None:
    points = cloud(50)
    tokens, moved = (PointGroups(4, 8).encode(one) for one in (points, points * 8 + np.float32(4)))
    np.testing.assert_allclose(tokens.values.astype(np.float32), moved.values.astype(np.float32), atol=4e-3)


def test_files_are_read() -> None:
    tokenizer = PointGroups(4, 8)
    points = cloud(10)
    for file in (saved(points), saved(points, zipped=True), saved(np.hstack([points, points]))):
        np.testing.assert_array_equal(tokenizer.read(file), points)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (io.BytesIO(b"no points"), "cannot be read"),
        (saved(np.array([{"a": 1}], dtype=object)), "cannot be read"),
        (saved(np.zeros((4, 2), np.float32)), r"float32 \(4, 2\), not numbers \(N, 3\)"),
        (saved(np.full((4, 3), np.nan, np.float32)), "no finite number"),
    ],
)
def test_other_files_are_refused(file: io.BytesIO, message: str) -> None:
    with pytest.raises(MediaError, match=message):
        PointGroups(4, 8).read(file)


@pytest.mark.parametrize("compressed", [False, True])
def test_damaged_archives_are_refused_in_one_line(compressed: bool) -> None:
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, cloud(300))
    whole = file.getvalue()
    for length in range(0, len(whole), 97):
        with pytest.raises(MediaError, match=r"^the point cloud cannot be read \(.+\)$"):
            PointGroups(4, 8).read(io.BytesIO(whole[:length]))
    for place in range(100, len(whole) - 200, 97):  # of the numbers
        damaged = whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]
        with pytest.raises(MediaError, match=r"^the point cloud cannot be read \(.+\)$"):
            PointGroups(4, 8).read(io.BytesIO(damaged))


@pytest.mark.parametrize(
    ("written", "instead"),
    [(b"(20, 3)", b"(20, 3 "), (b"False", b"Fal\0\0"), (b"(20, 3), }      ", b"(9999999999, 3)}")],
    ids=["open bracket", "no value", "monstrous"],
)
def test_a_damaged_head_is_refused_in_one_line(written: bytes, instead: bytes) -> None:
    damaged = saved(cloud(20)).getvalue().replace(written, instead)
    with pytest.raises(MediaError, match=r"^the point cloud cannot be read \(.+\)$"):
        PointGroups(4, 8).read(io.BytesIO(damaged))


def test_other_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="a point cloud is float32"):
        PointGroups(4, 8).encode(np.zeros((4, 6), np.float32))
