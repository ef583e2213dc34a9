"""The machine: cores, memory, GPUs, and what is slow on it."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import psutil

from dist_mcl.config import Launcher, Training
from dist_mcl.coordinator.schedule import threads_of, usable_cores
from dist_mcl.doctor.finding import Finding
from dist_mcl.units import size

# Instructions that multiply bf16, as /proc/cpuinfo calls them: x86 twice, ARM.
_BF16 = {"avx512_bf16", "amx_bf16", "bf16"}
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def processors(launcher: Launcher) -> Iterator[Finding]:
    """Cores and memory, and how the processes of a stage share the cores of one machine."""
    cores, threads = usable_cores(), threads_of(launcher)
    memory = psutil.virtual_memory()
    facts = f"{cores} cores, {size(_memory_limit(memory.total))} of memory, {size(memory.available)} of it free"
    shared = f"{launcher.processes} processes of {threads} {'thread' if threads == 1 else 'threads'} each"
    if launcher.processes * threads > cores and launcher.kind != "slurm":
        yield Finding(
            "processors",
            "note",
            f"{facts}; {shared} are more than the cores, and slower",
            f"set launcher.processes and launcher.threads to {cores} together, or less",
        )
    else:
        yield Finding("processors", "fine", f"{facts}; {shared}")


def _memory_limit(total: int) -> int:
    limit = _CGROUP_LIMIT.read_text().strip() if _CGROUP_LIMIT.is_file() else "max"
    return min(total, int(limit)) if limit.isdigit() else total


def gpus(launcher: Launcher) -> Iterator[Finding]:
    """The GPUs that torch can use, one for each process of a machine."""
    import torch  # seconds to import

    if not torch.cuda.is_available():
        if Path("/dev/nvidia0").exists():
            says = f"there is one, but torch {torch.__version__} cannot use it"
            yield Finding("gpu", "note", says, "install a build of torch for this GPU's driver: https://pytorch.org")
        else:
            suits = "which suits the small backbone and language models of some hundred million parameters"
            yield Finding("gpu", "note", f"none: training runs on the processor, {suits}")
        return
    for number in range(torch.cuda.device_count()):
        its = torch.cuda.get_device_properties(number)
        yield Finding("gpu", "fine", f"{number}: {its.name}, {size(its.total_memory)}")
    if launcher.kind != "slurm" and launcher.nodes == 1 and launcher.processes > torch.cuda.device_count():
        yield Finding(
            "gpu",
            "missing",
            f"launcher.processes is {launcher.processes}, and each needs a GPU",
            f"--set launcher.processes={torch.cuda.device_count()}",
        )


def precision(training: Training) -> Iterator[Finding]:
    """Whether bf16 is slow here."""
    import torch

    if training.precision == "bf16" and not torch.cuda.is_available() and not _BF16 & _processor_flags():
        says = f"this processor ({platform.machine()}) has no instructions for bf16, which is slower than fp32 on it"
        yield Finding("precision", "note", says, "--set training.precision=fp32, unless memory is what counts")


def _processor_flags() -> set[str]:
    file = Path("/proc/cpuinfo")
    return set(file.read_text().split()) if file.is_file() else set()


def compiler() -> Iterator[Finding]:
    """What DeepSpeed compiles its own operators with. No stage uses one, unless DeepSpeed's JSON asks for it."""
    has_compiler = shutil.which("c++") or shutil.which("g++")
    has_ninja = shutil.which("ninja") or importlib.util.find_spec("ninja")
    if has_compiler and has_ninja:
        yield Finding("compiler", "fine", "c++ and ninja, should DeepSpeed be asked for an operator of its own")
    else:
        says = f"no {'ninja' if has_compiler else 'c++'}; only what DeepSpeed compiles itself needs it, no default does"
        yield Finding("compiler", "note", says)
    for lock in _left_locks():
        yield Finding(
            "compiler",
            "note",
            f"{lock} is there: if nothing compiles now, DeepSpeed waits for ever",
            f"remove it: rm {lock}",
        )


def _left_locks() -> list[Path]:
    folder = Path(os.environ.get("TORCH_EXTENSIONS_DIR", Path.home() / ".cache" / "torch_extensions"))
    return sorted(folder.glob("**/lock"))
