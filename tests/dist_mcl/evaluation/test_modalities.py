import json

import pytest

from dist_mcl.evaluation.modalities import ACCURACY, ModalityScores

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


def test_what_was_learned_at_once_has_a_transfer_and_no_forgetting() -> None:
    scores = ModalityScores.of_joint(ORDER, ROWS[-1])
    assert [scores.transfer(name) for name in ORDER] == pytest.approx([0.5, 0.6, 0.9])
    assert [scores.forgetting(name) for name in ORDER] == [None] * 3
    assert scores.summary()["mean_forgetting"] is None
    assert ModalityScores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def test_a_missing_score_is_refused() -> None:
    with pytest.raises(ValueError, match=r"after video, image has scores on \['a'\] and not \['a', 'b'\]"):
        ModalityScores.from_rows(ORDER[:2], [ROWS[0], {"image": {"a": 0.5}, "video": {"c": 0.4}}])


CAPTIONED = [
    {"image": {"qa": 0.8, "caption": 3.0}},
    {"image": {"qa": 0.6, "caption": 2.0}, "video": {"qa": 0.4}},
    {"image": {"qa": 0.8, "caption": 1.0}, "video": {"qa": 0.2}, "audio": {"caption": 5.0}},
]
SCALES = {"image": {"caption": "CIDEr"}, "audio": {"caption": "CIDEr"}}


def test_accuracies_and_cider_are_never_averaged() -> None:
    scores = ModalityScores.from_rows(ORDER, CAPTIONED, SCALES)
    assert scores.scales == (ACCURACY, "CIDEr")
    accuracy, cider = scores.summary(), scores.summary("CIDEr")
    assert accuracy["transfer"] == {"image": 0.8, "video": 0.4} and cider["transfer"] == {"image": 3.0, "audio": 5.0}
    assert accuracy["forgetting"] == pytest.approx({"image": None, "video": 0.2, "audio": 0.1})
    assert cider["forgetting"] == {"image": None, "video": 1.0, "audio": 2.0}
    assert [accuracy[name] for name in ("mean_transfer", "last_mean")] == pytest.approx([0.6, 0.5])
    assert [cider[name] for name in ("mean_transfer", "last_mean", "mean_forgetting")] == [4.0, 3.0, 1.5]
    assert ModalityScores.from_json(json.loads(json.dumps(scores.to_json()))) == scores


def test_what_was_written_without_scales_is_of_accuracies() -> None:
    old = {"order": list(ORDER), "scores": dict(zip(ORDER, ROWS, strict=True))}
    assert ModalityScores.from_json(old) == ModalityScores.from_rows(ORDER, ROWS)
    assert ModalityScores.from_json(old).scales == (ACCURACY,)


def test_captions_alone_have_no_accuracy() -> None:
    scores = ModalityScores.from_rows(("audio",), [{"audio": {"caption": 5.0}}], SCALES)
    assert scores.scales == ("CIDEr",) and scores.summary("CIDEr")["last_mean"] == 5.0
    assert [scores.summary()[name] for name in ("mean_transfer", "last_mean", "mean_forgetting")] == [None] * 3
