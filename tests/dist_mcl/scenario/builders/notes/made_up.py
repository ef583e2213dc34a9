"""A sound font with tones, by the SoundFont specification's tables."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import soundfile

RATE = 8000


@dataclass(frozen=True)
class Tone:
    """One sample of one or two pitches, with the General-MIDI programs that use it."""

    name: str
    pitch: float
    programs: tuple[int, ...]
    key: int = 60
    root: int | None = None  # what the instrument says of the key
    seconds: float = 1.2
    loop: tuple[int, int] = (0, 0)
    second: float = 0


def samples_of(tone: Tone) -> np.ndarray:
    times = 2 * np.pi * np.arange(int(tone.seconds * RATE)) / RATE
    return (0.4 * np.sin(tone.pitch * times) + 0.4 * np.sin(tone.second * times)).astype(np.float32)


def font(tones: Sequence[Tone], compressed: bool = False) -> bytes:
    """SF2, or SF3 with Ogg samples. Preset n plays instrument n, of one program each."""
    data, headers = b"", []
    for tone in tones:
        coded = _coded(samples_of(tone), compressed)
        begin = len(data) if compressed else len(data) // 2
        data += coded
        end = len(data) if compressed else len(data) // 2
        first = 0 if compressed else begin
        loop = (first + tone.loop[0], first + tone.loop[1])
        kind = 0x11 if compressed else 1
        headers.append(struct.pack("<20sIIIIIBbHH", tone.name.encode(), begin, end, *loop, RATE, tone.key, 0, 0, kind))
    uses = [(program, number) for number, tone in enumerate(tones) for program in tone.programs]
    presets = b"".join(
        struct.pack("<20sHHHIII", f"Program {program}".encode(), program, 0, index, 0, 0, 0)
        for index, (program, _) in enumerate(uses)
    ) + struct.pack("<20sHHHIII", b"EOP", 0, 0, len(uses), 0, 0, 0)
    bags = b"".join(struct.pack("<HH", index, 0) for index in range(len(uses) + 1))
    generators = b"".join(struct.pack("<HH", 41, number) for _, number in uses) + struct.pack("<HH", 0, 0)
    instruments = b"".join(
        struct.pack("<20sH", tone.name.encode(), index) for index, tone in enumerate(tones)
    ) + struct.pack("<20sH", b"EOI", len(tones))
    zones, zone_bags = b"", b""
    for number, tone in enumerate(tones):
        zone_bags += struct.pack("<HH", len(zones) // 4, 0)
        if tone.root is not None:
            zones += struct.pack("<HH", 58, tone.root)
        zones += struct.pack("<HH", 53, number)
    zone_bags += struct.pack("<HH", len(zones) // 4, 0)
    zones += struct.pack("<HH", 0, 0)
    headers.append(struct.pack("<20sIIIIIBbHH", b"EOS", 0, 0, 0, 0, 0, 0, 0, 0, 0))
    lists = [
        _list(b"INFO", _chunk(b"ifil", struct.pack("<HH", 2, 4))),
        _list(b"sdta", _chunk(b"smpl", data)),
        _list(
            b"pdta",
            _chunk(b"phdr", presets)
            + _chunk(b"pbag", bags)
            + _chunk(b"pmod", b"\0" * 10)
            + _chunk(b"pgen", generators)
            + _chunk(b"inst", instruments)
            + _chunk(b"ibag", zone_bags)
            + _chunk(b"imod", b"\0" * 10)
            + _chunk(b"igen", zones)
            + _chunk(b"shdr", b"".join(headers)),
        ),
    ]
    return _chunk(b"RIFF", b"sfbk" + b"".join(lists))


def _coded(samples: np.ndarray, compressed: bool) -> bytes:
    if not compressed:
        return (samples * 32767).astype("<i2").tobytes()
    file = io.BytesIO()
    soundfile.write(file, samples, RATE, format="OGG")
    return file.getvalue()


def _list(kind: bytes, content: bytes) -> bytes:
    return _chunk(b"LIST", kind + content)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
