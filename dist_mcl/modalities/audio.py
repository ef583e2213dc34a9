"""Sounds as patches of a log-mel spectrogram, the one that Whisper takes (arXiv 2212.04356 section 2.2)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray
from scipy.signal import resample_poly
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from dist_mcl.modalities.media import MediaError, decoding
from dist_mcl.tokens import Tokens

RATE = 16_000  # Hz
HOP = 160  # samples between two frames: 100 frames a second
_WINDOW = 400  # samples of a frame: 25 ms
_SILENCE = -1.5  # what silence is in a spectrogram of nothing else: (log10(1e-10) + 4) / 4


@dataclass(frozen=True)
class LogMelPatches:
    """Tokenizer of sounds.

    Attributes:
        bins: mel bins, a multiple of `patch_bins`.
        frames: of a spectrogram, a multiple of `patch_frames`; 100 are a second. A longer sound is cut off, a shorter
            one is followed by silence.
        patch_bins, patch_frames: size of a token.
    """

    bins: int
    frames: int
    patch_bins: int
    patch_frames: int

    def read(self, file: BinaryIO) -> NDArray[np.float32]:
        """A sound file's beginning as float32 (samples,) at 16 kHz, the mean of its channels.

        Any format of libsndfile: WAV, FLAC, Ogg, MP3 and others.

        Raises:
            MediaError: it is none, is damaged, or holds no sound.
        """
        with decoding("sound", soundfile.LibsndfileError, OSError, ValueError), soundfile.SoundFile(file) as sound:
            rate: int = sound.samplerate
            needed = -(-self.frames * HOP * rate // RATE)
            samples = sound.read(needed, dtype="float32", always_2d=True).mean(axis=1)
        if not len(samples):
            raise MediaError("the sound is empty")
        return resample(samples, rate)

    def encode(self, media: NDArray[Any]) -> Tokens:
        """Patches float16 (n, patch_bins, patch_frames) on the grid (bins / patch_bins, frames / patch_frames).

        Args:
            media: float32 (samples,) at 16 kHz, from -1 to 1.

        Raises:
            ValueError: it is something else.
        """
        if media.ndim != 1 or media.dtype.kind != "f":
            raise ValueError(f"a sound is float32 (samples,), got {media.dtype} {media.shape}")
        samples = np.zeros(self.frames * HOP, np.float32)
        samples[: len(media)] = media[: len(samples)]
        return patches(log_mel(samples, self.bins), self.patch_bins, self.patch_frames)

    def decode(self, tokens: Tokens) -> NDArray[np.float32]:
        """The log-mel spectrogram, float32 (bins, frames); silence where there is no token."""
        return spectrogram_of(tokens)


def resample(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """A sound (samples,) of `rate` Hz at 16 kHz."""
    if rate == RATE:
        return samples
    common = np.gcd(rate, RATE)
    return resample_poly(samples, RATE // common, rate // common).astype(np.float32)


def log_mel(samples: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    """Whisper's log-mel spectrogram of float32 (samples,) at 16 kHz: float32 (bins, samples // 160).

    Lowest bin first; about -1.5 to 1.5, of which the lower 2 below the loudest place are kept (80 dB).
    """
    power = spectrogram(
        samples,
        window_function(_WINDOW, "hann"),
        frame_length=_WINDOW,
        hop_length=HOP,
        power=2.0,
        mel_filters=_mel_filters(bins),
        log_mel="log10",
    )[:, : len(samples) // HOP]
    return ((np.maximum(power, power.max() - 8) + 4) / 4).astype(np.float32)


@cache
def _mel_filters(bins: int) -> NDArray[np.float64]:
    return mel_filter_bank(
        num_frequency_bins=1 + _WINDOW // 2,
        num_mel_filters=bins,
        min_frequency=0.0,
        max_frequency=RATE / 2,
        sampling_rate=RATE,
        norm="slaney",
        mel_scale="slaney",
    )


def patches(spectrogram: NDArray[np.float32], bins: int, frames: int) -> Tokens:
    """Cut a spectrogram (B, F) into patches: float16 (n, bins, frames) on the grid (B / bins, F / frames).

    Raises:
        ValueError: sides that are not divided.
    """
    height, width = spectrogram.shape
    if height % bins or width % frames:
        raise ValueError(f"a spectrogram of {height} x {width} does not divide into patches of {bins} x {frames}")
    grid = (height // bins, width // frames)
    cells = spectrogram.reshape(grid[0], bins, grid[1], frames).swapaxes(1, 2).reshape(-1, bins, frames)
    return Tokens.full(cells.astype(np.float16), grid)


def spectrogram_of(tokens: Tokens, fill: float = _SILENCE) -> NDArray[np.float32]:
    """Undo `patches`, as far as float16 holds it: float32 (B, F); places without a patch get `fill`."""
    rows, columns = tokens.grid
    bins, frames = tokens.values.shape[1:]
    cells = np.full((rows * columns, bins, frames), fill, np.float32)
    cells[tokens.positions] = tokens.values
    return cells.reshape(rows, columns, bins, frames).swapaxes(1, 2).reshape(rows * bins, columns * frames)
