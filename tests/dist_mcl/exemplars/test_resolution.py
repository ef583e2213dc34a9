"""Pictures that are stored smaller, and what replay sees of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dist_mcl.exemplars import replay_form
from dist_mcl.exemplars.dataset import ExemplarDataset
from dist_mcl.exemplars.resolution import SURROUND
from dist_mcl.modalities.image import patchify, unpatchify
from dist_mcl.tokens import Sample, Tokens, TokenScores
from exemplar_store import Exemplar, ExemplarStore, encode

from .masks import masking


def smooth(height: int, width: int) -> np.ndarray:
    """A picture that survives being made smaller."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows * 255 // height, columns * 255 // width, (rows + columns) % 64 + 90], -1).astype(np.uint8)


def whole_sample(height: int = 96, width: int = 144) -> Sample:
    text = Tokens.full(np.arange(1000, 1003, dtype=np.int32), (3,))
    return Sample({"image": patchify(smooth(height, width)), "text": text}, 1, 5, 1)


def scores_of(sample: Sample, best: list[int]) -> TokenScores:
    image = np.zeros(len(sample.tokens["image"]), np.float32)
    image[best] = 1
    return TokenScores({"image": image, "text": np.ones(3, np.float32)}, np.zeros((len(image), 3), np.float32))


def stored(sample: Sample, best: list[int], **config: object) -> Sample:
    rule = masking(**config)
    return rule.apply(sample, rule.decide(sample, scores_of(sample, best)))


@pytest.mark.parametrize(("shrink", "grid"), [(2, (3, 5)), (3, (2, 3)), (9, (1, 1))])
def test_a_low_resolution_picture_comes_back_in_its_size(shrink: int, grid: tuple[int, int]) -> None:
    whole = whole_sample()
    small = stored(whole, [0], masker={"kind": "low_res", "shrink": shrink})
    assert small.tokens["image"].grid == grid and small.tokens["image"].keep_ratio == 1
    back = replay_form(small, (96, 144), "absent").tokens["image"]
    assert back.grid == (6, 9) and len(back) == 54
    if shrink == 2:
        difference = np.abs(unpatchify(back).astype(int) - smooth(96, 144))[..., :2]
        assert difference.mean() < 6


def test_around_a_box_a_picture_is_coarse() -> None:
    whole = whole_sample()
    box = [row * 9 + column for row in (2, 3) for column in (3, 4, 5)]
    exemplar = stored(whole, box, masker={"kind": "box", "mass": 1.0})
    around = exemplar.tokens[SURROUND]
    assert exemplar.tokens["image"] == whole.tokens["image"].take(np.array(box))
    assert around.grid == (3, 5) and len(around) == 15 - 1  # one of them shows nothing but the box
    back = replay_form(exemplar, (96, 144), "absent")
    assert back.tokens.keys() == {"image", "text"} and len(back.tokens["image"]) == 54
    for place in range(54):
        difference = back.tokens["image"].values[place].astype(int) - whole.tokens["image"].values[place]
        assert (not difference.any()) == (place in box)
        assert np.abs(difference[..., :2]).mean() < 25


def test_the_rest_of_a_box_may_be_dropped_or_there_may_be_none() -> None:
    whole = whole_sample()
    assert SURROUND not in stored(whole, [3], masker={"kind": "box", "shrink": 0}).tokens
    assert SURROUND not in stored(whole, [0, 53], masker={"kind": "box", "mass": 1.0}).tokens


def test_dropped_patches_may_be_black() -> None:
    exemplar = stored(whole_sample(), [7, 9])
    seen = replay_form(exemplar, (96, 144), "black").tokens["image"]
    assert len(seen) == 54 and seen.grid == (6, 9)
    assert np.flatnonzero(seen.values.any((1, 2, 3))).tolist() == [7, 9]
    assert replay_form(exemplar, (96, 144), "absent").tokens == exemplar.tokens


def test_a_picture_that_lacks_patches_is_not_made_smaller() -> None:
    whole = whole_sample()
    part = Sample({**whole.tokens, "image": whole.tokens["image"].take(np.arange(9))}, 1, 5, 1)
    with pytest.raises(ValueError, match="lacks patches"):
        stored(part, [0], masker="low_res")


@pytest.mark.parametrize("masker", ["low_res", "box"])
def test_through_the_store(tmp_path: Path, masker: str) -> None:
    exemplar = stored(whole_sample(), [20, 21, 22], masker=masker)
    made = ExemplarStore.create(tmp_path / "store", budget_bytes=1_000_000, run_id="run")
    record = Exemplar(5, 1, 1, 0, 0.0, exemplar.tokens, source_hw=(96, 144))
    made.commit(made.plan(1, [encode(record, masking().codecs)]))
    [back] = ExemplarDataset(made.path)
    assert back.tokens.keys() == {"image", "text"} and back.tokens["image"].grid == (6, 9)
    difference = unpatchify(back.tokens["image"]).astype(int) - smooth(96, 144)
    assert np.abs(difference[..., :2]).mean() < 8
