import json

import pytest

from dist_mcl.evaluation.modalities import ModalityScores

ORDER = ("image", "video", "audio")
ROWS = [
    {"image": {"a": 0.8, "b": 0.6}},
    {"image": {"a": 0.5, "b": 0.5}, "video": {"c": 0.4}},
    {"image": {"a": 0.6, "b": 0.4}, "video": {"c": 0.6}, "audio": {"d": 0.9}},
]


def test_transfer_is_the_new_modalitys_mean() -> None:
    scores = ModalityScores.from_rows(ORDER, ROWS)
    assert [scores.transfer(name) for name in ORDER] == pytest.approx([0.7, 0.4, 0.9])


def test_forgetting_is_what_earlier_modalities_lost() -> None:
    scores = ModalityScores.from_rows(ORDER, ROWS)
    assert scores.forgetting("image") is None
    assert scores.forgetting("video") == pytest.approx(0.2)
    assert scores.forgetting("audio") == pytest.approx((0.2 - 0.2) / 2)
    summary = scores.summary()
    assert summary["mean_forgetting"] == pytest.approx(0.1)
    assert summary["last_mean"] == pytest.approx((0.5 + 0.6 + 0.9) / 3)


def test_unchanged_scores_are_no_forgetting_at_all() -> None:
    rows = [{"image": {"a": 0.1 + 0.2}}, {"image": {"a": 0.1 + 0.2}, "video": {"c": 0.7}}]
    assert ModalityScores.from_rows(ORDER[:2], rows).forgetting("video") == 0.0


def test_they_survive_json() -> None:
    scores = ModalityScores.from_rows(ORDER, ROWS)
    assert ModalityScores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def test_what_was_learned_at_once_has_an_upper_bound_and_no_forgetting() -> None:
    scores = ModalityScores.of_joint(ORDER, ROWS[-1])
    assert [scores.transfer(name) for name in ORDER] == pytest.approx([0.5, 0.6, 0.9])
    assert [scores.forgetting(name) for name in ORDER] == [None] * 3
    assert scores.summary()["mean_forgetting"] is None
    assert ModalityScores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(ValueError, match=r"after video, image has scores on \['a'\] and not \['a', 'b'\]"):
        ModalityScores.from_rows(ORDER[:2], [ROWS[0], {"image": {"a": 0.5}, "video": {"c": 0.4}}])
