"""The rows of a segment's `table` array: everything about its exemplars that is a whole number."""

from __future__ import annotations

from collections.abc import Mapping

EXEMPLAR_ROWS = ("sample_id", "label", "stage", "rank", "source_height", "source_width", "baseline_bytes", "crc32c")


def row_names(sides: Mapping[str, int]) -> list[str]:
    """Names of the table's rows, in order, for modalities (by name) with that many sides of grid.

    ``crc32c`` is the checksum of the exemplar's payload. For each modality: ``encoding`` (place in the segment's list,
    -1 if the exemplar lacks the modality), ``bytes`` of its part of the payload, and the sides of its grid.
    """
    rows = list(EXEMPLAR_ROWS)
    for name, count in sides.items():
        rows += [f"{name}.encoding", f"{name}.bytes", *(f"{name}.grid.{side}" for side in range(count))]
    return rows
