"""Questions and media on their way into the tables of `scenario.questions.tables`."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dist_mcl.scenario.questions.tables import MEDIA_SCHEMA, QUESTION_SCHEMA

_SEED = 0  # of the choice among the wordings of a question


class QuestionTables:
    """Columns of the two schemas, filled row by row.

    Args:
        wordings: the ways of asking, by task; one is drawn for each question.

    Attributes:
        questions: columns of `QUESTION_SCHEMA`.
        media: columns of `MEDIA_SCHEMA`, by modality.
    """

    def __init__(self, wordings: Mapping[str, Sequence[str]]) -> None:
        self._wordings, self._random = wordings, random.Random(_SEED)
        self.questions: dict[str, list[Any]] = {name: [] for name in QUESTION_SCHEMA.names}
        self.media: dict[str, dict[str, list[Any]]] = defaultdict(lambda: {name: [] for name in MEDIA_SCHEMA.names})

    def add_media(self, modality: str, **row: object) -> int:
        """Add a media file, a value for each column of `MEDIA_SCHEMA`; returns its number."""
        columns = self.media[modality]
        for name in MEDIA_SCHEMA.names:
            columns[name].append(row[name])
        return len(columns["media"]) - 1

    def ask(self, modality: str, media: int, task: str, answer: str, split: Literal["train", "test"]) -> None:
        """Add a question about a media file, in words drawn from those of its task."""
        question = self._random.choice(self._wordings[task])
        values = (modality, media, task, question, [answer], split)
        for name, value in zip(QUESTION_SCHEMA.names, values, strict=True):
            self.questions[name].append(value)
