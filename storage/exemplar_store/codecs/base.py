"""What every payload codec is."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from exemplar_store.errors import StoreError


@dataclass(frozen=True)
class Encoding:
    """What a reader needs to decode a payload, beside the payload: the codec's name and its parameters.

    Attributes:
        codec: the codec's name in the registry.
        params: the codec's parameters as compact JSON with sorted keys, so that equal encodings compare equal.
    """

    codec: str
    params: str


class Codec(BaseModel, ABC):
    """One way to code the values of `Tokens`; positions and grid are stored apart from the payload.

    The pydantic fields are the codec's parameters. They are stored once per segment, so whatever is equal for all
    exemplars (tables, headers, dtypes) belongs there and not in the payload.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: ClassVar[str]

    @abstractmethod
    def encode(self, values: NDArray[Any]) -> bytes:
        """The payload of ``values (n, *token_shape)``.

        Raises:
            StoreError: the codec cannot hold values of this dtype or shape.
        """

    @abstractmethod
    def decode(self, payload: bytes, count: int) -> NDArray[Any]:
        """``values (count, *token_shape)`` of a payload.

        Raises:
            ValueError: the payload does not hold ``count`` tokens, as far as the codec can tell. Changed bytes are
                found by the exemplar's checksum, before this.
        """

    def take(self, payload: bytes, count: int, kept: NDArray[np.bool_]) -> bytes:
        """The payload of some of a payload's ``count`` tokens, with the very same values; ``kept`` is bool (count,).

        Raises:
            StoreError: they would have to be coded again, and would lose by it.
            ValueError: as `decode`.
        """
        values = self.decode(payload, count)[kept]
        smaller = self.encode(values)
        if not np.array_equal(self.decode(smaller, len(values)), values):
            raise StoreError(f"codec {self.name}: tokens cannot be dropped without coding the others again, with loss")
        return smaller

    @cached_property
    def encoding(self) -> Encoding:
        """Name and parameters, as they are stored; one object, so that a list of exemplars is sent with one copy.

        A parameter that is None is left out.
        """
        params = json.dumps(self.model_dump(mode="json", exclude_none=True), separators=(",", ":"), sort_keys=True)
        return Encoding(self.name, params)
