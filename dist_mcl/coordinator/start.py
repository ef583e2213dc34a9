"""Begin a run, or open the one that was begun; everything that can be refused is refused before anything is written."""

from __future__ import annotations

import difflib
import hashlib
import re
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from dist_mcl.config import Experiment, is_part_of_result
from dist_mcl.coordinator.requirements import check_custom_encoders, check_models, check_scoring, check_vectors
from dist_mcl.errors import UserError
from dist_mcl.exemplars.codecs import LOGITS, codecs_for
from dist_mcl.exemplars.questions import media_codecs, question_exemplar
from dist_mcl.modalities.tokenizers import Tokenizers, open_tokenizers
from dist_mcl.question_config import ModalityIncremental
from dist_mcl.run_folder import Plan, RunFolder
from dist_mcl.scenario.builders.progress import Track, untold
from dist_mcl.scenario.dataset import Dataset
from dist_mcl.scenario.questions.stages import StageQuestions, check_data, left_out, modality_stages
from dist_mcl.scenario.readers import open_splits
from dist_mcl.scenario.stages import class_incremental
from dist_mcl.store_config import StoreRules
from exemplar_store import (
    BudgetPolicy,
    Codec,
    EncodedExemplar,
    Exemplar,
    ExemplarStore,
    StoreError,
    Tokens,
    encode,
    minimum_bytes,
)

_LONGEST_NAME = 150  # of a folder; file systems take 255 bytes


def default_folder(experiment: Experiment, overrides: Sequence[str]) -> Path:
    """`runs/NAME`, with the overrides in the name: another configuration is another run."""
    chosen = [item.strip() for item in overrides if is_part_of_result(item)]
    parts = [experiment.name, *sorted(re.sub(r"[^A-Za-z0-9._=+-]", "_", item) for item in chosen)]
    name = "-".join(parts)
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return Path("runs") / name


def open_or_begin(path: Path, experiment: Experiment, track: Track = untold) -> RunFolder:
    """The run in `path`, begun now if there is none.

    Args:
        track: shows how far the look at the data has got.

    Raises:
        UserError: as `open_or_plan`, or the folder or the store cannot be made.
    """
    return begin(open_or_plan(path, experiment, track))


def begin(run: RunFolder) -> RunFolder:
    """Write down a run that was planned, if it is not yet, and make its store. Raises as `open_or_begin`."""
    if not RunFolder.exists(run.path):
        run.write()
    _open_store(run)
    return run


def open_or_plan(path: Path, experiment: Experiment, track: Track = untold) -> RunFolder:
    """The run in `path`, or the one that would begin there; nothing is written.

    Raises:
        UserError: the folder holds a run of another configuration or version, or the store of another run, data or
            models are missing or unreadable, more stages than classes, or a budget that cannot hold one exemplar.
    """
    if RunFolder.exists(path):
        run = RunFolder.open(path)
        run.check_can_continue()
        run.check_same_experiment(experiment)
        return RunFolder(path, experiment, run.plan)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(f"{path}: is not empty and holds no run; choose another folder with --run")
    return _plan(path, experiment, track)


def _plan(path: Path, experiment: Experiment, track: Track) -> RunFolder:
    if isinstance(experiment.scenario, ModalityIncremental):
        return _plan_modalities(path, experiment, experiment.scenario)
    splits = open_splits(experiment.data, experiment.seed)
    train = splits["train"]
    groups = class_incremental(train.labels.tolist(), experiment.scenario, experiment.seed)
    tokenizers = open_tokenizers(experiment.model)
    for split in ("test", "train"):
        splits[split].check(track)
    if experiment.exemplars.budget:
        _check_budget(experiment, train, tokenizers, stages=len(groups))
    return RunFolder(path, experiment, Plan.chain(list(train.classes), [list(group) for group in groups]))


def _plan_modalities(path: Path, experiment: Experiment, scenario: ModalityIncremental) -> RunFolder:
    """Modalities take the place of classes: one in each stage, or all in one."""
    check_models(experiment)
    from dist_mcl.training.rehearsal import rehearse  # seconds, which only backbones that answer need

    rehearse(experiment)
    check_custom_encoders(experiment)
    stages = modality_stages(scenario)
    check_scoring(experiment, stages)
    check_data(scenario.stages, stages)
    for line in left_out(stages):
        print(f"mcl: {line}", file=sys.stderr)
    check_vectors(experiment, stages)
    if experiment.exemplars.budget:
        _check_modality_budget(experiment, stages)
    names = [stage.modality for stage in stages]
    numbers = list(range(len(names)))
    return RunFolder(path, experiment, Plan.chain(names, [numbers] if scenario.joint else [[one] for one in numbers]))


