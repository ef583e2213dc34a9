import shutil

import pytest

from dist_mcl.errors import UserError
from dist_mcl.evaluation.captions import caption_scores

REFERENCES = [
    ["a red chair with four legs", "a chair, red"],
    ["a wooden table in a kitchen", "a brown table"],
    ["a lamp that hangs from the ceiling"],
    ["a blue car seen from the left"],
]


def test_a_right_caption_scores_as_high_as_can_be() -> None:
    scores = caption_scores([texts[0].upper() + "." for texts in REFERENCES], REFERENCES)
    assert scores["BLEU-4"] == pytest.approx(1.0) and scores["ROUGE-L"] == pytest.approx(1.0)
    assert scores["CIDEr"] > 4
    assert set(scores) == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"}


def test_worse_captions_score_less() -> None:
    near = caption_scores(["a red chair", "a wooden table", "a lamp on the ceiling", "a blue car"], REFERENCES)
    far = caption_scores(["a blue car", "a lamp", "a wooden table", "a red chair"], REFERENCES)
    assert all(near[name] > far[name] for name in ("BLEU-1", "ROUGE-L", "CIDEr"))


def test_bleu_is_the_books() -> None:
    # Papineni et al., ACL 2002, section 2.1: the clipped unigram precision of seven times "the" is 2/7.
    assert caption_scores(["the " * 7], [["the cat is on the mat", "there is a cat on the mat"]])["BLEU-1"] == (
        pytest.approx(2 / 7, abs=1e-6)
    )


def test_java_is_asked_for_where_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UserError, match="need Java, and there is no `java`"):
        caption_scores(["a chair"], [["a chair"]], with_meteor=True)


def test_captions_and_right_ones_go_together() -> None:
    with pytest.raises(ValueError, match="2 captions and 1 lists"):
        caption_scores(["a", "b"], [["a"]])
