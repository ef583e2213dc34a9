"""What a program tells about itself while it trains."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from training_bench.memory import Memory, Sizes, keep_freed_memory
from training_bench.turns import Seat

# The first steps allocate; then memory is looked at, once, as that takes time; then the heap grows to what it will be.
_MEASURE_MEMORY_AFTER = 3
WARM_UP = 6


class Diary:
    """Ends a turn after each step and each checkpoint, and keeps what was seen of memory.

    Args:
        seat: of this rank.
        memory: of this process, before the model is built.
    """

    def __init__(self, seat: Seat, memory: Memory) -> None:
        self._seat, self._memory = seat, memory
        self._steps = 0
        self.sizes: Sizes | None = None
        self.bytes: dict[str, int] = {}

    def built(self, model: nn.Module) -> None:
        """The model is there, and no engine yet."""
        if self.sizes is None:
            self.sizes = Sizes.of(model)
            self.bytes["model"] = self._memory.held()

    def stepped(self, loss: float | None) -> None:
        """An optimiser step is done; `loss` is the mean of this rank's share."""
        self._steps += 1
        if self._steps == _MEASURE_MEMORY_AFTER:
            self.bytes["between steps"] = self._memory.held()
            self.bytes["peak"] = self._memory.peak()
            keep_freed_memory()
        self._seat.end_turn("step", loss=loss)

    def saved(self, seconds: float, folder: Path) -> None:
        """A checkpoint was written into a folder."""
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        self._seat.end_turn("save", save_seconds=seconds, checkpoint_bytes=size)
