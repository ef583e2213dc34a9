import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, Literal

import pytest

from dist_mcl.answer_config import CaptionScoring
from dist_mcl.errors import UserError
from dist_mcl.evaluation.captions import _treebank_words, caption_scores, check_captions_can_be_scored

NEEDS_JAVA = pytest.mark.skipif(shutil.which("java") is None and "CI" not in os.environ, reason="needs Java")
PLAIN = CaptionScoring()

REFERENCES = [
    ["a red chair with four legs", "a chair, red"],
    ["a wooden table in a kitchen", "a brown table"],
    ["a lamp that hangs from the ceiling"],
    ["a blue car seen from the left"],
]


def test_a_right_caption_scores_as_high_as_can_be() -> None:
    scores = caption_scores([texts[0].upper() + "." for texts in REFERENCES], REFERENCES, PLAIN)
    assert scores["BLEU-4"] == pytest.approx(1.0) and scores["ROUGE-L"] == pytest.approx(1.0)
    assert scores["CIDEr"] > 4
    assert set(scores) == {"BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "CIDEr"}


def test_worse_captions_score_less() -> None:
    near = caption_scores(["a red chair", "a wooden table", "a lamp on the ceiling", "a blue car"], REFERENCES, PLAIN)
    far = caption_scores(["a blue car", "a lamp", "a wooden table", "a red chair"], REFERENCES, PLAIN)
    assert all(near[name] > far[name] for name in ("BLEU-1", "ROUGE-L", "CIDEr"))


def test_bleu_is_the_books() -> None:
    # Papineni et al., ACL 2002, section 2.1: the clipped unigram precision of seven times "the" is 2/7.
    assert caption_scores(["the " * 7], [["the cat is on the mat", "there is a cat on the mat"]], PLAIN)["BLEU-1"] == (
        pytest.approx(2 / 7, abs=1e-6)
    )


@pytest.mark.parametrize("setting", [{"meteor": True}, {"words": "treebank"}], ids=lambda setting: next(iter(setting)))
def test_java_is_asked_for_where_it_is_needed(monkeypatch: pytest.MonkeyPatch, setting: dict[str, Any]) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    field = next(iter(setting))
    with pytest.raises(
        UserError, match=rf"evaluation\.captions\.{field}: \w+: needs Java, but there is no `java`; inst"
    ):
        check_captions_can_be_scored(CaptionScoring(**setting))
    check_captions_can_be_scored(PLAIN)


@pytest.mark.slow
@NEEDS_JAVA
def test_java_programs_score_captions_too() -> None:
    said = [texts[0].upper() + "." for texts in REFERENCES]
    scores = caption_scores(said, REFERENCES, CaptionScoring(meteor=True, words="treebank"))
    assert scores["METEOR"] == pytest.approx(1.0, abs=0.01)
    assert scores["BLEU-4"] == pytest.approx(1.0)  # case and full stops are none of the words


# Of everything that ends a line in Java, of METEOR's own separator, and of captions that come to nothing.
ODD = ["", "foo\rbar", "a\u2028lamp\x0b\x0c\x85\r\n", "caf\u00e9 ||| (red)", "..."]


@pytest.mark.slow
@NEEDS_JAVA
@pytest.mark.parametrize("words", ["plain", "treebank"])
def test_odd_captions_shift_none_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, words: Literal["plain", "treebank"]
) -> None:
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", None)  # the environment may be read-only
    captions = [*(texts[0] for texts in REFERENCES), *ODD]
    scores = caption_scores(captions, [[text] for text in captions], CaptionScoring(meteor=True, words=words))
    assert scores["ROUGE-L"] == pytest.approx(1.0)
    assert scores["METEOR"] > 0.95


@pytest.mark.slow
@NEEDS_JAVA
def test_java_cuts_words_line_by_line() -> None:
    assert _treebank_words(ODD) == ["", "foo bar", "a lamp", "caf\u00e9 | | | -lrb- red -rrb-", ""]
    assert _treebank_words(["A red chair.", "It's \u201cred\u201d"]) == ["a red chair", "it 's red"]


def test_a_program_that_fails_gets_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "java").write_text("#!/bin/sh\necho too little memory >&2\nexit 1\n")
    (tmp_path / "java").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(UserError, match=r"^evaluation\.captions\.words: treebank: Java failed \(too little memory\);"):
        caption_scores(["a"], [["a"]], CaptionScoring(words="treebank"))


def test_captions_and_right_ones_go_together() -> None:
    with pytest.raises(ValueError, match="2 captions and 1 lists"):
        caption_scores(["a", "b"], [["a"]], PLAIN)
