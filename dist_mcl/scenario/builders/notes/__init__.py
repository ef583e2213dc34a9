"""Recorded notes of instruments, from three General-MIDI sound fonts.

Class = the instrument's General-MIDI family, of which at least 57 notes remain. Split by note: other notes of the same
instrument may be in training. A recording that two families use has no class and is left out, and so is the second of
two with nearly the same spectrum.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from dist_mcl.errors import UserError
from dist_mcl.modalities.audio import RATE, resample
from dist_mcl.packages.download import Package, read_members
from dist_mcl.packages.notes import SOUND_FONTS, SoundFont
from dist_mcl.scenario.builders.notes.soundfont import Recording, recordings
from dist_mcl.scenario.builders.progress import Track
from dist_mcl.scenario.builders.questions import QuestionTables
from dist_mcl.scenario.questions.tables import QuestionsInfo

TITLE = "Recorded notes of instruments"
LICENCE = "GPL-2.0-only AND MIT"
FAMILIES = (
    *("piano", "mallet", "organ", "guitar", "bass", "bowed strings", "string ensemble or voice", "brass", "reed"),
    *("pipe or flute", "synth lead", "synth pad", "synth effect", "ethnic", "percussive", "sound effect"),
)
WORDINGS = {
    "family": ("Which family of instruments is playing?", "What kind of instrument do you hear?"),
    "instrument": ("Name the instrument.", "Which instrument plays this note?"),
    "register": ("Is the note low, middle or high?",),
}
_SECONDS = 1
_FEWEST_NOTES = 57  # of a family
_FEWEST_RATE = 8000  # Hz
_SILENT = 1e-3
_TEST_SHARE = 0.25
_LOWEST, _HIGHEST, _UNSET = 20, 108, 60  # keys; fonts that say nothing of a key say 60


@dataclass(frozen=True, eq=False)
class Note:
    """One note of the set.

    Attributes:
        samples: float32 (16000,): one second at 16 kHz, its loudest place at 0.9.
    """

    font: SoundFont
    recording: Recording
    family: str
    samples: NDArray[np.float32]
    split: Literal["train", "test"] = "train"


@dataclass(frozen=True)
class Notes:
    """The whole set: what is written, and what is in it."""

    tables: QuestionTables
    notes: Sequence[Note]
    info: QuestionsInfo


def build(archives: Mapping[Package, Path], most: int | None, track: Track) -> Notes:
    """Make the set from the downloaded packages.

    Args:
        most: notes of each family, the first ones of the fonts; all when left out.
        track: yields a sequence and shows progress.

    Raises:
        UserError: a package is damaged or another one.
    """
    heard = [
        note for font in track(SOUND_FONTS, "reading sound fonts") for note in _notes(font, archives[font.package])
    ]
    whole = _split(_distinct(heard))
    if not whole:
        raise UserError(f"no family of instruments has {_FEWEST_NOTES} notes; the packages are other ones")
    present = {note.family for note in whole}
    candidates = {
        "family": tuple(family for family in FAMILIES if family in present),
        "register": ("low", "middle", "high"),
    }
    notes = _first(whole, most)
    tables = _tables(notes, np.quantile([note.recording.key for note in whole if _knows_key(note)], [1 / 3, 2 / 3]))
    return Notes(tables, notes, QuestionsInfo(TITLE, LICENCE, candidates))


def _notes(font: SoundFont, archive: Path) -> Iterator[Note]:
    content = read_members(archive, [font.path])[font.path]
    for recording in recordings(content, font.path):
        families = {program // 8 for program, _ in recording.presets}
        samples = one_second(recording) if len(families) == 1 and recording.rate >= _FEWEST_RATE else None
        if samples is not None:
            yield Note(font, recording, FAMILIES[families.pop()], samples)


def one_second(recording: Recording) -> NDArray[np.float32] | None:
    """A recording's first second, held by the font's own loop where it is shorter; None for next to silence."""
    needed = recording.rate * _SECONDS
    samples, (begin, end) = recording.samples, recording.loop
    if len(samples) < needed and 16 < end - begin <= len(samples) and begin >= 0 and end <= len(samples):
        held = np.resize(samples[begin:end], max(0, needed - end))
        samples = np.concatenate([samples[:end], held])
    samples = resample(samples[:needed].astype(np.float32), recording.rate)
    whole = np.zeros(RATE * _SECONDS, np.float32)
    whole[: len(samples)] = samples[: len(whole)]
    loudest = float(np.abs(whole).max())
    return None if loudest < _SILENT else whole * np.float32(0.9 / loudest)


def _distinct(notes: Sequence[Note]) -> list[Note]:
    """The first of those that sound alike: whose spectra below 1600 Hz agree, averaged over 40 Hz and rounded."""
    first: dict[str, Note] = {}
    for note in notes:
        spectrum = np.abs(np.fft.rfft(note.samples))[:1600].reshape(40, 40).mean(axis=1)
        digest = hashlib.sha256((spectrum * 8).astype(np.int16).tobytes()).hexdigest()
        first.setdefault(digest, note)
    return list(first.values())


def _split(notes: Sequence[Note]) -> list[Note]:
    """Notes of the families that are large enough, a quarter of them for testing."""
    draw = random.Random(0).random
    counts = Counter(note.family for note in notes)
    drawn = [replace(note, split="test" if draw() < _TEST_SHARE else "train") for note in notes]
    return [note for note in drawn if counts[note.family] >= _FEWEST_NOTES]


def _first(notes: Sequence[Note], most: int | None) -> list[Note]:
    """So many of each family, a quarter of them (at least one) for testing."""
    if most is None:
        return list(notes)
    tested = max(1, round(most * _TEST_SHARE))
    limits = {"test": tested, "train": most - tested}
    counts: Counter[tuple[str, str]] = Counter()
    chosen = []
    for note in notes:
        counts[note.family, note.split] += 1
        if counts[note.family, note.split] <= limits[note.split]:
            chosen.append(note)
    return chosen


def _tables(notes: Sequence[Note], borders: NDArray[np.float64]) -> QuestionTables:
    """The tables of the notes; `borders` are the two keys between the three registers."""
    tables = QuestionTables(WORDINGS)
    low, high = borders.tolist()
    for number, note in enumerate(notes):
        instrument = note.recording.presets[0][1]
        source = f"{note.font.package.name}: {note.recording.name}"
        row = {"name": instrument, "source": source, "label": note.family, "group": number, "split": note.split}
        media = tables.add_media("audio", **row, media=_flac(note.samples))
        tables.ask("audio", media, "family", note.family, note.split)
        tables.ask("audio", media, "instrument", instrument.lower(), note.split)
        if _knows_key(note):
            key = note.recording.key
            register = "low" if key < low else "high" if key > high else "middle"
            tables.ask("audio", media, "register", register, note.split)
    return tables


def _knows_key(note: Note) -> bool:
    return _LOWEST <= note.recording.key <= _HIGHEST and note.recording.key != _UNSET


def _flac(samples: NDArray[np.float32]) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()
