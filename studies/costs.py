"""What work costs: processor time, and memory at its peak."""

from __future__ import annotations

import ctypes
import gc
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_RESET_PEAK = "5"  # proc_pid_clear_refs(5)
_SELF = Path("/proc/self")


@contextmanager
def measured() -> Iterator[dict[str, float]]:
    """What happens inside. Filled at the end: `processor_seconds` of all threads, and `peak_bytes` of the process.

    The peak is of memory that is resident, with what other work still holds. Where the system cannot forget an earlier
    peak, it is that of the process since its start.
    """
    cost: dict[str, float] = {}
    is_reset = _forget_peak()
    begun = time.process_time()
    yield cost
    cost["processor_seconds"] = time.process_time() - begun
    cost["peak_bytes"] = _peak() if is_reset else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _forget_peak() -> bool:
    """Begin a new peak, without what an earlier run in this process has left; whether the system can do so."""
    gc.collect()
    try:
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        (_SELF / "clear_refs").write_text(_RESET_PEAK)
    except OSError:
        return False
    return True


def _peak() -> int:
    lines = (_SELF / "status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024
