"""Runs side by side."""

import re
from typing import Any

import pytest
from rich.console import Console

from dist_mcl.display import compare, print_comparison
from dist_mcl.display.compare import Outcome, flat_fields
from dist_mcl.errors import UserError
from dist_mcl.units import UNDEFINED


def outcome(run: str, last: float, seed: int = 0, exemplars: int = 40, **settings: Any) -> Outcome:
    common = {"name": run, "seed": seed, "launcher.processes": 2, "data.dataset": "emoji"}
    results = {"average": last + 0.1, "last": last, "forgetting": 0.12}
    return Outcome(run, {**common, **settings}, seed, results, exemplars, 4096, 75.0)


def of_modalities(
    run: str, transfer: float, seed: int, order: str, forgotten: float | None = 0.0, **settings: Any
) -> Outcome:
    results = {"T": transfer, "last score": transfer, "F": forgotten}
    return Outcome(run, {"seed": seed, "scenario.order": order, **settings}, seed, results, 0, 0, 75.0)


def printed(*outcomes: Outcome, width: int) -> list[str]:
    console = Console(width=width)
    with console.capture() as captured:
        print_comparison(compare(outcomes), console)
    return [line.rstrip() for line in captured.get().splitlines() if line.strip()]


def lines(*outcomes: Outcome) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in printed(*outcomes, width=160)]


def test_runs_that_differ_in_the_seed_share_a_row_with_mean_and_spread() -> None:
    masked = {"exemplars.masker.kind": "mean"}
    head, _, first, second = lines(
        outcome("a", 0.60, seed=0, **masked),
        outcome("b", 0.50, seed=0, **{"exemplars.masker.kind": "full"}),
        outcome("c", 0.64, seed=1, exemplars=50, **masked),
    )
    assert head == ["exemplars.masker.kind", "seeds", "average", "last", "forgetting", "exemplars", "bytes", "time"]
    assert first == ["mean", "0, 1", "72.0 ± 2.8 %", "62.0 ± 2.8 %", "12.0 ± 0.0", "45", "4.0 KiB", "1 min 15 s"]
    assert second == ["full", "0", "60.0 %", "50.0 %", "12.0", "40", "4.0 KiB", "1 min 15 s"]


def test_name_and_launcher_make_no_other_experiment() -> None:
    rows = compare([outcome("a", 0.6, seed=3), outcome("b", 0.6, seed=4, **{"launcher.processes": 8})])
    assert [len(row.outcomes) for row in rows] == [2]
    assert rows[0].settings == {}


def test_a_field_that_only_one_of_them_has_is_shown() -> None:
    rows = compare([outcome("a", 0.6, **{"exemplars.masker.k": 0.5}), outcome("b", 0.6)])
    assert [row.settings for row in rows] == [{"exemplars.masker.k": 0.5}, {"exemplars.masker.k": None}]


def test_one_run_alone_is_called_by_its_folder() -> None:
    assert lines(outcome("runs/a", 0.6))[2][:2] == ["runs/a", "0"]


def test_the_same_run_twice_is_no_second_measurement() -> None:
    with pytest.raises(UserError, match="a and b are the same experiment with the same seed; name one"):
        compare([outcome("a", 0.6), outcome("b", 0.6)])


def test_modalities_are_compared_by_their_scores_and_without_a_memory_that_is_not_there() -> None:
    head, _, first, second = lines(
        of_modalities("a", 0.30, 0, "image, video"),
        of_modalities("b", 0.40, 1, "image, video"),
        of_modalities("c", 0.25, 0, "video, image"),
    )
    assert head == ["scenario.order", "seeds", "T", "last score", "F", "time"]
    assert first == ["image, video", "0, 1", "35.0 ± 7.1", "35.0 ± 7.1", "0.0 ± 0.0", "1 min 15 s"]
    assert second == ["video, image", "0", "25.0", "25.0", "0.0", "1 min 15 s"]


