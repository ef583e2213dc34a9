"""The report of a run over modalities speaks of modalities, scores, T and F."""

from __future__ import annotations

import dataclasses
import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from dist_mcl.report import ModalityReport, render_html, summary_table
from dist_mcl.units import MINUS, UNDEFINED

from .test_html import Page

MakeReport = Callable[..., ModalityReport]


def page(data: ModalityReport) -> list[str]:
    return Page(render_html(data)).texts


def prose(data: ModalityReport) -> str:
    return " ".join(text for text in page(data) if "color-scheme" not in text)


def printed(data: ModalityReport) -> str:
    file = io.StringIO()
    Console(file=file, width=80).print(summary_table(data))
    return file.getvalue()


def test_the_page_shows_every_score_and_what_is_derived_from_them(make_modality_data: MakeReport) -> None:
    texts = page(make_modality_data())
    assert {"image", "audio", "depth", "shapes/category", "clotho_aqa/qa", "exact match", "vqa accuracy"} <= set(texts)
    # S in hundredths; T is 30, 40, 50, and F of a later stage what earlier ones have gained
    assert {"30.0", "40.0", "50.0", f"{MINUS}10.0", f"{MINUS}15.0", "90.0"} <= set(texts)
    assert {"T depth", "F depth", "mean_forgetting", "583,390", "401"} <= set(texts)
    assert "3 modalities in 3 stages: mean score 50.0 on all of them." in texts


def test_accuracies_and_cider_have_a_t_and_an_f_each(make_modality_data: MakeReport) -> None:
    data = make_modality_data(captions=True)
    lines = [re.split(r"  +", line.strip()) for line in printed(data).splitlines()]
    assert lines[0] == ["five: 3 modalities in 3 stages: mean accuracy 50.0, mean CIDEr 50.0."]
    shown = {line[0]: line[1:] for line in lines if line}
    assert shown["T, the new one"] == ["30.0", UNDEFINED, "50.0"] and shown["T, the new one, CIDEr"] == [
        UNDEFINED,
        "40.0",
        UNDEFINED,
    ]
    assert shown["F, all before"] == [UNDEFINED, f"{MINUS}10.0", f"{MINUS}20.0"]
    assert shown["F, all before, CIDEr"] == [UNDEFINED, UNDEFINED, f"{MINUS}10.0"]
    assert shown["T, mean"][0] == "40.0" and shown["T, mean, CIDEr"][0] == "40.0"
    texts = page(data)
    assert {"T audio, CIDEr", "mean_forgetting, CIDEr", "now, CIDEr", "T depth", "lost"} <= set(texts)
    assert "T audio" not in texts and "T depth, CIDEr" not in texts
    assert "T of the modality that a stage brings, and F of all before it, CIDEr." in texts


def test_captions_that_were_learned_at_once_have_a_t_of_their_own(make_modality_data: MakeReport) -> None:
    data = make_modality_data(captions=True, joint=True)
    lines = [re.split(r"  +", line.strip()) for line in printed(data).splitlines()]
    assert ["audio", "T, CIDEr", "50.0"] in lines and ["depth", "T", "50.0"] in lines
    assert not [line for line in lines if line[:2] in (["audio", "T"], ["depth", "T, CIDEr"])]
    assert "T, CIDEr: audio, mean over its data sets" in page(data)


def test_nothing_of_it_is_about_classes_or_a_memory_that_is_not_there(make_modality_data: MakeReport) -> None:
    data = dataclasses.replace(make_modality_data(), config="")
    for shown in (prose(data), printed(data)):
        shown = shown.replace("vqa accuracy", "")
        assert not [word for word in ("class", "accuracy", "xemplar", "ytes", "memorise") if word in shown]


def test_a_memory_is_shown_where_there_is_one(make_modality_data: MakeReport) -> None:
    data = make_modality_data(budget=4096)
    texts = page(data)
    assert {"Memory", "Exemplars", "2.0 KiB", "coded bytes", "7 to 9 of a modality"} <= set(texts)
    assert {"24", "7", "8", "9", "700 B", "800 B", "900 B"} <= set(texts)
    lines = [" ".join(line.split()) for line in printed(data).splitlines()]
    assert "Exemplars 24 7 to 9 of a modality" in lines
    assert any(line.startswith("Bytes used 2.0 KiB 50.0 % of the budget") for line in lines)


def test_modalities_that_were_learned_at_once_have_one_column_and_no_forgetting(make_modality_data: MakeReport) -> None:
    data = dataclasses.replace(make_modality_data(joint=True), config="")
    assert printed(data).splitlines()[0] == "five: 3 modalities learned at once: mean score 50.0 on all of them."
    table = [line.split() for line in printed(data).splitlines()]
    assert ["modality", "data", "set", "joint"] in table and ["image", "shapes/name", "50.0"] in table
    assert [row[0] for row in table if row[1:] == ["T", "50.0"]] == ["image", "audio", "depth"]
    texts = page(data)
    assert {"joint", "T: audio, mean over its data sets", "T depth", "mean_transfer", "401", "80"} <= set(texts)
    assert "over the modalities, all learned at once" in texts
    assert not {"now", "lost"} & set(texts)
    for shown in (prose(data), printed(data)):
        in_turn = ("after 1", "forgetting", "F, ", "F:", "Last score", "last_mean", "S[a]", "xemplars")
        assert not [word for word in in_turn if word in shown]


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
    with pytest.raises(ValueError, match="2 stage records for scores of 3 modalities"):
        dataclasses.replace(data, stages=data.stages[:2])
    with pytest.raises(ValueError, match="the modalities hold 1 exemplars, the last stage 0"):
        dataclasses.replace(
            data, modalities=[dataclasses.replace(data.modalities[0], exemplars=1), *data.modalities[1:]]
        )
    at_once = dataclasses.replace(data.stages[0], brings=data.scores.order)
    with pytest.raises(ValueError, match="1 stage records for scores of 3 modalities"):
        dataclasses.replace(data, stages=[at_once])
    with pytest.raises(ValueError, match="details are of other data sets than the scores after depth"):
        dataclasses.replace(data, details={})
