import io

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from dist_mcl.modalities.audio import RATE, LogMelPatches, log_mel, patches, resample, spectrogram_of
from dist_mcl.modalities.media import MediaError
from exemplar_store.forms import form_of

ONE_SECOND = LogMelPatches(bins=80, frames=100, patch_bins=16, patch_frames=10)


def tone(pitch: float, seconds: float = 1.0, rate: int = RATE) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * pitch * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def file_of(samples: np.ndarray, rate: int, kind: str) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    file.seek(0)
    return file


def test_the_spectrogram_is_whispers() -> None:
    samples = tone(440) + np.random.default_rng(0).normal(0, 0.01, RATE).astype(np.float32)
    theirs = WhisperFeatureExtractor(feature_size=80, chunk_length=1)(samples, sampling_rate=RATE)["input_features"][0]
    np.testing.assert_allclose(log_mel(samples, 80), theirs, atol=1e-4)


@settings(max_examples=20)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_patches_come_back_as_far_as_float16_holds_them(
    rows: int, columns: int, bins: int, frames: int, seed: int
) -> None:
    whole = np.random.default_rng(seed).uniform(-2, 2, (rows * bins, columns * frames)).astype(np.float32)
    tokens = patches(whole, bins, frames)
    assert tokens.grid == (rows, columns) and tokens.values.shape[1:] == (bins, frames)
    assert tokens.values.dtype == np.float16
    np.testing.assert_array_equal(spectrogram_of(tokens), whole.astype(np.float16).astype(np.float32))


def test_a_sound_has_as_many_tokens_whatever_its_length() -> None:
    for seconds in (0.2, 1.0, 3.0):
        tokens = ONE_SECOND.encode(tone(440, seconds))
        assert tokens.grid == (5, 10) and len(tokens) == 50 and form_of(tokens) == "sound"


def test_dropped_patches_are_silent() -> None:
    tokens = ONE_SECOND.encode(tone(440))
    shown = ONE_SECOND.decode(tokens.take(np.array([0])))
    np.testing.assert_array_equal(shown[:16, :10], ONE_SECOND.decode(tokens)[:16, :10])
    assert (shown[16:] == -1.5).all() and (shown[:, 10:] == -1.5).all()


def test_low_notes_are_in_low_bins() -> None:
    low, high = (ONE_SECOND.decode(ONE_SECOND.encode(tone(pitch))).mean(axis=1).argmax() for pitch in (200, 4000))
    assert low < 10 < 40 < high


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG"])
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_a_file_is_read_at_16_khz(kind: str, rate: int) -> None:
    stereo = np.stack([tone(440, 1, rate), tone(440, 1, rate)], axis=1)
    read = ONE_SECOND.read(file_of(stereo, rate, kind))
    assert read.dtype == np.float32 and read.shape == (RATE,)
    middle = slice(RATE // 4, 3 * RATE // 4)
    np.testing.assert_allclose(read[middle], tone(440)[middle], atol=0.05)


def test_only_the_beginning_of_a_long_file_is_read() -> None:
    assert len(ONE_SECOND.read(file_of(tone(440, 5, 8000), 8000, "WAV"))) == RATE


def test_resampling_keeps_the_pitch() -> None:
    spectrum = np.abs(np.fft.rfft(resample(tone(1000, 1, 44100), 44100)))
    assert spectrum.argmax() == 1000


@pytest.mark.parametrize("content", [b"", b"no sound", b"RIFF\0\0\0\0WAVEfmt "])
def test_other_files_are_refused(content: bytes) -> None:
    with pytest.raises(MediaError, match="the sound cannot be read"):
        ONE_SECOND.read(io.BytesIO(content))


def test_an_empty_sound_is_refused() -> None:
    with pytest.raises(MediaError, match="empty"):
        ONE_SECOND.read(file_of(np.zeros(0, np.float32), RATE, "WAV"))


def test_other_arrays_are_refused() -> None:
    with pytest.raises(ValueError, match="a sound is float32"):
        ONE_SECOND.encode(np.zeros((RATE, 2), np.float32))
    with pytest.raises(ValueError, match="does not divide"):
        patches(np.zeros((80, 99), np.float32), 16, 10)
