"""The report of a run over modalities speaks of modalities, scores, T and F."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable

import pytest
from rich.console import Console

from dist_mcl.report import ModalityReport, render_html, summary_table
from dist_mcl.units import MINUS

from .test_html import Page

MakeReport = Callable[..., ModalityReport]


def page(data: ModalityReport) -> list[str]:
    return Page(render_html(data)).texts


def printed(data: ModalityReport) -> str:
    file = io.StringIO()
    Console(file=file, width=80).print(summary_table(data))
    return file.getvalue()


def test_the_page_shows_every_score_and_what_is_derived_from_them(make_modality_data: MakeReport) -> None:
    texts = page(make_modality_data())
    assert {"image", "audio", "depth", "shapes/category", "clotho/caption", "exact match", "CIDEr"} <= set(texts)
    # S in hundredths; T is 30, 40, 50, and F of a later stage what earlier ones have gained
    assert {"30.0", "40.0", "50.0", f"{MINUS}10.0", f"{MINUS}15.0", "90.0"} <= set(texts)
    assert {"T depth", "F depth", "mean_forgetting", "583,390", "401"} <= set(texts)
    assert "3 modalities in 3 stages: mean score 50.0 on all of them." in texts


def test_nothing_of_it_is_about_classes_or_a_memory_that_is_not_there(make_modality_data: MakeReport) -> None:
    data = dataclasses.replace(make_modality_data(), config="")
    prose = " ".join(text for text in page(data) if "color-scheme" not in text)
    for shown in (prose, printed(data)):
        assert not [word for word in ("class", "accuracy", "xemplar", "ytes", "memorise") if word in shown]


def test_a_memory_is_shown_where_there_is_one(make_modality_data: MakeReport) -> None:
    data = make_modality_data(budget=4096)
    texts = page(data)
    assert {"Memory", "Exemplars", "2.0 KiB"} <= set(texts)
    assert "Exemplars" in printed(data) and "2.0 KiB" in printed(data)


def test_one_stage_has_no_forgetting_and_no_curves(make_modality_data: MakeReport) -> None:
    texts = page(make_modality_data(stages=1))
    assert (
        "not defined after one stage" in texts
        and "1 modality in 1 of 3 stages: mean score 30.0 on all of them." in texts
    )
    assert "T of the modality that a stage brings, and F of all before it." not in texts
    assert "The run is not finished: 1 of 3 stages." in texts


def test_the_table_fits_a_terminal(make_modality_data: MakeReport) -> None:
    lines = printed(make_modality_data()).splitlines()
    assert lines[0].startswith("five: 3 modalities in 3 stages")
    assert next(line.split() for line in lines if "shapes/name" in line) == [
        *("1", "image", "shapes/name", "30.0", "40.0", "50.0")
    ]
    assert next(line.split()[-3:] for line in lines if "T, the new one" in line) == ["30.0", "40.0", "50.0"]
    assert "exact" not in printed(make_modality_data()) and "Trained parameters" in printed(make_modality_data())


def test_hostile_names_are_shown_not_obeyed(make_modality_data: MakeReport) -> None:
    hostile = "<script>alert(1)</script>"
    data = make_modality_data()
    stages = [dataclasses.replace(data.stages[0], brings=[hostile]), *data.stages[1:]]
    assert "script" not in Page(render_html(dataclasses.replace(data, name=hostile, stages=stages))).tags


def test_records_that_disagree_are_refused(make_modality_data: MakeReport) -> None:
    data = make_modality_data()
    with pytest.raises(ValueError, match="2 stage records for scores of 3 stages"):
        dataclasses.replace(data, stages=data.stages[:2])
    with pytest.raises(ValueError, match="details are of other data sets than the scores after depth"):
        dataclasses.replace(data, details={})
