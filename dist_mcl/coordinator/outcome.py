"""How an attempt ended, and what follows from it. Pure: files in, a decision out.

The files decide, not exit codes or a scheduler's word: launchers garble exit codes, and a cluster calls a job completed
whose workers only saved and left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dist_mcl.files import read_json
from dist_mcl.run_folder import StageFolder, StageState

# What the other ranks say when one has vanished: gloo's and NCCL's words.
_PEER_LOST = re.compile(
    r"PeerLostError|Connection closed by peer|Connection reset by peer|Broken pipe|Timed out waiting|Socket Timeout|"
    r"[Ww]atchdog|ncclRemoteError|ncclSystemError|wait timeout"
)
_LONGEST_QUOTE = 200


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        kind: "done"; "yielded": it saved and is to be started again; "mistake": of the user; "lost": processes or nodes
            vanished, so another attempt may well succeed; "failed": it would fail again.
        reason: for people, None when it is done.
    """

    kind: Literal["done", "yielded", "mistake", "lost", "failed"]
    reason: str | None = None


def judge(folder: StageFolder, attempt: int, code: int) -> Outcome:
    """Judge a finished attempt by what it left.

    Args:
        code: exit code of its launcher; only told to people.
    """
    if folder.is_done():
        return Outcome("done")
    files = folder.attempt(attempt)
    if yielded := read_json(files / "yielded.json"):
        step = "" if yielded["step"] is None else f" after step {yielded['step']}"
        return Outcome("yielded", f"stopped{step}{'' if yielded['saved'] else ', without time to save'}")
    records: list[dict[str, Any]] = [record for path in files.glob("error-*.json") if (record := read_json(path))]
    # The earliest report is the cause; later ones say that a peer has gone.
    causes = sorted((record for record in records if not _says_peer_lost(record)), key=lambda record: record["time"])
    if causes:
        kind: Literal["mistake", "failed"] = "mistake" if causes[0]["users_mistake"] else "failed"
        return Outcome(kind, str(causes[0]["reason"]))
    if records:
        return Outcome("lost", f"a process vanished while others waited for it ({records[0]['reason']})")
    ended = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code} and no word"
    said = _last_error(files / "launcher.log")
    return Outcome("lost", f"a process {ended}" + (f"; its launcher says: {said}" if said else ""))


def next_state(state: StageState, outcome: Outcome, retries: int, is_cancelled: bool) -> StageState:
    """The state of a stage after an attempt.

    Args:
        state: as it was while the attempt ran.
        retries: how many lost attempts are tried again.
        is_cancelled: whether a person wants the run to stop.
    """
    after = replace(state, reason=outcome.reason)
    if outcome.kind == "done":
        return replace(after, status="done")
    if is_cancelled:
        return replace(after, status="cancelled")
    if outcome.kind == "yielded":
        return replace(after, status="yielded")
    after = replace(after, failures=state.failures + 1)
    may_retry = outcome.kind == "lost" and after.failures <= retries
    return replace(after, status="waiting" if may_retry else "failed")


def _last_error(log: Path) -> str | None:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    return next((line.strip()[:_LONGEST_QUOTE] for line in reversed(lines) if "error" in line.lower()), None)


def _says_peer_lost(record: dict[str, Any]) -> bool:
    return not record["users_mistake"] and bool(_PEER_LOST.search(record["reason"]))
