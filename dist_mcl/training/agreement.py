"""What all ranks of a stage must have in common, compared before anything is built upon it.

A rank that reads another configuration, runs other versions, or sees an older generation of the memory would go on
without a word, and spoil the result.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

from dist_mcl.differences import differing_fields, some_of
from dist_mcl.run_folder import RunFolder
from dist_mcl.training.process_group import ProcessGroup
from exemplar_store import ExemplarStore

_PACKAGES = ("dist-mcl", "torch", "deepspeed", "transformers", "peft", "numpy")


class RanksDisagreeError(RuntimeError):
    """The ranks do not work on the same thing, which no result may survive."""


def check_agreement(facts: Mapping[str, Any], group: ProcessGroup) -> None:
    """See that every rank calls this with the same facts.

    Args:
        facts: plain values by name; mappings and lists among them are compared field by field.

    Raises:
        RanksDisagreeError: on every rank; names the first rank that differs from rank 0, and in what.
    """
    told = group.gather((socket.gethostname(), facts))
    first_host, first = told[0]
    for rank, (host, its) in enumerate(told):
        if different := list(differing_fields(its, first)):
            raise RanksDisagreeError(
                f"rank {rank} here on {host} and rank 0 there on {first_host} disagree: {some_of(different)}"
            )


def stage_facts(run: RunFolder) -> dict[str, Any]:
    """What this rank sees of a run when a stage begins.

    Raises:
        StoreError: the run's memory cannot be read.
    """
    has_memory = run.experiment.exemplars.budget > 0
    return {
        "experiment": run.experiment.model_dump(mode="json"),
        "plan": asdict(run.plan),
        "versions": {name: version(name) for name in _PACKAGES},
        "store generation": ExemplarStore.open(run.store).head.number if has_memory else None,
    }
