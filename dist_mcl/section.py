"""The base of every section of a configuration: strict, immutable, and a switch is never taken for a number."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """Unknown keys are refused, and so are infinities, NaN, and true or false where another value belongs."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _a_switch_is_no_number(cls, values: object) -> object:
        # Python takes True for 1, and YAML takes yes and on for True.
        given = values if isinstance(values, dict) else {}
        for name, value in given.items():
            if isinstance(value, bool) and name in cls.model_fields and cls.model_fields[name].annotation is not bool:
                raise ValueError(f"{name} is no switch, write a value other than {str(value).lower()}")
        return values


def named_kind(value: object) -> object:
    """`{kind: mean}` for a plain `mean`, so that a section may be written as the kind alone."""
    return {"kind": value} if isinstance(value, str) else value
