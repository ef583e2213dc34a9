"""One rank that trains a tiny classifier on made-up samples; it starts and ends as a worker does."""

from __future__ import annotations

import json
import os
import resource
import traceback
from pathlib import Path
from typing import NoReturn

import numpy as np
import torch
from torch import nn

from dist_mcl.config import Experiment
from dist_mcl.exemplars import Masking
from dist_mcl.run_folder import ProgressFile
from dist_mcl.tokens import Sample, Tokens
from dist_mcl.training.checkpoint import Checkpoints
from dist_mcl.training.classifier import Classifier, class_rows
from dist_mcl.training.evaluate import predict
from dist_mcl.training.learner import Pool
from dist_mcl.training.load import load_backbone
from dist_mcl.training.masking import mask_all
from dist_mcl.training.optimizer_state import OptimizerState
from dist_mcl.training.preemption import StageYieldedError, StopRequests, StopSignals
from dist_mcl.training.process_group import join_process_group
from dist_mcl.training.train import train
from dist_mcl.training.zero3 import callable_in_parts
from exemplar_store import Jpeg
from stage_launchers import die_with_launcher, end_process

CLASSES = 3
CODECS, WORDS = {"image": Jpeg()}, np.zeros(2000, dtype=np.bool_)
OLD = 2  # of them; a stage before this one, which is not run, brought them


def made_up(count: int, words: int, seed: int, first_class: int = 0) -> list[Sample]:
    """Samples whose pictures and words are noise."""
    rng = np.random.default_rng(seed)
    return [
        Sample(
            {
                "image": Tokens.full(rng.integers(0, 256, (36, 16, 16, 3), dtype=np.uint8), (6, 6)),
                "text": Tokens.full(rng.integers(1000, 2000, words, dtype=np.int32), (words,)),
            },
            target=first_class + number % CLASSES,
            id=number,
            stage=1,
            logits=rng.normal(size=OLD).astype(np.float16),
        )
        for number in range(count)
    ]


def main(folder: Path, experiment: Experiment, signals: StopSignals, before: Path | None) -> None:
    group = join_process_group(experiment.training.step_timeout)
    backbone = load_backbone(experiment, group)
    if before is None:
        model = Classifier.begin(backbone, experiment.model.adapter, seed=0)
    else:
        model = Classifier.resume(backbone, before)
    model.head.grow(OLD, seed=1)
    model.head.grow(CLASSES - OLD, seed=2)
    # The backbone draws nothing at random, other backbones may: that, too, must not depend on who computes what.
    model.backbone.register_forward_hook(
        lambda module, given, features: nn.functional.dropout(features, 0.2, module.training)
    )
    first_class = 0 if before is None else CLASSES
    fresh = made_up(20, words=4, seed=0, first_class=first_class)
    with callable_in_parts(model):
        masked = mask_all(model, fresh, fresh, Masking(experiment.exemplars, experiment.seed, CODECS, WORDS), group)
    rows = class_rows(list(range(first_class + CLASSES)))
    silent = ProgressFile(None)
    trained = train(
        model,
        Pool(fresh, fresh, made_up(4, words=2, seed=1)),
        rows,
        experiment,
        1,
        group,
        ProgressFile(folder / "progress.json" if group.is_first else None),
        Checkpoints(folder / "checkpoint", experiment.training.checkpoint, None, group, check_current=lambda: None),
        StopRequests(signals, folder / "STOP", folder, group),
        OptimizerState.load(before) if before and experiment.training.optimizer_state == "keep" else None,
    )
    (folder / f"losses-{group.rank}.json").write_text(json.dumps(trained.losses))
    with callable_in_parts(model):
        if group.is_first:
            model.save(folder / "adapter")
            if trained.optimizer is not None:
                trained.optimizer.save(folder / "adapter")
        _, predictions = predict(model, fresh, rows, group, silent)
    kept = [tokens.positions.tolist() for sample in masked for tokens in sample.tokens.values()]
    (folder / f"passes-{group.rank}.json").write_text(json.dumps({"kept": kept, "predictions": predictions.tolist()}))
    share = sum(getattr(value, "ds_tensor", value).numel() for value in model.backbone.parameters())
    (folder / f"share-{group.rank}.json").write_text(json.dumps(share))


def run_rank(folder: Path, experiment: str, before: Path | None, largest_file: int | None) -> NoReturn:
    """One rank, from its start to the end of its process.

    Args:
        experiment: as JSON.
        before: adapter folder of the stage before, to go on with.
        largest_file: writing fails beyond so many bytes of a file.
    """
    die_with_launcher()
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    signals = StopSignals()
    signals.install()
    Path(folder, f"pid-{os.environ['RANK']}").write_text(str(os.getpid()))
    torch.set_num_threads(1)
    try:
        main(folder, Experiment.model_validate_json(experiment), signals, before)
        code = 0
    except StageYieldedError:
        code = 85
    except Exception:  # noqa: BLE001 - a rank that fails ends as a worker does
        traceback.print_exc()
        code = 1
    end_process(code)
