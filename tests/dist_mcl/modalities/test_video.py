import io

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dist_mcl.modalities.media import MediaError
from dist_mcl.modalities.video import Tubelets, frames_of, tubelets
from exemplar_store.forms import form_of


def grey_film(count: int, side: int = 32) -> np.ndarray:
    """Frame n is grey 10 n."""
    return np.stack([np.full((side, side, 3), 10 * number, np.uint8) for number in range(count)])


def coded(frames: np.ndarray, container: str, codec: str) -> io.BytesIO:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        for frame in frames:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        output.mux(stream.encode())
    file.seek(0)
    return file


@settings(max_examples=20)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(1, 4), st.data())
def test_tubelets_and_frames_are_each_other_undone(
    times: int, rows: int, columns: int, tubelet: int, patch: int, data: st.DataObject
) -> None:
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    shape = (times * tubelet, rows * patch, columns * patch, 3)
    frames = random.integers(0, 256, shape, dtype=np.uint8)
    tokens = tubelets(frames, tubelet, patch)
    assert tokens.grid == (times, rows, columns) and tokens.values.dtype == np.uint8
    assert tokens.values.shape[1:] == (tubelet, patch, patch, 3)
    np.testing.assert_array_equal(frames_of(tokens), frames)


def test_a_tubelet_is_one_patch_of_frames_that_follow() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 32, 48, 3), dtype=np.uint8)
    tokens = tubelets(frames, tubelet=2, patch=16)
    assert form_of(tokens) == "video"
    np.testing.assert_array_equal(tokens.values[1 * 6 + 1 * 3 + 2], frames[2:4, 16:32, 32:48])


def test_dropped_tubelets_are_filled() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (4, 32, 32, 3), dtype=np.uint8)
    shown = frames_of(tubelets(frames, 2, 16).take(np.array([5])), fill=255)
    np.testing.assert_array_equal(shown[2:4, :16, 16:], frames[2:4, :16, 16:])
    assert (shown == 255).sum() == shown.size - 2 * 16 * 16 * 3


def test_frames_are_taken_evenly() -> None:
    tokenizer = Tubelets(frames=4, tubelet=2, side=32, patch=16)
    assert tokenizer.taken(8) == [1, 3, 5, 7] and tokenizer.taken(2) == [0, 0, 1, 1] and tokenizer.taken(1) == [0] * 4
    tokens = tokenizer.encode(grey_film(8, side=40))
    assert tokens.grid == (2, 2, 2)
    assert tokens.values[0, :, 0, 0, 0].tolist() == [10, 30]


@pytest.mark.parametrize(("container", "codec"), [("mp4", "mpeg4"), ("avi", "mpeg4"), ("matroska", "ffv1")])
def test_a_film_is_read(container: str, codec: str) -> None:
    read = Tubelets(4, 2, 32, 16).read(coded(grey_film(8), container, codec))
    assert read.shape == (4, 32, 32, 3) and read.dtype == np.uint8
    np.testing.assert_allclose(read.mean(axis=(1, 2, 3)), [10, 30, 50, 70], atol=3)


def test_an_animated_picture_is_read_without_loss() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (6, 20, 20, 3), dtype=np.uint8)
    file = io.BytesIO()
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(file, "WEBP", lossless=True, save_all=True, append_images=pictures[1:])
    file.seek(0)
    np.testing.assert_array_equal(Tubelets(6, 1, 20, 20).read(file), frames)


def test_a_film_that_was_cut_off_has_its_first_frames() -> None:
    whole = coded(np.random.default_rng(0).integers(0, 256, (50, 64, 64, 3), dtype=np.uint8), "avi", "mpeg4").getvalue()
    read = Tubelets(4, 2, 32, 16).read(io.BytesIO(whole[: len(whole) // 2]))
    assert read.shape == (4, 64, 64, 3)


@pytest.mark.parametrize("content", [b"", b"no film", b"\x89PNG\r\n\x1a\n damaged", b"RIFF\0\0\0\0WEBP damaged"])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(MediaError, match="cannot be read"):
        Tubelets(4, 2, 32, 16).read(io.BytesIO(content))


def test_an_animation_that_was_cut_off_is_refused_or_read_and_no_more() -> None:
    file = io.BytesIO()
    pictures = [Image.new("RGB", (24, 24), (10 * number, 0, 0)) for number in range(5)]
    pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:])
    refused = 0
    for length in range(len(file.getvalue())):
        try:
            Tubelets(4, 2, 32, 16).read(io.BytesIO(file.getvalue()[:length]))
        except MediaError:
            refused += 1
    assert refused


def test_other_arrays_are_refused() -> None:
    tokenizer = Tubelets(4, 2, 32, 16)
    with pytest.raises(ValueError, match="a clip is uint8"):
        tokenizer.encode(np.zeros((32, 32, 3), np.uint8))
    with pytest.raises(ValueError, match="a picture is uint8"):
        tokenizer.encode(np.zeros((4, 32, 32, 3), np.float32))
    with pytest.raises(ValueError, match="do not divide into tubelets"):
        tubelets(np.zeros((3, 32, 32, 3), np.uint8), 2, 16)
