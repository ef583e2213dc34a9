"""The memorise step where modalities are learned: questions with their answers, and the media tokens that matter.

A question is chosen among those of its modality by what the decoder knows where the answer begins, its media tokens by
how much the answer attends to them. What the store calls a class is a modality here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dist_mcl.config import AttentionScores, Experiment
from dist_mcl.exemplars import Candidates, rank_samples
from dist_mcl.exemplars.questions import QuestionMasking, media_codecs, question_exemplar
from dist_mcl.run_folder import ProgressFile, RunFolder
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.agreement import check_agreement
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.memorise import choice, closeness, describe_memory
from dist_mcl.training.process_group import ProcessGroup
from dist_mcl.training.samples import ids_of
from dist_mcl.training.sharding import BATCH_SIZE, each_batch, of_all_ranks
from exemplar_store import EncodedExemplar, ExemplarStore, encode
from exemplar_store.communicator import on_first


def memorise_questions(
    model: Answerer,
    samples: Sequence[Sample],
    run: RunFolder,
    stage: int,
    group: ProcessGroup,
    progress: ProgressFile,
) -> dict[str, object]:
    """Bring a stage's questions into the memory, and drop what no longer fits the budget.

    What is remembered does not depend on the number of ranks. Does nothing twice.

    Args:
        model: has learned the stage's modality.
        samples: the stage's, raw.

    Returns:
        as `memorise`.
    """
    store = ExemplarStore.open(run.store, run_id=run.plan.run_id, communicator=group)
    if stage not in store.head.stages:
        (label,) = run.plan.stages[stage - 1]
        mine = _choose(model, samples, run.experiment, label, group, progress)
        admission = store.plan(stage, mine, dict(enumerate(run.plan.class_names)))
        store.commit(admission, evict_first=run.experiment.exemplars.store.evict_first)
    return on_first(group, lambda: describe_memory(store))


def _choose(
    model: Answerer,
    samples: Sequence[Sample],
    experiment: Experiment,
    label: int,
    group: ProcessGroup,
    progress: ProgressFile,
) -> Iterator[EncodedExemplar]:
    """Mask this rank's samples, rank them among those of all ranks, and code them as they are taken."""
    config, ids = experiment.exemplars, ids_of(samples)
    masked, features = _look(model, samples, experiment, group, progress)
    labels = np.full(len(samples), label)
    known = Candidates(ids, features, np.zeros((len(samples), 0)))
    ranks, scores = rank_samples(config.selection, known, labels, experiment.seed), closeness(features, labels)
    check_agreement({"exemplars of class": choice(ids, labels, ranks)}, group)
    codecs = media_codecs(samples[0], config)
    return (
        encode(question_exemplar(one, label, int(ranks[at]), float(scores[at]), samples[at], config), codecs)
        for at, one in masked.items()
    )


@torch.no_grad()
def _look(
    model: Answerer, samples: Sequence[Sample], experiment: Experiment, group: ProcessGroup, progress: ProgressFile
) -> tuple[dict[int, Sample], NDArray[Any]]:
    """This rank's masked samples by index, and float32 (n, width) features of all."""
    model.eval()
    how = experiment.exemplars.scores
    assert isinstance(how, AttentionScores)  # others are refused for modalities
    masking = QuestionMasking(experiment.exemplars, experiment.seed)
    masked: dict[int, Sample] = {}
    mine: dict[int, NDArray[Any]] = {}

    def looked_at(chunk: list[Sample]) -> tuple[list[Sample], NDArray[Any]]:
        found = model.attended(Batch.collate(model.backbone.prepare(chunk)).to(group.device), how)
        kept = [masking(sample, cells) for sample, cells in zip(chunk, found.scores, strict=True)]
        return kept, found.features.cpu().numpy()

    for number, (kept, features) in each_batch(looked_at, samples, group, in_step=False):
        mine[number] = features
        masked.update(enumerate(kept, start=number * BATCH_SIZE))
        progress.update("memorise", min((number + 1) * BATCH_SIZE, len(samples)), len(samples), number * BATCH_SIZE)
    return masked, np.concatenate(of_all_ranks(mine, group))
