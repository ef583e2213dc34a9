"""The study's page and pictures, from its results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from dist_mcl.question_config import AnyQuestions, ModalityIncremental, ModalityStage
from studies.page import processor_hours, render, versions
from studies.pathweave.all_tests import gain
from studies.pathweave.by_modality import gains_by_modality
from studies.pathweave.claims import claims
from studies.pathweave.figures import write_figures
from studies.pathweave.grid import FEW, Cell, cells, setting, stage_names
from studies.pathweave.summary import Group, Results, by_method, groups
from studies.spread import Spread
from studies.tables import Column, spread_text, table

HERE = Path(__file__).parent


def write_page(results: Results, wanted: Sequence[Cell], folder: Path) -> Path:
    """Write `pathweave.md` and its pictures into a folder; returns the page."""
    found = groups(results)
    write_figures(found, folder / "pathweave")
    return render(HERE / "page.md.j2", _content(results, wanted, found), folder / "pathweave.md")


def _content(results: Results, wanted: Sequence[Cell], found: list[Group]) -> dict[str, object]:
    usual, few, reverse = by_method(found), by_method(found, "few"), by_method(found, "reversed")
    first = wanted[0].experiment
    return {
        "done": len(results),
        "wanted": len(wanted),
        "hours": processor_hours(results.values()),
        "seeds": len({cell.seed for cell in wanted}),
        "scale": " SCALE=full" if len(wanted) == len(cells("full")) else "",
        "versions": versions(results.values()),
        "layers": setting("model.backbone.layers"),
        "epochs": first.training.epochs,
        "tasks": ", ".join(
            f"{stage.modality}: {' and '.join(_data(stage).tasks or ())}" for stage in _stages(wanted[0])
        ),
        "questions": _data(_stages(wanted[0])[0]).max_questions,
        "tests": _data(_stages(wanted[0])[0]).max_test_questions,
        "rates": _rates(wanted),
        "claims": claims(found),
        "gains": gains_by_modality(found),
        "guessing": _guessing(results),
        "usual": _tables(usual),
        "costs": table([*_METHOD, *_COSTS], list(usual.values())),
        "stage_costs": table(_STAGES, [group for group in usual.values() if not group.is_joint]),
        "memory": table([*_METHOD, *_MEMORY], [group for group in usual.values() if group.stored("exemplars")]),
        "few": _tables(few),
        "few_questions": FEW,
        "reversed": _tables(reverse),
    }


def _stages(cell: Cell) -> tuple[ModalityStage, ...]:
    scenario = cell.experiment.scenario
    assert isinstance(scenario, ModalityIncremental)
    return scenario.stages


def _data(stage: ModalityStage) -> AnyQuestions:
    return stage.data[0]


def _rates(wanted: Sequence[Cell]) -> list[dict[str, str]]:
    epochs, questions = wanted[0].experiment.training.epochs, _data(_stages(wanted[0])[0]).max_questions or 0
    methods: dict[tuple[float, int], dict[str, None]] = {}
    for cell in wanted:
        training = cell.experiment.training
        methods.setdefault((training.learning_rate, training.batch_size), {})[f"`{cell.method}`"] = None
    return [
        {
            "rate": f"{rate:g}",
            "batch": str(batch),
            "steps": str(epochs * questions // batch),
            "methods": ", ".join(names),
        }
        for (rate, batch), names in methods.items()
    ]


def _tables(these: dict[str, Group]) -> dict[str, str]:
    """Of one setting."""
    return {
        "scores": table([*_METHOD, *_SCORES], list(these.values())),
        "differences": _differences(these),
        "all_tests": _on_all_tests([group for group in these.values() if group.has_all_tests]),
    }


def _on_all_tests(found: Sequence[Group]) -> str:
    columns: list[Column[Group]] = [*_METHOD, ("mean score %", lambda group: spread_text(group.on_all_tests()))]
    columns += [(name, _on_all_tests_of(name)) for name in stage_names()]
    if control := next((group for group in found if group.method == "independent"), None):
        columns.append(("beside `independent`", _sure_gain_over(control)))
    return table(columns, found) if found else ""


def _on_all_tests_of(modality: str) -> Callable[[Group], str]:
    return lambda group: spread_text(group.on_all_tests([modality]))


def _sure_gain_over(control: Group) -> Callable[[Group], str]:
    def its_gain(group: Group) -> str:
        found = gain(group.results, control.results, group.order)
        return "" if group is control else f"{spread_text(found.by_seed, sign=True)}, error {found.error:.1f}"

    return its_gain


def _guessing(results: Results) -> dict[str, str] | None:
    """What saying always the same scores, by modality and on the whole; None where no result has it."""
    known = [result["guessing"] for cell, result in results.items() if "guessing" in result and cell.setting == "usual"]
    if not known:
        return None
    each = ", ".join(f"{name} {100 * share:.1f}" for name, share in known[0].items())
    return {"each": each, "mean": f"{100 * fmean(known[0].values()):.1f}"}


def _differences(these: dict[str, Group]) -> str:
    controls = [name for name in ("independent", "lora") if name in these]
    columns: list[Column[Group]] = [*_METHOD]
    columns += [(f"mean score beside `{name}`", _gain_over(these[name])) for name in controls]
    return table(columns, list(these.values())) if controls else ""


def _gain_over(control: Group) -> Callable[[Group], str]:
    def gain(group: Group) -> str:
        return "" if group is control else spread_text(group.mean_score.minus(control.mean_score), sign=True)

    return gain


def _score_of(modality: str) -> Callable[[Group], str]:
    return lambda group: spread_text(group.score_of(modality))


def _yes(answer: bool | None) -> str:
    return "" if answer is None else "yes" if answer else "no"


def _seconds_of(modality: str) -> Callable[[Group], str]:
    return lambda group: spread_text(group.stage_seconds(modality))


def _thousands(found: Spread | None) -> str:
    return "" if found is None else f"{found.mean:,.0f}"


_METHOD: list[Column[Group]] = [("method", lambda group: f"`{group.method}`")]
_SCORES: list[Column[Group]] = [
    ("mean score %", lambda group: spread_text(group.mean_score)),
    ("T", lambda group: spread_text(group.transfer)),
    ("F", lambda group: spread_text(group.forgetting)),
    *((name, _score_of(name)) for name in stage_names()),
]
_COSTS: list[Column[Group]] = [
    ("trained, % of full", lambda group: f"{group.trained_share.mean:.2f}"),
    ("training, s", lambda group: spread_text(group.train_seconds)),
    ("peak memory, GiB", lambda group: spread_text(group.peak_gib)),
    ("earlier answers the same bits", lambda group: _yes(group.is_unchanged)),
]
_STAGES: list[Column[Group]] = [*_METHOD, *((name, _seconds_of(name)) for name in stage_names())]
_MEMORY: list[Column[Group]] = [
    ("exemplars", lambda group: _thousands(group.stored("exemplars"))),
    ("bytes of the store", lambda group: _thousands(group.stored("store_bytes"))),
]
