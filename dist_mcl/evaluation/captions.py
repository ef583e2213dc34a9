"""Scores of captions: BLEU, ROUGE-L, CIDEr and METEOR as the COCO caption evaluation (arXiv 1504.00325) defines them.

They are those of the package pycocoevalcap, which holds all it needs, METEOR's paraphrase table included. METEOR and
the Penn Treebank tokenizer are Java programs in it: they need Java 8 or later, and nothing from the network.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from typing import Literal

from dist_mcl.errors import UserError

Words = Literal["plain", "treebank"]


def caption_scores(
    said: Sequence[str], references: Sequence[Sequence[str]], words: Words = "plain", with_meteor: bool = False
) -> dict[str, float]:
    """Scores of a whole data set.

    Args:
        said: one caption for each item.
        references: each item's right captions; CIDEr weighs words by how rare they are in all of them, so it needs more
            than a few items to say anything.
        words: plain: lower case, what is neither letter, digit nor apostrophe ends a word; treebank: the tokenizer of
            published scores.

    Returns:
        "BLEU-1" to "BLEU-4", "ROUGE-L", "CIDEr" and, with it, "METEOR". All 0 to 1 but for CIDEr, 0 to 10.

    Raises:
        ValueError: no items, one without a right caption, or lists of different lengths.
        UserError: pycocoevalcap is not installed, or Java is not and was asked for.
    """
    if not said or len(said) != len(references) or not all(references):
        raise ValueError(f"{len(said)} captions and {len(references)} lists of right ones, none of which may be empty")
    if words == "treebank" or with_meteor:
        _check_java()
    try:
        from pycocoevalcap.bleu.bleu import Bleu
        from pycocoevalcap.cider.cider import Cider
        from pycocoevalcap.meteor.meteor import Meteor
        from pycocoevalcap.rouge.rouge import Rouge
    except ImportError as error:
        raise UserError(f"captions are scored by pycocoevalcap ({error}); pip install 'dist-mcl[captions]'") from error

    cut = _treebank_words if words == "treebank" else _plain_words
    ours, theirs = cut([[caption] for caption in said]), cut(references)
    bleu, _ = Bleu(4).compute_score(theirs, ours, verbose=0)
    scores = {f"BLEU-{length}": float(score) for length, score in enumerate(bleu, start=1)}
    scores["ROUGE-L"] = float(Rouge().compute_score(theirs, ours)[0])
    scores["CIDEr"] = float(Cider().compute_score(theirs, ours)[0])
    if with_meteor:
        scores["METEOR"] = float(Meteor().compute_score(theirs, ours)[0])
    return scores


def _plain_words(captions: Sequence[Sequence[str]]) -> dict[int, list[str]]:
    return {
        number: [" ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())) for text in texts]
        for number, texts in enumerate(captions)
    }


def _treebank_words(captions: Sequence[Sequence[str]]) -> dict[int, list[str]]:
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    rows = {number: [{"caption": text} for text in texts] for number, texts in enumerate(captions)}
    return dict(PTBTokenizer().tokenize(rows))


def _check_java() -> None:
    if shutil.which("java") is None:
        raise UserError(
            "METEOR and the treebank tokenizer need Java, and there is no `java`; install it or ask for plain"
        )
