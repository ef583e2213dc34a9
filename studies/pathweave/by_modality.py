"""Where adapter-in-adapter gains over independent adapters: each modality by itself, in every setting that has both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from studies.pathweave.all_tests import gain
from studies.pathweave.grid import Setting, stage_names
from studies.pathweave.summary import Group, by_method
from studies.tables import Column, table

_PAIRS: tuple[tuple[str, Setting, str, str], ...] = (
    ("usual", "usual", "ana", "independent"),
    ("few questions", "few", "ana", "independent"),
    ("few questions, connector alone", "few", "ana_connector", "independent_connector"),
    ("reverse order", "reversed", "ana", "independent"),
)


@dataclass(frozen=True)
class _Pair:
    setting: str
    ours: Group
    theirs: Group

    def gain_of(self, modality: str) -> str:
        """In points on all test questions; bold where it is more than twice its error."""
        if modality in self.ours.order[:2]:
            return "same"
        found = gain(self.ours.results, self.theirs.results, [modality])
        mean = round(found.by_seed.mean, 1) + 0.0  # which is never -0.0
        text = f"{mean:+.1f}, error {found.error:.1f}"
        return f"**{text}**" if found.is_sure else text


def gains_by_modality(found: list[Group]) -> str:
    """A table: settings by modalities; empty where no setting has both methods on all test questions."""
    columns: Sequence[Column[_Pair]] = [
        ("setting", lambda pair: pair.setting),
        *((name, _gain_of(name)) for name in stage_names()),
    ]
    pairs = _pairs(found)
    return table(columns, pairs) if pairs else ""


def _pairs(found: list[Group]) -> list[_Pair]:
    pairs = []
    for title, setting, ours, theirs in _PAIRS:
        these = by_method(found, setting)
        if ours in these and theirs in these and these[ours].has_all_tests and these[theirs].has_all_tests:
            pairs.append(_Pair(title, these[ours], these[theirs]))
    return pairs


def _gain_of(modality: str) -> Callable[[_Pair], str]:
    return lambda pair: pair.gain_of(modality)
