"""Some samples lack their picture, some their text, always the same ones."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from dist_mcl.data_config import Absent, Data
from dist_mcl.scenario.absent import without_absent
from dist_mcl.tokens import Sample, Tokens

WHOLE = {"image": Tokens.full(np.zeros((4, 2, 2, 3), np.uint8), (2, 2)), "text": Tokens.full(np.arange(3), (3,))}


def left(absent: Absent, seed: int = 0) -> list[tuple[str, ...]]:
    return [tuple(without_absent(Sample(WHOLE, 0, number, 1), absent, seed).tokens) for number in range(400)]


def test_shares_of_the_samples_lack_one_of_the_two() -> None:
    found = left(Absent(image=0.25, text=0.5))
    assert abs(found.count(("text",)) - 100) < 30 and abs(found.count(("image",)) - 200) < 35
    assert found.count(("image", "text")) + found.count(("text",)) + found.count(("image",)) == 400
    assert found == left(Absent(image=0.25, text=0.5)) != left(Absent(image=0.25, text=0.5), seed=1)
    assert set(left(Absent())) == {("image", "text")} and set(left(Absent(text=1))) == {("image",)}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"absent_in_test": {"image": 0.6, "text": 0.5}}, "are more than 1 together"),
        ({"absent_in_train": {"text": 0.1}, "modalities": ["text"]}, "nothing would be left"),
    ],
)
def test_something_has_to_be_left(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Data).validate_python(fields)
