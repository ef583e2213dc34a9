"""Numbers as a reader wants them: percent, points, bytes, durations. A value that is not defined is a dash."""

from __future__ import annotations

import math

UNDEFINED = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"


def percent(fraction: float | None, digits: int = 1) -> str:
    """`0.6312` -> `63.1 %`."""
    return UNDEFINED if fraction is None or math.isnan(fraction) else f"{points(fraction, digits)} %"


def points(fraction: float | None, digits: int = 1) -> str:
    """`-0.0883` -> `−8.8`: a fraction in percentage points, without the sign of percent."""
    if fraction is None or math.isnan(fraction):
        return UNDEFINED
    return f"{100 * fraction:z.{digits}f}".replace("-", MINUS)


def count_bytes(number: float) -> str:
    """`1412.3` -> `1,412 B`: exact enough to compare single exemplars."""
    return f"{number:,.0f} B"


def size(number: int) -> str:
    """`524288` -> `512.0 KiB`; whole bytes below 1 KiB."""
    value, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f} {unit}" if unit != "B" else f"{number} B"


def duration(seconds: float) -> str:
    """`83.4` -> `1 min 23 s`; below 10 seconds with one decimal."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    hours, rest = divmod(round(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
