"""What one stage leaves on disk, and which of its steps are done.

Layout of `stages/<nn>/`:

    adapter/         the adapter in PEFT's format, and head.safetensors; optimizer.safetensors where the next stage goes
                     on with it
    train.json       written when training is done and the adapter is in place
    memorise.json    written when the store holds this stage's exemplars
    metrics.json     written when every class seen so far is evaluated
    MANIFEST.json    digests of all of the above: the stage is done when this verifies, and not before
    checkpoint/      how far an unfinished training is
    attempts/<n>/    one folder per attempt: progress.json, error-<rank>.json where a rank failed, yielded.json where it
                     saved and asked to be started again, and the log of every rank
    state.json       what the coordinator last knew: running, failed or done, and the attempt

A step is done when its record is there. Records are written last and whole, so a process that is killed at any moment
leaves a stage that continues with its first unfinished step.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from dist_mcl.files import read_json, sha256, sync_folder, write_json

Status = Literal["waiting", "submitted", "running", "yielded", "cancelled", "failed", "done"]
STEPS = ("train", "memorise", "evaluate")
_RECORDS = {"train": "train.json", "memorise": "memorise.json", "evaluate": "metrics.json"}


@dataclass(frozen=True)
class StageState:
    """What the coordinator last knew of a stage.

    Attributes:
        status: waiting; submitted to a cluster; running; yielded: it saved and is to be started again; cancelled by a
            person; failed; done.
        attempt: number of the current attempt, from 1; 0 before the first. An attempt commits nothing once this is
            another one.
        reason: why it failed or yielded, None otherwise.
        seconds: wall time of all finished attempts.
        failures: attempts that failed and were or may be tried again.
        job: the cluster's number of its job, None when it was not submitted.
    """

    status: Status = "waiting"
    attempt: int = 0
    reason: str | None = None
    seconds: float = 0.0
    failures: int = 0
    job: str | None = None


class StageFolder:
    """The folder of one stage.

    Args:
        path: the folder; made when it is not there.
        number: the stage's number, from 1.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def state(self) -> StageState:
        record = read_json(self.path / "state.json")
        return StageState() if record is None else StageState(**record)

    def write_state(self, state: StageState) -> None:
        """Only the coordinator calls this."""
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "state.json", asdict(state))

    def attempt(self, number: int) -> Path:
        """Folder of one attempt."""
        return self.path / "attempts" / str(number)

    def new_attempt(self) -> int:
        """Make the folder of the next attempt and return its number; two callers never get the same."""
        (self.path / "attempts").mkdir(parents=True, exist_ok=True)
        while True:
            number = 1 + max((int(path.name) for path in (self.path / "attempts").iterdir()), default=0)
            with contextlib.suppress(FileExistsError):
                self.attempt(number).mkdir()
                return number

    def record(self, step: str) -> dict[str, Any] | None:
        """What a finished step wrote, or None while it is not finished."""
        return read_json(self.path / _RECORDS[step])

    def finish(self, step: str, record: dict[str, Any]) -> None:
        """Mark a step as done."""
        write_json(self.path / _RECORDS[step], record)

    def publish_adapter(self, built: Path) -> None:
        """Move a finished adapter folder into place; one from an attempt that got no further is replaced."""
        for file in built.iterdir():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
        sync_folder(built)
        if self.adapter.exists():
            shutil.rmtree(self.adapter)
        built.rename(self.adapter)
        sync_folder(self.path)

    def seal(self) -> None:
        """Write the manifest over every result of this stage: from now on the stage is done."""
        files = [*(self.path / name for name in _RECORDS.values()), *sorted(self.adapter.iterdir())]
        digests = {str(file.relative_to(self.path)): sha256(file) for file in files}
        write_json(self.path / "MANIFEST.json", {"stage": self.number, "sha256": digests})

    def is_done(self) -> bool:
        """Whether the manifest is there and every file in it is unchanged."""
        return (self.path / "MANIFEST.json").is_file() and not self.damage()

    def damage(self) -> list[str]:
        """Names of results that were changed or removed since the stage was done; none while it is not."""
        manifest = read_json(self.path / "MANIFEST.json")
        return [] if manifest is None else damaged_files(self.path, manifest["sha256"])


def damaged_files(folder: Path, digests: dict[str, str]) -> list[str]:
    """Names in a manifest whose file is missing or changed, or that lead out of the folder."""
    root = folder.resolve()
    bad = []
    for name, digest in digests.items():
        file = (root / name).resolve()
        if not file.is_relative_to(root) or not file.is_file() or sha256(file) != digest:
            bad.append(name)
    return bad
