import dataclasses
import io
from collections.abc import Callable

import pytest
from rich.console import Console

from dist_mcl.report import ClassReport, summary_table
from dist_mcl.units import MINUS, UNDEFINED, count_bytes, duration, percent, points, size

MakeReport = Callable[..., ClassReport]


def printed(data: ClassReport) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    console.print(summary_table(data))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_rows_of_stages_and_headline(make_report_data: MakeReport) -> None:
    data = make_report_data()
    lines = printed(data)
    matrix = data.matrix
    second = next(line.split() for line in lines if line.split()[:1] == ["2"])
    pooled = (matrix.accuracy[1, :2] * matrix.items[:2]).sum() / matrix.items[:2].sum()
    assert (
        second
        == (
            f"2 {percent(matrix.accuracy[1, 1])} {percent(matrix.accuracy[1, 0])} {percent(pooled)} "
            f"{data.stages[1].exemplars} {size(data.stages[1].store_bytes)} 52 s"
        ).split()
    )
    text = "\n".join(lines)
    for name in ("Average accuracy", "Last accuracy", "Forgetting", "Exemplars", "Bytes used", "Time"):
        assert name in text
    assert "3,390 B" in text and f"{data.store_bytes / data.exemplars:,.0f} B" in text
    assert max(map(len, lines)) <= 80


def test_names_are_not_read_as_markup(make_report_data: MakeReport) -> None:
    data = dataclasses.replace(make_report_data(stages=1), name="[red]run[/red]")
    assert printed(data)[0].startswith("[red]run[/red]: ")


def test_without_exemplars_and_with_one_stage(make_report_data: MakeReport) -> None:
    text = "\n".join(printed(make_report_data(stages=1, budget=0)))
    assert "no exemplars" in text and "not defined after one stage" in text


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (percent(0.6312), "63.1 %"),
        (percent(None), UNDEFINED),
        (percent(float("nan")), UNDEFINED),
        (points(-0.0883, 2), f"{MINUS}8.83"),
        (points(-0.0001), "0.0"),
        (count_bytes(1412.4), "1,412 B"),
        (size(0), "0 B"),
        (size(1023), "1023 B"),
        (size(512 * 1024), "512.0 KiB"),
        (size(3 * 2**40), "3.0 TiB"),
        (duration(0.04), "0.0 s"),
        (duration(9.96), "10 s"),
        (duration(83.4), "1 min 23 s"),
        (duration(3599.7), "1 h 00 min"),
    ],
)
def test_units(shown: str, expected: str) -> None:
    assert shown == expected
