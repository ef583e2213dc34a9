import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from dist_mcl.errors import UserError
from dist_mcl.modalities.audio import RATE
from dist_mcl.modalities.media import open_media_tokenizer
from dist_mcl.modality_config import AudioTokens
from dist_mcl.packages.download import Package
from dist_mcl.packages.notes import SOUND_FONTS
from dist_mcl.scenario.builders import notes
from dist_mcl.scenario.builders.notes import one_second
from dist_mcl.scenario.builders.notes.soundfont import Recording, recordings
from dist_mcl.scenario.builders.progress import Item

from .made_up import Tone, font, samples_of


def quiet(sequence: Sequence[Item], description: str) -> Iterable[Item]:
    return sequence


@pytest.mark.parametrize("compressed", [False, True])
def test_the_samples_of_a_font_are_found(compressed: bool) -> None:
    tones = [Tone("low", 200, (0,), root=48, loop=(100, 900)), Tone("high", 900, (0, 1, 40), key=72)]
    low, high = recordings(font(tones, compressed), "some.sf2")
    assert (low.name, low.key, low.presets) == ("low", 48, ((0, "Program 0"),))
    assert low.loop == (100, 900) and low.rate == high.rate == 8000
    assert (high.key, high.presets) == (72, ((0, "Program 0"), (1, "Program 1"), (40, "Program 40")))
    atol = 0.1 if compressed else 1e-3
    np.testing.assert_allclose(high.samples[500:5000], samples_of(tones[1])[500:5000], atol=atol)


@pytest.mark.parametrize("content", [b"", b"RIFF\0\0\0\0sfbk", font([Tone("a", 200, (0,))])[:500]])
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(UserError, match=r"some\.sf2: not a sound font"):
        list(recordings(content, "some.sf2"))


def recording(seconds: float, loop: tuple[int, int] = (0, 0)) -> Recording:
    return Recording("a", samples_of(Tone("a", 200, (), seconds=seconds)), 8000, 60, loop, ())


def test_a_short_recording_is_held_by_its_loop() -> None:
    held, cut = one_second(recording(0.5, loop=(400, 2400))), one_second(recording(0.5))
    assert held is not None and cut is not None
    assert held.shape == cut.shape == (RATE,) and held.dtype == np.float32
    assert np.abs(held[-RATE // 4 :]).max() > 0.8 and np.abs(cut[-RATE // 4 :]).max() < 0.05
    assert np.abs(held).max() == pytest.approx(0.9, abs=0.01)


def test_silence_is_left_out() -> None:
    assert one_second(Recording("a", np.zeros(8000, np.float32), 8000, 60, (0, 0), ())) is None


def packages(folder: Path) -> dict[Package, Path]:
    """60 tones of pianos, 60 of reeds, 3 of a family that is too small, and some that are left out."""

    def chord(name: str, number: int, lowest: int, programs: tuple[int, ...], key: int) -> Tone:
        first, second = 40 * (lowest + number % 10) + 20, 40 * (lowest + 10 + number // 10) + 20
        return Tone(f"{name}{number}", first, programs, key=key, second=second)

    tones = [chord("p", number, 1, (0,), key=30 + number) for number in range(60)]
    tones += [chord("r", number, 18, (64, 65), key=100) for number in range(60)]
    tones += [Tone(f"s{number}", 100 + 200 * number, (120,)) for number in range(3)]
    tones += [chord("again", 0, 1, (1,), key=60), chord("both", 99, 1, (0, 64), key=60)]
    contents = [font(tones), font([Tone("unused", 300, ())]), font([Tone("sf3", 300, (0,))], compressed=True)]
    archives = {}
    for sound_font, content in zip(SOUND_FONTS, contents, strict=True):
        path = folder / f"{sound_font.package.name}.tgz"
        with tarfile.open(path, "w:gz") as tar:
            member = tarfile.TarInfo(sound_font.path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        archives[sound_font.package] = path
    return archives


def test_notes_of_large_families_are_kept_once(tmp_path: Path) -> None:
    made = notes.build(packages(tmp_path), None, quiet)
    names = [note.recording.name for note in made.notes]
    assert names == [*(f"p{number}" for number in range(60)), *(f"r{number}" for number in range(60)), "sf3"]
    assert made.info.candidates == {"family": ("piano", "reed"), "register": ("low", "middle", "high")}
    tested = sum(note.split == "test" for note in made.notes)
    assert 0.12 < tested / len(names) < 0.38
    questions = made.tables.questions
    assert questions["task"].count("family") == questions["task"].count("instrument") == len(names)
    assert questions["task"].count("register") == len(names) - 2  # key 60 is what fonts say that say nothing
    registers = [
        answers for task, answers in zip(questions["task"], questions["answers"], strict=True) if task == "register"
    ]
    assert registers[0] == ["low"] and registers[100] != ["low"]


def test_a_part_of_the_set_has_both_splits(tmp_path: Path) -> None:
    made = notes.build(packages(tmp_path), 4, quiet)
    counts = [(note.family, note.split) for note in made.notes]
    quarter = [("test", 1), ("train", 3)]
    expected = [(family, split) for family in ("piano", "reed") for split, number in quarter for _ in range(number)]
    assert sorted(counts) == expected


def test_the_media_are_files_that_the_tokenizer_reads(tmp_path: Path) -> None:
    made = notes.build(packages(tmp_path), 2, quiet)
    tokenizer = open_media_tokenizer(AudioTokens())
    for number, note in enumerate(made.notes):
        read = tokenizer.read(io.BytesIO(made.tables.media["audio"]["media"][number]))
        np.testing.assert_allclose(read, note.samples, atol=1e-4)
