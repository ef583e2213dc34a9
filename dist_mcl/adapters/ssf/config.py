"""What PEFT needs to know of an SSF adapter."""

from __future__ import annotations

from dataclasses import dataclass, field

from peft import PeftConfig


@dataclass
class SSFConfig(PeftConfig):
    """Attributes:
    target_modules: the modules that are wrapped, `nn.Linear` or `nn.LayerNorm`: a set of names (each matches as a
        suffix, as everywhere in PEFT) or one regular expression that matches whole names.
    """

    target_modules: set[str] | str | None = field(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        # A plain string: PEFT's own enum of types is closed.
        self.peft_type = "SSF"
        if isinstance(self.target_modules, list):  # as JSON has it
            self.target_modules = set(self.target_modules)
