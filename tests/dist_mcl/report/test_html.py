import dataclasses
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from dist_mcl.evaluation import summarise
from dist_mcl.report import ClassReport, Word, render_html, write_report
from dist_mcl.units import percent, points

MakeReport = Callable[..., ClassReport]
VOID = {"meta", "br", "img", "path", "use", "rect"}
LOADS = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "background"}


class Page(HTMLParser):
    """Checks that tags nest, and collects ids, texts and what would be loaded."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.loaded: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        values = {name: value or "" for name, value in attrs}
        self.ids += [values["id"]] if "id" in values else []
        self.loaded += [value for name, value in values.items() if name in LOADS]
        self.loaded += re.findall(r"url\(([^)]*)\)", " ".join(values.values()))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(" ".join(data.split()))


@pytest.mark.parametrize("shape", [{}, {"budget": 0}, {"stages": 1}, {"stages": 1, "budget": 0}, {"stages": 11}])
def test_the_page_is_well_formed_and_loads_nothing(make_report_data: MakeReport, shape: dict[str, int]) -> None:
    html = render_html(make_report_data(**shape))
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert [value for value in page.loaded if not value.startswith(("data:image/png;base64,", "#"))] == []
    assert {value[1:] for value in page.loaded if value.startswith("#")} <= set(page.ids)
    assert "script" not in page.tags and "link" not in page.tags
    assert "url(" not in html.partition("</style>")[0] and "@import" not in html
    assert "default-src 'none'" in html
    assert "#c0fe" not in html, "a placeholder colour was not put back"


def test_every_number_of_every_stage_is_there(make_report_data: MakeReport) -> None:
    data = make_report_data()
    texts = Page(render_html(data)).texts
    for row in data.matrix.accuracy:
        assert {points(value) for value in row if not np.isnan(value)} <= set(texts)
    for stage in data.stages:
        assert f"{stage.exemplars:,}" in texts
        assert ", ".join(stage.brings) in texts
    for record in data.classes:
        assert {record.name, percent(record.accuracy), f"{record.coded_bytes:,} B"} <= set(texts)
    for key, value in summarise(data.matrix).items():
        assert key in texts and points(value, 2) in texts
    assert any("text_mask: cross_modal" in text for text in texts)
    assert "torch 2.13.0" in texts


def test_hostile_names_are_shown_not_obeyed(make_report_data: MakeReport) -> None:
    hostile = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&$x_$"
    data = make_report_data(stages=2)
    first = dataclasses.replace(data.classes[0], name=hostile)
    shown = dataclasses.replace(
        data.gallery[0], class_name=hostile, words=[Word(hostile, True), Word(hostile, False), Word(None, False)]
    )
    gallery = [shown, *(item for item in data.gallery if item.class_name != data.classes[0].name)]
    stages = [dataclasses.replace(data.stages[0], brings=[hostile]), *data.stages[1:]]
    data = dataclasses.replace(
        data, name=hostile, config=hostile, versions={hostile: hostile}, stages=stages, gallery=gallery,
        classes=[first, *data.classes[1:]],
    )  # fmt: skip
    page = Page(render_html(data))
    assert "script" not in page.tags
    assert page.tags.count("img") == len(gallery)
    # title, heading, time table, class table, gallery heading, kept and dropped word, configuration
    assert page.texts.count(hostile) == 8


def test_a_budget_of_zero_is_said_to_prove_nothing_about_exemplars(make_report_data: MakeReport) -> None:
    page = Page(render_html(make_report_data(budget=0)))
    text = " ".join(page.texts)
    assert "this run says nothing about exemplars or masks" in text
    assert "no exemplar was kept" in text
    assert "img" not in page.tags


def test_one_stage_has_no_forgetting_and_no_curves(make_report_data: MakeReport) -> None:
    text = " ".join(Page(render_html(make_report_data(stages=1))).texts)
    assert "not defined after one stage" in text
    assert "On all classes seen so far." not in text


def test_an_unfinished_run_says_so(make_report_data: MakeReport) -> None:
    data = dataclasses.replace(make_report_data(stages=2), planned_stages=9)
    text = " ".join(Page(render_html(data)).texts)
    assert "The run is not finished: 2 of 9 stages." in text and "37 classes in 2 of 9 stages" in text


def test_the_gallery_is_in_herding_order_and_says_how_much_it_leaves_out(make_report_data: MakeReport) -> None:
    data = make_report_data(stages=1, shown=2)
    shuffled = dataclasses.replace(data, gallery=data.gallery[::-1])
    assert render_html(shuffled) == render_html(data)
    first = data.classes[0]
    assert f"stage 1 · 2 of {first.exemplars}" in Page(render_html(data)).texts


def test_losses_that_are_not_finite_leave_a_gap(make_report_data: MakeReport) -> None:
    data = make_report_data(stages=1)
    curve = dataclasses.replace(data.stages[0].losses[0], values=[float("nan"), float("inf"), *[1.0] * 118])
    stage = dataclasses.replace(data.stages[0], losses=[curve])
    Page(render_html(dataclasses.replace(data, stages=[stage])))


def test_an_older_report_is_replaced_whole(make_report_data: MakeReport, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text("old")
    write_report(make_report_data(stages=1), path)
    assert path.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert [item.name for item in tmp_path.iterdir()] == ["report.html"]


def test_records_that_disagree_are_refused(make_report_data: MakeReport) -> None:
    data = make_report_data()
    with pytest.raises(ValueError, match="4 stage records"):
        dataclasses.replace(data, stages=data.stages[:-1])
    with pytest.raises(ValueError, match="plan of 4"):
        dataclasses.replace(data, planned_stages=4)
    with pytest.raises(ValueError, match="the last stage"):
        dataclasses.replace(data, classes=data.classes[1:])
    with pytest.raises(ValueError, match="not among the classes met"):
        dataclasses.replace(data, gallery=[dataclasses.replace(data.gallery[0], class_name="x")])


def test_pieces_of_one_word_stand_together(make_report_data: MakeReport) -> None:
    data = make_report_data(stages=1, shown=1)
    words = [Word("hatch", True), Word("et", True, joins=True), Word(None, False), Word("s", True, joins=True)]
    data = dataclasses.replace(data, gallery=[dataclasses.replace(data.gallery[0], words=words)])
    shown = '<strong>hatch</strong><strong>et</strong> <span class="gap"></span><strong>s</strong> </p>'
    assert shown in render_html(data)
