"""Clips as tubelets: the same patch of a few frames that follow one another."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, BinaryIO

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from dist_mcl.modalities.image import resize
from dist_mcl.modalities.media import PICTURE_ERRORS, MediaError, decoding
from dist_mcl.tokens import Tokens


@dataclass(frozen=True)
class Tubelets:
    """Tokenizer of clips: evenly spaced frames, scaled to a square and cut into tubelets.

    Attributes:
        frames: taken of a clip, a multiple of `tubelet`; a clip that has fewer repeats some.
        tubelet: frames of a token.
        side: of a frame in pixels, a multiple of `patch`.
        patch: side of a patch in pixels.
    """

    frames: int
    tubelet: int
    side: int
    patch: int

    def read(self, file: BinaryIO) -> NDArray[np.uint8]:
        """The frames that are taken of a clip, uint8 (frames, H, W, 3).

        Any container that FFmpeg knows, and the animated pictures that Pillow knows (WebP, GIF, PNG).

        Raises:
            MediaError: it is neither, is damaged, or has no frames.
        """
        head = file.read(12)
        file.seek(0)
        if head[8:] == b"WEBP" or head[:4] in (b"GIF8", b"\x89PNG"):
            return self._read_animation(file)
        with decoding("video", av.error.FFmpegError, ValueError):
            return self._read_film(file.read())

    def encode(self, media: NDArray[Any]) -> Tokens:
        """Tubelets uint8 (n, tubelet, patch, patch, 3) on the grid (times, rows, columns).

        Args:
            media: uint8 (F, H, W, 3), any number of frames of any size.

        Raises:
            ValueError: it is something else.
        """
        if media.ndim != 4 or not len(media):
            raise ValueError(f"a clip is uint8 (F, H, W, 3), got {media.dtype} {media.shape}")
        scaled = np.stack([resize(media[index], self.side, self.side) for index in self.taken(len(media))])
        return tubelets(scaled, self.tubelet, self.patch)

    def decode(self, tokens: Tokens) -> NDArray[np.uint8]:
        """The frames, uint8 (F, H, W, 3); white where there is no tubelet."""
        return frames_of(tokens)

    def taken(self, available: int) -> list[int]:
        """Which of a clip's frames are taken: the middles of equally long parts, in order."""
        return [(2 * part + 1) * available // (2 * self.frames) for part in range(self.frames)]

    def _read_animation(self, file: BinaryIO) -> NDArray[np.uint8]:
        with decoding("clip", *PICTURE_ERRORS), Image.open(file) as animation:
            wanted = set(self.taken(getattr(animation, "n_frames", 1)))
            found = {
                number: np.asarray(frame.convert("RGB"))
                for number, frame in enumerate(ImageSequence.Iterator(animation))
                if number in wanted
            }
            return np.stack([found[number] for number in self.taken(getattr(animation, "n_frames", 1))])

    def _read_film(self, film: bytes) -> NDArray[np.uint8]:
        wanted = self.taken(_packets(film))
        found: dict[int, NDArray[np.uint8]] = {}
        frame = None
        with av.open(io.BytesIO(film), "r") as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    found[number] = _pixels(frame)
        if frame is None:
            raise MediaError("the video has no frames; it was cut off")
        last = _pixels(frame)  # a film that was cut off has fewer frames than packets
        return np.stack([found.get(number, last) for number in wanted])


def _pixels(frame: av.VideoFrame) -> NDArray[np.uint8]:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _packets(film: bytes) -> int:
    """Coded frames of the first video stream, counted without decoding them."""
    with av.open(io.BytesIO(film), "r") as container:
        if not container.streams.video:
            raise MediaError("the video has no pictures, it holds something else")
        return sum(packet.size > 0 for packet in container.demux(video=0))


def tubelets(frames: NDArray[np.uint8], tubelet: int, patch: int) -> Tokens:
    """Cut frames into tubelets, time after time and row after row.

    Args:
        frames: uint8 (F, H, W, 3); `tubelet` divides F, `patch` divides H and W.

    Returns:
        Tokens with values uint8 (n, tubelet, patch, patch, 3) on the grid (F / tubelet, H / patch, W / patch).

    Raises:
        ValueError: sides that are not divided.
    """
    count, height, width, channels = frames.shape
    if frames.dtype != np.uint8 or channels != 3 or count % tubelet or height % patch or width % patch:
        raise ValueError(
            f"frames {frames.dtype} {frames.shape} do not divide into tubelets of {tubelet} x {patch} x {patch} pixels"
        )
    grid = (count // tubelet, height // patch, width // patch)
    cells = frames.reshape(grid[0], tubelet, grid[1], patch, grid[2], patch, 3).transpose(0, 2, 4, 1, 3, 5, 6)
    return Tokens.full(np.ascontiguousarray(cells).reshape(-1, tubelet, patch, patch, 3), grid)


def frames_of(tokens: Tokens, fill: int = 255) -> NDArray[np.uint8]:
    """Undo `tubelets`: uint8 (F, H, W, 3); places without a tubelet get the grey value `fill`."""
    times, rows, columns = tokens.grid
    tubelet, patch = tokens.values.shape[1:3]
    cells = np.full((times * rows * columns, tubelet, patch, patch, 3), fill, np.uint8)
    cells[tokens.positions] = tokens.values
    whole = cells.reshape(times, rows, columns, tubelet, patch, patch, 3).transpose(0, 3, 1, 4, 2, 5, 6)
    return whole.reshape(times * tubelet, rows * patch, columns * patch, 3)
