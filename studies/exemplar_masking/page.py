"""The study's page and pictures, from its results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from studies.exemplar_masking.claims import claims
from studies.exemplar_masking.figures import write_figures
from studies.exemplar_masking.grid import PHASES, SEEDS, Cell, cells, middle
from studies.exemplar_masking.summary import Group, Results, better_jpeg, groups
from studies.page import processor_hours, render, versions
from studies.spread import Spread
from studies.tables import Column, spread_text, table

HERE = Path(__file__).parent


def write_page(results: Results, wanted: Sequence[Cell], folder: Path) -> Path:
    """Write `exemplar_masking.md` and its pictures into a folder; returns the page."""
    found = groups(results)
    write_figures(found, folder / "exemplar_masking")
    return render(HERE / "page.md.j2", _content(results, wanted, found), folder / "exemplar_masking.md")


def _content(results: Results, wanted: Sequence[Cell], found: list[Group]) -> dict[str, object]:
    at_middle = [group for group in found if group.budget in (0, middle(group.data))]
    photo = [group for group in at_middle if (group.data, group.phases) == ("photo", PHASES)]
    return {
        "done": len(results),
        "wanted": len(wanted),
        "hours": processor_hours(results.values()),
        "seeds": len(SEEDS),
        "per_class": _per_class(wanted),
        "scale": " SCALE=full" if len(wanted) == len(cells("full")) else "",
        "versions": versions(results.values()),
        "claims": claims(found),
        "middle": middle("photo"),
        "photo": _compared(photo),
        "curve": _curve([group for group in found if (group.data, group.phases) == ("photo", PHASES) and group.budget]),
        "ten": _compared([group for group in at_middle if group.phases == 2 * PHASES]),
        "others": {data: _compared([group for group in at_middle if group.data == data]) for data in ("cdda", "plain")},
        "masks": table(_MASKS, [group for group in photo if group.results[0].get("outline")]),
    }


def _per_class(wanted: Sequence[Cell]) -> str:
    samples: dict[int, list[str]] = {}
    for cell in wanted:
        samples.setdefault(cell.per_class, []).append(cell.data)
    parts = [
        f"{count} training samples of each class of {' and '.join(dict.fromkeys(data))}"
        for count, data in samples.items()
    ]
    return ", ".join(parts)


def _compared(these: list[Group]) -> str:
    whole = better_jpeg(these)

    def gain(group: Group) -> str:
        if whole is None or not group.budget:
            return ""
        return "" if group is whole else spread_text(group.average.minus(whole.average), sign=True)

    return table([*_METHOD, *_RESULT, ("beside the better JPEG", gain)], these)


def _curve(these: list[Group]) -> str:
    budgets = sorted({group.budget for group in these})
    by_key = {(group.method, group.budget): group for group in these}
    methods = [
        method
        for method in dict.fromkeys(group.method for group in these)
        if all((method, budget) in by_key for budget in budgets)
    ]
    columns: list[Column[Group]] = [("method", lambda group: f"`{group.method}`")]
    for budget in budgets:
        columns.append((f"{budget} KiB", lambda group, at=budget: spread_text(by_key[group.method, at].average)))  # type: ignore[misc]
        columns.append(("exemplars", lambda group, at=budget: _mean(by_key[group.method, at], "exemplars")))  # type: ignore[misc]
    return table(columns, [by_key[method, budgets[0]] for method in methods])


def _mean(group: Group, key: str) -> str:
    found = group.of(key) if group.budget else None
    return "" if found is None else f"{found.mean:,.0f}"


def _outline(group: Group, key: str) -> str:
    return f"{Spread(tuple(100 * result['outline'][key] for result in group.results)).mean:.0f} %"


_METHOD: list[Column[Group]] = [
    ("method", lambda group: f"`{group.method}`"),
    ("seeds", lambda group: str(len(group.results))),
    ("exemplars", lambda group: _mean(group, "exemplars")),
    ("bytes each", lambda group: _mean(group, "bytes_per_exemplar")),
    ("classes remembered", lambda group: _mean(group, "classes_remembered")),
]
_RESULT: list[Column[Group]] = [
    ("average %", lambda group: "" if group.method == "joint" else spread_text(group.average)),
    ("last %", lambda group: spread_text(group.percent("last"))),
    ("forgetting", lambda group: spread_text(group.percent("forgetting"))),
]
_MASKS: list[Column[Group]] = [
    ("method", lambda group: f"`{group.method}`"),
    ("patches kept", lambda group: _outline(group, "kept")),
    ("object patches kept", lambda group: _outline(group, "recall")),
    ("background bytes", lambda group: _outline(group, "background_bytes")),
    ("masked test %", lambda group: spread_text(group.percent("masked_test"))),
    ("whole test %", lambda group: spread_text(group.percent("last"))),
]
