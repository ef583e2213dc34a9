"""MPI: which `mpirun` is here, and whether mpi4py loads the library that belongs to it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator

from dist_mcl.config import Launcher
from dist_mcl.doctor.finding import Finding, absent
from stage_launchers import LauncherError
from stage_launchers.kinds.mpi import is_open_mpi

_NAMES = ("mpirun", "mpirun.openmpi", "mpirun.mpich")
# In a process of its own: an MPI library that does not fit may end the process that loads it.
_LIBRARY = """
import mpi4py
mpi4py.rc.initialize = False
from mpi4py import MPI
print(MPI.Get_library_version().split(",")[0].splitlines()[0])
"""
_SECONDS_TO_LOAD = 60


def mpi(launcher: Launcher) -> Iterator[Finding]:
    """Each `mpirun` and whether it can start a stage. One is needed where `launcher.kind` is mpi."""
    wanted = str(launcher.options.get("mpirun", "mpirun")) if launcher.kind == "mpi" else None
    here = [name for name in dict.fromkeys([wanted, *_NAMES]) if name and shutil.which(name)]
    if wanted and wanted not in here:
        yield Finding("mpi", "missing", f"{wanted} is not found", "install Open MPI or MPICH, or set its path")
    if not here:
        if not wanted:
            yield Finding(
                "mpi", "note", "no mpirun; only the launcher mpi needs one", "install Open MPI or MPICH for it"
            )
        return
    library = _library()
    for name in here:
        yield _fits(name, library, name == wanted)


def _fits(name: str, library: str, is_needed: bool) -> Finding:
    try:
        is_open = is_open_mpi(str(shutil.which(name)))
    except LauncherError as error:
        return absent("mpi", is_needed, str(error).removeprefix("launcher mpi: "), "set launcher.options.mpirun")
    if not is_open:  # its processes find each other through its process manager, whatever mpi4py loads
        return Finding("mpi", "fine", f"{name} is MPICH's, and needs no mpi4py")
    if library.startswith("Open MPI"):
        return Finding("mpi", "fine", f"{name} is Open MPI's, and mpi4py loads {library}")
    return absent(
        "mpi",
        is_needed,
        f"{name} is Open MPI's, but mpi4py loads {library}: each process would believe to be alone",
        "use mpirun.mpich as launcher.options.mpirun, or let mpi4py find Open MPI's library",
    )


def _library() -> str:
    command = [sys.executable, "-c", _LIBRARY]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS_TO_LOAD, check=False)
    except subprocess.TimeoutExpired:
        return "a library that does not answer"
    return "no library" if done.returncode else done.stdout.strip()
