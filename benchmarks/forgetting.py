"""Does what a run learned first still say the same, to the last bit?

The model is put together stage by stage from a run's folder. After each stage every modality learned so far is asked
its first test questions again, and the losses of their right answers are compared, bit for bit, with those after its
own stage. At the end all modalities go through the model in one batch, and each by itself, in fp32 whatever the run
trained in: `mixed` is the largest difference of a sample's loss, relative to that where it is more than a nat. It is
rounding alone where paths do not meet. Ends with 1 where a bit differs, or `mixed` is more than rounding, 1e-4.

    python benchmarks/forgetting.py runs/mcl_five_modalities --questions 16 --json forgetting.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice, takewhile
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor

from dist_mcl.question_config import ModalityIncremental
from dist_mcl.run_folder import RunFolder, StageFolder
from dist_mcl.scenario.questions.stages import modality_stages
from dist_mcl.tokens import Batch, Sample
from dist_mcl.training.answerer import Answerer
from dist_mcl.training.load_language import load_language_backbone

# Of `mixed`, in fp32: other batches are added up in another order. In bf16 that alone comes to 6e-2 on a whole language
# model, in which a path that meets another one would go unseen.
ROUNDING = 1e-4


@dataclass
class Row:
    """What became of one modality.

    Attributes:
        questions: how many were asked.
        loss: mean of their answers' losses after its own stage, in nats.
        differs_after: the later modalities after which any of these losses had another bit.
        mixed: largest difference of a loss in a batch of all modalities, relative to it or to a nat.
    """

    modality: str
    questions: int
    loss: float
    differs_after: list[str]
    mixed: float = 0.0


@torch.no_grad()
def compare(
    new: Callable[[], Answerer], learned: Mapping[str, Path], asked: Mapping[str, Sequence[Sample]]
) -> list[Row]:
    """Put a model together as it was after each stage, and watch what it says.

    Args:
        new: a model that has learned nothing yet.
        learned: folder of each modality, in the order of the stages.
        asked: for each of them the same number of samples.
    """
    first: dict[str, Tensor] = {}
    rows: dict[str, Row] = {}
    for count, modality in enumerate(track(learned, "stages"), start=1):
        model = new()
        model.load([([name], folder) for name, folder in islice(learned.items(), count)])
        model.eval()
        for old, before in first.items():
            if not torch.equal(_losses(model, asked[old]), before):
                rows[old].differs_after.append(modality)
        first[modality] = _losses(model, asked[modality])
        rows[modality] = Row(modality, len(asked[modality]), float(first[modality].mean()), [])
    model.backbone.use_fp32()
    mixed = torch.stack([_losses(model, together) for together in zip(*asked.values(), strict=True)], dim=1)
    for row, among_others in zip(rows.values(), mixed, strict=True):
        alone = torch.cat([_losses(model, [sample]) for sample in asked[row.modality]])
        row.mixed = float(((among_others - alone).abs() / alone.clamp(min=1)).max())
    return list(rows.values())


def forgets_nothing(rows: Sequence[Row]) -> bool:
    """Whether no bit differs, and batches of all modalities differ from each by itself by rounding alone."""
    return all(not row.differs_after and row.mixed <= ROUNDING for row in rows)


def _losses(model: Answerer, samples: Sequence[Sample]) -> Tensor:
    surprise: Tensor = model(Batch.collate(samples)).surprise
    return surprise


def main() -> None:
    """Compare a run's modalities and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a run over modalities")
    parser.add_argument("--questions", type=int, default=8, help="test questions of each modality (8)")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()
    run = RunFolder.open(options.run)
    scenario = run.experiment.scenario
    if not isinstance(scenario, ModalityIncremental):
        parser.error(f"{options.run} is over classes; name a run over modalities")
    done = list(takewhile(StageFolder.is_done, run.stages()))
    backbone = load_language_backbone(run.experiment)
    asked = {}
    for stage in modality_stages(scenario)[: len(done)]:
        questions = next(iter(stage.tests.values()))
        samples = [questions.sample(index, stage.number) for index in range(min(options.questions, len(questions)))]
        asked[stage.modality] = backbone.prepare(samples)
    fewest = min(map(len, asked.values()))
    learned = {name: folder.adapter for name, folder in zip(asked, done, strict=True)}
    rows = compare(
        lambda: Answerer(load_language_backbone(run.experiment)),
        learned,
        {name: samples[:fewest] for name, samples in asked.items()},
    )
    Console().print(_table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n", "utf-8")
    sys.exit(0 if forgets_nothing(rows) else 1)


def _table(rows: Sequence[Row]) -> Table:
    table = Table("modality", "questions", "loss", "differs after", "mixed")
    for row in rows:
        changed = ", ".join(row.differs_after) or "no later stage"
        table.add_row(row.modality, str(row.questions), f"{row.loss:.3f}", changed, f"{row.mixed:.1e}")
    return table


if __name__ == "__main__":
    main()