def test_scores_of_captions_have_columns_of_their_own() -> None:
    captioned = of_modalities("a", 0.50, 0, "image")
    captioned.results.update({"T, CIDEr": 2.0, "last score, CIDEr": 1.5, "F, CIDEr": 0.5})
    head, _, first, second = lines(captioned, of_modalities("b", 0.25, 0, "video"))
    assert head[2:8] == ["T", "last score", "F", "T, CIDEr", "last score, CIDEr", "F, CIDEr"]
    assert first[2:8] == ["50.0", "50.0", "0.0", "200.0", "150.0", "50.0"]
    assert second[2:8] == ["25.0", "25.0", "0.0", *[UNDEFINED] * 3]


def test_what_was_learned_at_once_has_no_forgetting_beside_what_was_learned_in_turn() -> None:
    joint = of_modalities("a", 0.50, 0, "image, video", forgotten=None, **{"scenario.joint": True})
    in_turn = of_modalities("b", 0.25, 0, "image, video", **{"scenario.joint": False})
    head, _, first, second = lines(joint, in_turn)
    assert head == ["scenario.joint", "seeds", "T", "last score", "F", "time"]
    assert first == ["True", "0", "50.0", "50.0", UNDEFINED, "1 min 15 s"]
    assert second == ["False", "0", "25.0", "25.0", "0.0", "1 min 15 s"]


def test_runs_over_classes_and_over_modalities_have_nothing_to_compare() -> None:
    with pytest.raises(UserError, match="a and b: one learns classes and the other modalities; compare runs of one"):
        compare([outcome("a", 0.6), of_modalities("b", 0.3, 0, "image")])


MANY = {f"model.adapter.sites.{number}.count": number for number in range(12)}


@pytest.mark.parametrize("width", [60, 80, 120])
def test_many_settings_stand_below_results_that_are_whole_at_any_width(width: int) -> None:
    different = dict.fromkeys(MANY, 100) | {"model.backbone.prompt": "<|user|>\n[b]"}
    shown = printed(
        outcome("runs/a", 0.60, seed=0, exemplars=123456, **MANY),
        outcome("runs/b", 0.64, seed=1, exemplars=123456, **MANY),
        outcome("runs/c", 0.50, seed=0, **different),
        width=width,
    )
    assert all(len(line) <= width for line in shown)
    cells = [cell for line in shown for cell in re.split(r"  +", line.strip())]
    whole = ["72.0 ± 2.8 %", "62.0 ± 2.8 %", "12.0 ± 0.0", "123,456", "60.0 %", "1 min 15 s", "seeds", "forgetting"]
    assert set(whole) <= set(cells)
    assert "run: A runs/a, runs/b; B runs/c" in shown
    assert "model.adapter.sites.3.count: A 3; B 100" in shown
    assert rf"model.backbone.prompt: A {UNDEFINED}; B <|user|>\n[b]" in shown


def test_what_does_not_fit_beside_each_other_stands_below_each_other_with_its_letters() -> None:
    shown = printed(outcome("a", 0.6, **MANY), outcome("b", 0.5, **dict.fromkeys(MANY, 9)), width=50)
    letters = [line[0] for line in shown if re.match(r"[A-Z] ", line)]
    assert letters == ["A", "B", "A", "B"]


def test_rows_of_equal_values_share_them() -> None:
    runs = [outcome(f"run{number}", 0.5, rate=number % 2, **{"x" * 199: number}) for number in range(28)]
    shown = printed(*runs, width=200)
    assert next(line for line in shown if line.startswith("rate: ")).startswith("rate: A, C, E, ")
    assert [line.split()[0] for line in shown if re.match(r"(Z|AA|AB) ", line)] == ["Z", "AA", "AB"]


def test_sections_in_lists_are_settings_of_their_own() -> None:
    values = {"adapter": {"sites": [{"role": "a", "suffixes": ["q", "v"]}, {"role": "b"}], "rank": 8}}
    assert flat_fields(values) == {
        "adapter.sites.0.role": "a",
        "adapter.sites.0.suffixes": ["q", "v"],
        "adapter.sites.1.role": "b",
        "adapter.rank": 8,
    }