def _check_budget(experiment: Experiment, train: Dataset, tokenizers: Tokenizers, stages: int) -> None:
    sample = train.sample(0, tokenizers, stage=1)
    tokens = dict(sample.tokens)
    if experiment.training.distillation.teacher == "stored":  # as many numbers, which are no easier to compress
        logits = np.random.default_rng(0).normal(size=len(train.classes)).astype(np.float16)
        tokens[LOGITS] = Tokens.full(logits, logits.shape)
    whole = Exemplar(sample.id, sample.class_id, stage=1, rank=0, score=0.0, tokens=tokens)
    codecs = codecs_for(experiment.exemplars, tokenizers.text.vocabulary_size, tokenizers.image.patch)
    _check_holds(experiment, whole, codecs, stages, train.classes)


def _check_modality_budget(experiment: Experiment, stages: Sequence[StageQuestions]) -> None:
    names = [stage.modality for stage in stages]
    for number, stage in enumerate(stages):
        sample = stage.train.sample(0, stage.number)
        whole = question_exemplar(sample, number, 0, 0.0, sample, experiment.exemplars)
        _check_holds(experiment, whole, media_codecs(sample, experiment.exemplars), len(stages), names)


def _check_holds(
    experiment: Experiment, whole: Exemplar, codecs: Mapping[str, Codec], stages: int, class_names: Sequence[str]
) -> None:
    """See that a store of the budget has room for one exemplar."""
    rules = experiment.exemplars.store
    needed = minimum_bytes(
        _encoded(whole, codecs),
        run_id=uuid.uuid4().hex,
        budget_bytes=experiment.exemplars.budget,
        stages=range(1, stages + 1),
        class_names={whole.label: class_names[whole.label]},
        policy=_policy(rules, class_names),
        keep_generations=rules.keep_generations,
    )
    if experiment.exemplars.budget < needed:
        raise UserError(
            f"exemplars.budget: {experiment.exemplars.budget} bytes cannot hold one exemplar, a store with one "
            f"takes up to {needed} bytes; choose more, or 0 for no memory"
        )


def _encoded(whole: Exemplar, codecs: Mapping[str, Codec]) -> EncodedExemplar:
    try:
        return encode(whole, codecs)
    except StoreError as error:  # a codec that is not installed, or whose file format is too small for the picture
        raise UserError(f"exemplars.image_codec: {error}") from error


def _policy(rules: StoreRules, class_names: Sequence[str]) -> BudgetPolicy:
    """The store's policy, which knows classes by their numbers."""
    if rules.share != "class":
        return BudgetPolicy(share=rules.share, weights=rules.weights)
    numbers = {name: str(number) for number, name in enumerate(class_names)}
    if unknown := [name for name in rules.weights if name not in numbers]:
        close = difflib.get_close_matches(unknown[0], numbers, n=1)
        mend = f"did you mean {close[0]!r}?" if close else f"classes: {', '.join(numbers)}"[:300]
        raise UserError(f"exemplars.store.weights: no class is called {unknown[0]!r}; {mend}")
    return BudgetPolicy(share="class", weights={numbers[name]: weight for name, weight in rules.weights.items()})


def _open_store(run: RunFolder) -> None:
    """Make the store of a run that has not memorised anything yet, and refuse one that is not this run's memory."""
    budget = run.experiment.exemplars.budget
    if not budget:
        return
    memorised = {folder.number for folder in run.stages() if folder.record("memorise")}
    try:
        if run.store.exists():
            _check_remembers(ExemplarStore.open(run.store, run_id=run.plan.run_id), memorised)
        elif memorised:
            raise UserError(
                f"{run.store}: is missing, but stages {sorted(memorised)} are in this run's memory; bring it back, or "
                f"remove {run.path} and begin again"
            )
        else:
            rules = run.experiment.exemplars.store
            ExemplarStore.create(
                run.store,
                budget_bytes=budget,
                run_id=run.plan.run_id,
                policy=_policy(rules, run.plan.class_names),
                keep_generations=rules.keep_generations,
            )
    except StoreError as error:
        raise UserError(str(error)) from error


def _check_remembers(store: ExemplarStore, memorised: set[int]) -> None:
    if lost := memorised - set(store.head.stages):
        raise UserError(
            f"{store.path}: knows nothing of stages {sorted(lost)}, which this run has memorised; bring the store back "
            f"that did (`exemplar-store log`, `rollback`), or begin another run"
        )
