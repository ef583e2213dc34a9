"""Going back to an older generation, and removing what no generation needs."""

from __future__ import annotations

from pathlib import Path

from exemplar_store import disk
from exemplar_store.errors import StoreError
from exemplar_store.generations import generation_numbers, read_info, read_snapshot
from exemplar_store.records import Generation
from exemplar_store.segment_reader import SegmentReader
from exemplar_store.transaction import publish, remove_unreachable, tidy, told, unreachable, warn_of_given_up


def collect_garbage(path: Path | str, dry_run: bool = False) -> dict[str, int]:
    """Remove what neither the head nor a generation that is kept needs.

    Returns:
        bytes by path of what was removed, or would be with ``dry_run``.

    Raises:
        StoreBusy: another process is committing.
        StoreError: the store cannot be read, or the disk refuses.
    """
    root = Path(path).absolute()
    if dry_run:
        head = read_snapshot(root)
        warn_of_given_up(head)
        return _sizes(root, unreachable(head))
    read_info(root)
    with told(), disk.exclusive(root / "store.json"):
        head = read_snapshot(root)
        removed = _sizes(root, unreachable(head))
        remove_unreachable(head)
    return removed


def roll_back(path: Path | str, number: int) -> Generation:
    """Make a new head that holds what generation ``number`` holds, which must be on disk still.

    The generations in between are not needed and not read, so this also leads away from a head that is damaged.

    Raises:
        StoreBusy: another process is committing.
        StoreError: the generation is gone, or is the head.
        BudgetTooSmall: its number has more digits now, and the budget does not hold them.
        Damaged: the generation, or a segment of it, is.
    """
    root = Path(path).absolute()
    read_info(root)
    with told(), disk.exclusive(root / "store.json"):
        numbers = generation_numbers(root)
        target = read_snapshot(root, number)
        if number == numbers[-1]:
            raise StoreError(f"{root}: generation {number} is the head; there is nothing to roll back")
        for ref in target.generation.segments:
            SegmentReader(root, ref).close()
        generation = target.generation.model_copy(update={"number": numbers[-1] + 1})
        publish(target, generation)
        tidy(read_snapshot(root))
    return generation


def _sizes(root: Path, paths: list[Path]) -> dict[str, int]:
    return {str(path.relative_to(root)): disk.usage(path)[0] for path in paths}
