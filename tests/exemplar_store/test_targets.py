"""Multi-label targets, questions and answers: they come back as they were, and cost nothing where there are none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exemplar_store import Codec, Damaged, Exemplar, ExemplarStore, StoreError, StoreReader, Target, encode, verify
from exemplar_store.segment_writer import build_segment
from exemplar_store.targets import MAX_TEXT, target_arrays

Make = Callable[..., Exemplar]
Codecs = dict[str, Codec]
TARGETS = [
    Target(further_labels=(3, 9)),
    Target(),
    Target(question="What is in the cup?", answer="Kräutertee 🍵"),
    Target(further_labels=(0,), answer="yes"),
]


def stored(path: Path, make: Make, codecs: Codecs, targets: list[Target]) -> ExemplarStore:
    store = ExemplarStore.create(path, budget_bytes=100_000, run_id="run")
    exemplars = [
        encode(replace(make(number, label=5, rank=number), target=one), codecs) for number, one in enumerate(targets)
    ]
    names = {5: "cup", 3: "tea", 9: "table", 7: "unused"}
    store.commit(store.plan(1, exemplars, names))
    return store


def test_targets_come_back(tmp_path: Path, make_exemplar: Make, codecs: Codecs) -> None:
    store = stored(tmp_path / "store", make_exemplar, codecs, TARGETS)
    reader = StoreReader(store.path)
    assert [one.target for one in reader.read_many(range(4))] == TARGETS
    assert verify(store.path, full=True).problems == []
    assert store.head.class_names == {5: "cup", 3: "tea", 9: "table"}  # further classes are held too, 7 is not


def test_targets_survive_a_merge_of_segments(tmp_path: Path, make_exemplar: Make, codecs: Codecs) -> None:
    store = stored(tmp_path / "store", make_exemplar, codecs, TARGETS)
    store.commit(store.plan(2, [encode(make_exemplar(50, label=6, rank=99, stage=2), codecs)]))
    assert len(store.head.segments) == 1
    reader = StoreReader(store.path)
    assert [one.target for one in reader.read_many(range(5))] == [*TARGETS, Target()]
    assert store.used_bytes <= store.budget_bytes


def test_plain_classes_cost_no_byte(make_exemplar: Make, codecs: Codecs) -> None:
    plain = build_segment([encode(make_exemplar(number), codecs) for number in range(3)], 1)
    assert not any(path.startswith(("labels", "texts")) for path in plain.files)
    assert b"question" not in plain.files["table/zarr.json"]
    assert target_arrays([Target(), Target()]) == ({}, {})


@given(st.lists(st.builds(Target, st.just((7,)), st.text(max_size=9), st.text(max_size=9)), min_size=1, max_size=5))
def test_any_unicode_text_is_stored(targets: list[Target]) -> None:
    rows, arrays = target_arrays(targets)
    text = arrays["texts"].tobytes() if "texts" in arrays else b""
    assert text.decode("utf-8") == "".join(one.question + one.answer for one in targets)
    sizes = zip(rows.get("question_bytes", []), rows.get("answer_bytes", []), strict=True)
    assert sum(map(sum, sizes)) == len(text)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (Target(further_labels=(5,)), "without the exemplar's own class 5"),
        (Target(further_labels=(4, 3)), "must ascend"),
        (Target(further_labels=(3, 3)), "must ascend"),
        (Target(further_labels=(-1,)), "0 or more"),
        (Target(question="x" * (MAX_TEXT + 1)), "question has 1048577 bytes"),
        (Target(answer="\ud800"), "answer is not Unicode text"),
    ],
)
def test_what_cannot_be_stored_is_refused(make_exemplar: Make, codecs: Codecs, target: Target, message: str) -> None:
    with pytest.raises(StoreError, match=f"^exemplar 7: .*{message}"):
        encode(replace(make_exemplar(7, label=5), target=target), codecs)


def test_damaged_targets_are_named(tmp_path: Path, make_exemplar: Make, codecs: Codecs) -> None:
    store = stored(tmp_path / "store", make_exemplar, codecs, TARGETS)
    segment = store.path / "segments" / store.head.segments[0].name
    for array in ("labels", "texts"):
        path = segment / array / "c" / "0"
        good = path.read_bytes()
        path.write_bytes(good[:4] + bytes([good[4] ^ 1]) + good[5:])
        with pytest.raises(Damaged, match=str(path)):
            StoreReader(store.path)
        shutil.rmtree(segment / array / "c")
        assert any(str(path) in problem for problem in verify(store.path).problems)
        path.parent.mkdir()
        path.write_bytes(good)
