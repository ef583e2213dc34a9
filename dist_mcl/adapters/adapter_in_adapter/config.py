"""What PEFT needs to know of one modality's adapters, and what its folder says of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from peft import PeftConfig

from dist_mcl.adapter_config import AdapterForm


@dataclass
class AdapterInAdapterConfig(PeftConfig):
    """Attributes:
    parents: modalities on which this one builds.
    ancestors: the parents, theirs and so on, oldest first: whose adapters this modality uses.
    groups: linear layers of one form each: the fields of `AdapterForm`, and `modules` with their full names.
    own_modules: names of modules that are this modality's alone: they train, are saved and load with its adapters.
    base_modules: names of the frozen modules that it builds on: its folder has their digests.
    target_modules: made from the groups.

    Raises ValueError, TypeError or KeyError for groups that say no form.
    """

    parents: list[str] = field(default_factory=list)
    ancestors: list[str] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    own_modules: list[str] = field(default_factory=list)
    base_modules: list[str] = field(default_factory=list)
    target_modules: str | None = field(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        # A plain string: PEFT's own enum of types is closed.
        self.peft_type = "ADAPTER_IN_ADAPTER"
        # A set would match every module whose name ends in one of these, a regular expression matches whole names.
        self.target_modules = "|".join(re.escape(name) for group in self.groups for name in group["modules"])
        self._forms = [
            AdapterForm(**{name: value for name, value in group.items() if name != "modules"}) for group in self.groups
        ]

    def form_of(self, module: str) -> AdapterForm:
        """What the adapter on this module is to be."""
        return next(form for form, group in zip(self._forms, self.groups, strict=True) if module in group["modules"])
