"""Unpacking zstd frames (RFC 8878) of a known size, without trusting what they say about themselves."""

from __future__ import annotations

from numcodecs.zstd import decompress

MAGIC = b"\x28\xb5\x2f\xfd"


def unpack_frame(frame: bytes, size: int) -> bytes:
    """The ``size`` bytes in a frame.

    Raises:
        ValueError: the frame states another size, which is found before anything is allocated, or is damaged.
    """
    stated = _content_size(frame)
    if stated != size:
        raise ValueError(f"holds {stated} bytes, {size} are needed")
    try:
        return bytes(decompress(frame)) if size else b""
    except RuntimeError as error:
        raise ValueError(str(error)) from error


def _content_size(frame: bytes) -> int | None:
    """Size that a frame says it unpacks to (RFC 8878 section 3.1.1.1); None if it does not say."""
    if len(frame) < 5 or frame[:4] != MAGIC:
        return None
    descriptor = frame[4]
    single_segment = bool(descriptor & 0x20)
    width = (int(single_segment), 2, 4, 8)[descriptor >> 6]
    at = 5 + (not single_segment) + (0, 1, 2, 4)[descriptor & 3]
    if width == 0 or len(frame) < at + width:
        return None
    return int.from_bytes(frame[at : at + width], "little") + (256 if width == 2 else 0)
