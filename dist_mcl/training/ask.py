"""The evaluation of a model that answers in words: every question asked, and what was said scored task by task."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from dist_mcl.answer_config import Generation
from dist_mcl.config import Evaluation
from dist_mcl.evaluation.answers import named_candidate
from dist_mcl.run_folder import ProgressFile
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.sharding import BATCH_SIZE, each_batch, of_all_ranks

_ROWS = 64  # sequences, candidates and beams counted each, that go through the language model together


@torch.no_grad()
def ask(
    model: Answerer, samples: Sequence[Sample], how: Evaluation, group: ProcessGroup, progress: ProgressFile
) -> list[str]:
    """What the model answers to every sample, in the samples' order, on every rank.

    Where a question has candidates, it chooses the likeliest, or the one that it names when it speaks freely, as `how`
    says. Where it has none, it speaks freely, each as its question says, or as `how` does.

    Args:
        samples: raw or prepared, with questions.
    """
    model.eval()

    def answers(chunk: list[Sample]) -> list[str]:
        prepared = model.backbone.prepare(chunk)
        said: dict[int, str] = {}
        for manner, places in _parts(chunk, how):
            batch = Batch.collate([prepared[place] for place in places]).to(group.device)
            said.update(zip(places, _answers(model, batch, manner), strict=True))
        return [said[place] for place in range(len(chunk))]

    mine: dict[int, list[str]] = {}
    for number, said in each_batch(answers, samples, group, in_step=False):
        mine[number] = said
        progress.update("evaluate", min((number + 1) * BATCH_SIZE, len(samples)), len(samples), number * BATCH_SIZE)
    return [text for said in of_all_ranks(mine, group) for text in said]


def _answers(model: Answerer, batch: Batch, manner: Generation | None) -> list[str]:
    if manner is not None:
        said = zip(model.backbone.generate(batch, manner), batch.questions, strict=True)
        return [named_candidate(text, asked) if asked.candidates else text for text, asked in said]
    candidates = [asked.candidates for asked in batch.questions]
    losses = model.backbone.rank(batch, candidates)
    return [texts[int(loss.argmin())] for texts, loss in zip(candidates, losses, strict=True)]


def _parts(chunk: Sequence[Sample], how: Evaluation) -> Iterator[tuple[Generation | None, list[int]]]:
    """Places of samples that are asked together, in one manner and not too many rows; None: candidates are ranked."""
    questions = Batch.collate(chunk).questions
    ranks = how.candidates == "rank"
    manners = [None if ranks and asked.candidates else asked.generation or how.generation for asked in questions]
    for manner in dict.fromkeys(manners):
        part: list[int] = []
        taken = 0
        for place in (place for place, its in enumerate(manners) if its == manner):
            rows = len(questions[place].candidates) if manner is None else manner.beams
            if part and taken + rows > _ROWS:
                yield manner, part
                part, taken = [], 0
            part.append(place)
            taken += rows
        yield manner, part
