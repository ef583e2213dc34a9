"""Questions about media as exemplars: which tokens stay, and what comes back from the store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dist_mcl.config import Exemplars
from dist_mcl.exemplars.cells import token_scores
from dist_mcl.exemplars.codecs import media_codec
from dist_mcl.exemplars.dataset import ExemplarDataset
from dist_mcl.exemplars.questions import QuestionMasking, media_codecs, question_exemplar
from dist_mcl.tokens import CellScores, Tokens
from exemplar_store import ExemplarStore, encode

from ..backbones.causal_samples import MODALITIES, one_of_each

SAMPLES = dict(zip(MODALITIES, one_of_each(), strict=True))


def tokens(*grid: int) -> Tokens:
    return Tokens.full(np.zeros((int(np.prod(grid)), 1), np.float16), grid)


def cells(scores: list[float], grid: tuple[int, ...]) -> CellScores:
    return CellScores(np.array(scores, np.float32), np.arange(len(scores)), grid)


@pytest.mark.parametrize(
    ("cell_grid", "grid", "scores", "expected"),
    [
        ((2, 2), (4, 4), [1, 2, 3, 4], [1, 1, 2, 2] * 2 + [3, 3, 4, 4] * 2),
        ((2,), (2, 4), [1, 2], [1, 1, 2, 2] * 2),  # bins share a moment
        ((3,), (3,), [5, 1, 2], [5, 1, 2]),
        ((2,), (3,), [1, 2], [1, 2, 2]),  # the one in the middle lies in both
        ((4,), (2,), [1, 3, 2, 0], [3, 2]),
    ],
)
def test_tokens_have_the_scores_of_the_cells_in_which_they_lie(
    cell_grid: tuple[int, ...], grid: tuple[int, ...], scores: list[float], expected: list[float]
) -> None:
    found = token_scores(cells(scores, cell_grid), tokens(*grid))
    assert found.tolist() == expected


def test_cells_with_more_axes_than_the_tokens_are_refused() -> None:
    with pytest.raises(ValueError, match="do not cover tokens"):
        token_scores(cells([0] * 4, (2, 2)), tokens(4))


def masked(name: str, masker: object, scores: list[float]) -> list[int]:
    sample = SAMPLES[name]
    config = Exemplars.model_validate({"masker": masker})
    found = QuestionMasking(config, seed=0)(sample, {name: cells(scores, sample.tokens[name].grid)})
    assert found.target == sample.target
    return found.tokens[name].positions.tolist()


def test_what_the_answer_attends_to_is_kept() -> None:
    scores = [0.1, 0.9, 0.2, 0.8]
    assert masked("image", "mean", scores) == [1, 3]
    assert masked("depth", {"kind": "top_ratio", "image": 0.25}, scores) == [1]
    assert masked("image", "full", scores) == [0, 1, 2, 3]
    drawn = {"kind": "random", "image": 0.5}
    assert len(masked("image", drawn, scores)) == 2
    assert masked("image", drawn, scores) == masked("image", drawn, scores)


@pytest.mark.parametrize("name", MODALITIES)
def test_every_medium_comes_back_from_the_store_with_its_question(name: str, tmp_path: Path) -> None:
    sample, config = SAMPLES[name], Exemplars.model_validate({"image_codec": "predicted"})
    made = question_exemplar(sample, 3, 0, 0.0, sample, config)
    assert (made.baseline_bytes > 0) == (name == "image")
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=60_000, run_id="test")
    store.commit(store.plan(1, [encode(made, media_codecs(sample, config))], {3: name}))
    memory = ExemplarDataset(tmp_path / "store")
    (back,) = memory[:]
    assert back.target == sample.target and memory.targets.tolist() == [3]
    assert np.array_equal(back.tokens[name].values, sample.tokens[name].values)
    codec = "shuffled" if name in ("audio", "point_cloud") else "predicted"
    assert media_codec(sample.tokens[name], config).name == codec
