"""Which modality's adapters each part of a call goes through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from dist_mcl.adapters.adapter_in_adapter.model import AdapterInAdapterModel


@dataclass(frozen=True, eq=False)
class PathPart:
    """The parts of a call that take one modality's path.

    Attributes:
        places: int64 (n,), indices into the flattened leading axes of what a layer gets; None for all of it.
    """

    modality: str
    places: Tensor | None


@dataclass(frozen=True, eq=False)
class ModalityPath:
    """What is in no part takes the base's path: no adapter.

    Attributes:
        shape: the leading axes of a layer's input that `places` count along: () where all takes one path, (rows,),
            or (rows, tokens).
    """

    shape: tuple[int, ...]
    parts: tuple[PathPart, ...]

    @classmethod
    def of_all(cls, modality: str | None) -> ModalityPath:
        """One path for everything; None is the base's."""
        return cls((), () if modality is None else (PathPart(modality, None),))

    @classmethod
    def of_rows(cls, modalities: Sequence[str | None], device: torch.device | str | None = None) -> ModalityPath:
        """A path for each row (first axis) of the inputs, all tokens of which take it.

        Args:
            modalities: of each row; None is the base's path.
            device: where the model computes.
        """
        names = list(dict.fromkeys(modalities))
        if len(names) == 1:
            return cls.of_all(names[0])
        index = torch.tensor([names.index(name) for name in modalities])
        return cls._split(names, index, device)

    @classmethod
    def of_tokens(cls, modalities: Sequence[str], index: Tensor) -> ModalityPath:
        """A path for each token.

        Args:
            modalities: names.
            index: int64 (rows, tokens), which of the names each token's modality is; -1 for the base's path, which is
                text's.
        """
        return cls._split(modalities, index, index.device)

    @classmethod
    def _split(cls, names: Sequence[str | None], index: Tensor, device: torch.device | str | None) -> ModalityPath:
        flat = index.flatten()
        parts = [
            PathPart(name, (flat == number).nonzero()[:, 0].to(device))
            for number, name in enumerate(names)
            if name is not None
        ]
        return cls(tuple(index.shape), tuple(part for part in parts if part.places is not None and len(part.places)))

    @property
    def modalities(self) -> set[str]:
        """Those whose adapters are used."""
        return {part.modality for part in self.parts}


class Switch:
    """What all layers of a model share while it is called.

    Attributes:
        path: of the call in progress; without one, a layer's active adapter is the path.
        tuner: that of the model.
    """

    def __init__(self, tuner: AdapterInAdapterModel) -> None:
        self.path: ModalityPath | None = None
        self.tuner = tuner
