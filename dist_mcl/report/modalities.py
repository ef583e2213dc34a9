"""What a run over modalities came to: S[a][b][d] stage by stage, transfer and forgetting."""

from __future__ import annotations

from itertools import takewhile

from rich import box
from rich.table import Table

from dist_mcl.errors import UserError
from dist_mcl.evaluation.modalities import ModalityScores
from dist_mcl.run_folder import RunFolder, StageFolder
from dist_mcl.units import points


def modality_scores(run: RunFolder) -> ModalityScores:
    """The scores of a run's finished stages.

    Raises:
        UserError: no stage is finished yet.
    """
    rows = [(folder.record("evaluate") or {})["scores"] for folder in takewhile(StageFolder.is_done, run.stages())]
    if not rows:
        raise UserError(f"{run.path}: no stage is finished yet; continue the run with `mcl run`")
    names = [run.plan.class_names[number] for stage in run.plan.stages[: len(rows)] for number in stage]
    if len(names) > len(rows):
        return ModalityScores.of_joint(names, rows[0])
    return ModalityScores.from_rows(names, rows)


def modality_table(found: ModalityScores) -> Table:
    """A row for each data set of each modality, a column for each stage, in hundredths; then T and F of the stages.

    Where all modalities were learned at once, one column and T as the mean over them.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage", no_wrap=True)
    table.add_column("data set", no_wrap=True)
    stages = found.order[-1:] if found.is_joint else found.order
    for number in range(1, len(stages) + 1):
        table.add_column("joint" if found.is_joint else f"after {number}", justify="right", no_wrap=True)
    for number, modality in enumerate(found.order, start=1):
        for dataset in found.scores[modality][modality]:
            row = [found.scores[stage].get(modality, {}).get(dataset) for stage in stages]
            table.add_row(f"{number} {modality}", dataset, *("" if value is None else points(value) for value in row))
    table.add_section()
    if found.is_joint:
        table.add_row("", "T, mean over all", points(found.summary()["mean_transfer"]))
        return table
    table.add_row("", "T, of the new one", *(points(found.transfer(stage)) for stage in found.order))
    table.add_row("", "F, of all before", *(points(found.forgetting(stage)) for stage in found.order))
    return table
