"""The recorded samples of a sound font: SF2 (SoundFont 2.04), or SF3, whose samples are Ogg Vorbis.

Of the specification's sections: 4 (RIFF), 7.2 to 7.10 (the nine lists of the pdta chunk) and 8.1.2 (generators).
"""

from __future__ import annotations

import io
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import soundfile
from numpy.typing import NDArray

from dist_mcl.errors import UserError

# Generators that are of interest, section 8.1.2.
_INSTRUMENT, _SAMPLE, _ROOT_KEY = 41, 53, 58
_COMPRESSED = 0x10  # of a sample's type, in SF3
_RECORDS = {
    b"phdr": "<20sHHHIII",
    b"pbag": "<HH",
    b"pgen": "<HH",
    b"inst": "<20sH",
    b"ibag": "<HH",
    b"igen": "<HH",
    b"shdr": "<20sIIIIIBbHH",
}
_Records = dict[bytes, list[tuple[Any, ...]]]


@dataclass(frozen=True, eq=False)
class Recording:
    """One sample of a font.

    Attributes:
        name: the font's own.
        samples: float32 (n,), from -1 to 1.
        rate: in Hz.
        key: MIDI number of the note that was recorded.
        loop: first and past-the-last sample of what is repeated as long as a note is held.
        presets: General-MIDI programs (from 0) and their names, of the melodic presets that play it, ascending.
    """

    name: str
    samples: NDArray[np.float32]
    rate: int
    key: int
    loop: tuple[int, int]
    presets: tuple[tuple[int, str], ...]


def recordings(font: bytes, name: str) -> Iterator[Recording]:
    """The samples that General-MIDI presets of a font use, in the font's order.

    Raises:
        UserError: it is no sound font.
    """
    try:
        places = dict(_places(font))
        records = {chunk: _records(font, *places[chunk], layout) for chunk, layout in _RECORDS.items()}
        start = places[b"smpl"][0]
    except (KeyError, struct.error) as error:
        raise UserError(f"{name}: not a sound font ({error!r}); delete the package and run again") from error
    presets, keys = _uses(records)
    for number in sorted(presets):
        header = records[b"shdr"][number]
        sound = _sound(font, start, header)
        if sound is not None:
            samples, rate, loop = sound
            key = keys.get(number, header[6])
            yield Recording(_text(header[0]), samples, rate, key, loop, tuple(sorted(presets[number])))


def _places(font: bytes) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Offset and length of the chunks inside the three lists of the file."""
    for chunk, begin, length in _chunks(font, 12, len(font)):
        if chunk == b"LIST":
            for inner, start, size in _chunks(font, begin + 4, begin + length):
                yield inner, (start, size)


def _chunks(data: bytes, begin: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while begin + 8 <= end:
        name, length = data[begin : begin + 4], struct.unpack_from("<I", data, begin + 4)[0]
        yield name, begin + 8, length
        begin += 8 + length
        if length % 2 and not data[begin : begin + 4].isalnum():  # some writers leave the padding byte out
            begin += 1


def _records(font: bytes, begin: int, length: int, layout: str) -> list[tuple[Any, ...]]:
    size = struct.calcsize(layout)
    return list(struct.iter_unpack(layout, font[begin : begin + length // size * size]))


def _uses(records: _Records) -> tuple[dict[int, set[tuple[int, str]]], dict[int, int]]:
    """The presets that use each sample, and the key that an instrument says a sample has."""
    presets: dict[int, set[tuple[int, str]]] = defaultdict(set)
    keys: dict[int, int] = {}
    zones = list(_instrument_zones(records))
    for header, following in zip(records[b"phdr"][:-1], records[b"phdr"][1:], strict=True):
        if header[2] != 0:  # bank 0: the melodic instruments of General MIDI
            continue
        for instrument in _generators(records, b"pbag", b"pgen", header[3], following[3], _INSTRUMENT):
            for sample, key in zones[instrument]:
                presets[sample].add((header[1], _text(header[0])))
                if key is not None:
                    keys[sample] = key
    return presets, keys


def _instrument_zones(records: _Records) -> Iterator[list[tuple[int, int | None]]]:
    """For each instrument its samples, with the key that it gives them."""
    for header, following in zip(records[b"inst"][:-1], records[b"inst"][1:], strict=True):
        zones: list[tuple[int, int | None]] = []
        for bag in range(header[1], following[1]):
            samples = list(_generators(records, b"ibag", b"igen", bag, bag + 1, _SAMPLE))
            keys = list(_generators(records, b"ibag", b"igen", bag, bag + 1, _ROOT_KEY))
            zones += [(sample, keys[0] if keys else None) for sample in samples]
        yield zones


def _generators(records: _Records, bags: bytes, generators: bytes, begin: int, end: int, wanted: int) -> Iterator[int]:
    """Amounts of one kind of generator in the zones from `begin` to before `end`."""
    for bag in range(begin, end):
        for kind, amount in records[generators][records[bags][bag][0] : records[bags][bag + 1][0]]:
            if kind == wanted:
                yield amount


def _sound(font: bytes, start: int, header: tuple[Any, ...]) -> tuple[NDArray[np.float32], int, tuple[int, int]] | None:
    _, begin, end, loop_begin, loop_end, rate, *_, kind = header
    if not kind & _COMPRESSED:
        samples = np.frombuffer(font, "<i2", end - begin, start + 2 * begin).astype(np.float32)
        samples /= 32768
        return samples, rate, (loop_begin - begin, loop_end - begin)
    try:
        samples, rate = soundfile.read(io.BytesIO(font[start + begin : start + end]), dtype="float32")
    except soundfile.LibsndfileError:  # a few samples of a font may be damaged
        return None
    return samples, rate, (loop_begin, loop_end)


def _text(name: bytes) -> str:
    return name.split(b"\0")[0].decode("latin-1").strip()
