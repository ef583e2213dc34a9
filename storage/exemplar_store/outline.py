"""What planning needs of an exemplar: everything but its payload."""

from __future__ import annotations

from dataclasses import dataclass, replace

from exemplar_store.exemplar import EncodedExemplar


@dataclass(frozen=True)
class Outline:
    """An encoded exemplar without its payload: some hundred bytes that decide where it goes and what it takes there.

    Attributes:
        facts: the exemplar with empty payloads.
        sizes: bytes of each part's payload.
        crc32c: of the payload.
    """

    facts: EncodedExemplar
    sizes: tuple[int, ...]
    crc32c: int

    @property
    def order(self) -> tuple[int, int, int, int]:
        """Rank-major place, as `EncodedExemplar.order`."""
        return self.facts.order

    @property
    def payload_bytes(self) -> int:
        return sum(self.sizes)

    @property
    def modality_bytes(self) -> dict[str, int]:
        """Bytes of payload by modality."""
        return {part.modality: size for part, size in zip(self.facts.parts, self.sizes, strict=True)}


def outline(exemplar: EncodedExemplar) -> Outline:
    """The outline of a whole exemplar."""
    empty = tuple(replace(part, payload=b"") for part in exemplar.parts)
    sizes = tuple(len(part.payload) for part in exemplar.parts)
    return Outline(replace(exemplar, parts=empty), sizes, exemplar.crc32c)
