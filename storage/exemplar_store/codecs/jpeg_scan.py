"""Some patches of a coded JPEG strip, without coding them again: their coefficients stay what they are, bit for bit.

Coding decoded patches a second time would lose more each time: with 4:2:0 a decoder draws the colours of a patch's edge
from its neighbour's, which the patch then has for its own. A scan of a baseline JPEG (ITU-T T.81) is a row of units;
of each block in them only the first coefficient depends on what comes before: it is the difference to the block before.
Those are written anew, all other bits are copied.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FRAME, TABLES, SCAN = 0xC0, 0xC4, 0xDA
COEFFICIENTS = 64  # of a block
RUN_OF_ZEROS = 0xF0  # sixteen of them, and the block goes on


@dataclass(frozen=True)
class Component:
    """One of the colours: blocks in a unit, and its Huffman tables, code (of "0" and "1") to symbol."""

    blocks: int
    first: dict[str, int]
    others: dict[str, int]


Block = tuple[int, str]  # the first coefficient, and the bits of all others
Unit = list[list[Block]]  # for each component its blocks


def take_patches(header: bytes, scan: bytes, patch: int, count: int, kept: NDArray[np.bool_]) -> bytes:
    """The scan of a strip that holds only the patches that are kept.

    Args:
        header: everything before the entropy-coded data, SOI to SOS; the width in it does not count.
        scan: entropy-coded data of a baseline strip of ``count`` patches, without restart markers.
        patch: side of a patch in pixels.
        kept: bool (count,), at least one.

    Raises:
        ValueError: a patch is no whole number of units, or the scan does not hold so many.
    """
    components, (unit_height, unit_width), height = _frame(header)
    if patch % unit_width or height % unit_height:
        raise ValueError(f"patches of {patch} px share their {unit_width} px units with their neighbours")
    columns = np.repeat(kept, patch // unit_width)
    units = list(_read(scan, components, height // unit_height * len(columns)))
    return _write([units[place] for place in np.flatnonzero(np.tile(columns, height // unit_height))], components)


def _frame(header: bytes) -> tuple[list[Component], tuple[int, int], int]:
    """The components in the order of the scan, height and width of a unit, and height of the picture, in pixels."""
    tables: dict[int, dict[str, int]] = {}
    sampling: dict[int, tuple[int, int]] = {}
    height, at = 0, 2
    while True:
        marker, size = header[at + 1], int.from_bytes(header[at + 2 : at + 4], "big")
        body = header[at + 4 : at + 2 + size]
        if marker == FRAME:
            height = int.from_bytes(body[1:3], "big")
            sampling = {body[i]: (body[i + 1] & 15, body[i + 1] >> 4) for i in range(6, len(body), 3)}
        elif marker == TABLES:
            tables |= _tables(body)
        elif marker == SCAN:
            break
        at += 2 + size
    components = [
        Component(sampling[name][0] * sampling[name][1], tables[chosen >> 4], tables[16 + (chosen & 15)])
        for name, chosen in zip(body[1 : 1 + 2 * body[0] : 2], body[2 : 2 + 2 * body[0] : 2], strict=True)
    ]
    tall, wide = (8 * max(side) for side in zip(*sampling.values(), strict=True))
    return components, (tall, wide), height


def _tables(body: bytes) -> dict[int, dict[str, int]]:
    """The Huffman tables of a segment by class (16 for AC) and number, T.81 B.2.4.2 and C.2."""
    found: dict[int, dict[str, int]] = {}
    at = 0
    while at < len(body):
        counts, symbols = body[at + 1 : at + 17], iter(body[at + 17 :])
        codes: dict[str, int] = {}
        code = 0
        for length, count in enumerate(counts, start=1):
            for _ in range(count):
                codes[f"{code:0{length}b}"] = next(symbols)
                code += 1
            code <<= 1
        found[body[at]] = codes
        at += 17 + sum(counts)
    return found


def _read(scan: bytes, components: Sequence[Component], count: int) -> Iterator[Unit]:
    """The units of a scan, their blocks' first coefficients whole."""
    plain = scan.replace(b"\xff\x00", b"\xff")
    bits = f"{int.from_bytes(plain, 'big'):0{8 * len(plain)}b}"
    before, at = [0] * len(components), 0
    for _ in range(count):
        unit: Unit = []
        for number, component in enumerate(components):
            blocks = []
            for _ in range(component.blocks):
                size, at = _symbol(bits, at, component.first)
                before[number] += _number(bits[at : at + size])
                start = at + size
                at = _end_of_block(bits, start, component.others)
                blocks.append((before[number], bits[start:at]))
            unit.append(blocks)
        yield unit


def _end_of_block(bits: str, at: int, table: dict[str, int]) -> int:
    place = 1
    while place < COEFFICIENTS:
        symbol, at = _symbol(bits, at, table)
        if symbol & 15 == 0 and symbol != RUN_OF_ZEROS:
            break
        at += symbol & 15
        place += (symbol >> 4) + 1
    return at


def _symbol(bits: str, at: int, table: dict[str, int]) -> tuple[int, int]:
    for end in range(at + 1, at + 17):
        if bits[at:end] in table:
            return table[bits[at:end]], end
    raise ValueError("the scan holds a code that is in no table")


def _number(digits: str) -> int:
    # T.81 F.2.2.1: a number that begins with 0 is negative.
    return 0 if not digits else int(digits, 2) - (0 if digits[0] == "1" else (1 << len(digits)) - 1)


def _digits(number: int) -> str:
    size = abs(number).bit_length()
    return f"{number if number > 0 else number + (1 << size) - 1:0{size}b}" if size else ""


def _write(units: Sequence[Unit], components: Sequence[Component]) -> bytes:
    codes = [{symbol: code for code, symbol in component.first.items()} for component in components]
    before, parts = [0] * len(components), []
    for unit in units:
        for number, blocks in enumerate(unit):
            for first, others in blocks:
                digits = _digits(first - before[number])
                parts += [codes[number][len(digits)], digits, others]
                before[number] = first
    bits = "".join(parts)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\x00")
