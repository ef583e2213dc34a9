"""Scores of captions: BLEU, ROUGE-L, CIDEr and METEOR as the COCO caption evaluation (arXiv 1504.00325) defines them.

They are those of the package pycocoevalcap, which holds all it needs, METEOR's paraphrase table included. METEOR and
the Penn Treebank tokenizer are Java programs in it: they need Java 8 or later, and nothing from the network.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from importlib.util import find_spec

from dist_mcl.answer_config import CaptionScoring
from dist_mcl.errors import UserError


def check_captions_can_be_scored(how: CaptionScoring) -> None:
    """See that the programs are there, before anything is trained.

    Raises:
        UserError: pycocoevalcap is not installed, or Java is not and is needed.
    """
    if find_spec("pycocoevalcap") is None:
        raise UserError("captions are scored by pycocoevalcap, which is missing; pip install 'dist-mcl[captions]'")
    for field, is_java in (("meteor: true", how.meteor), ("words: treebank", how.words == "treebank")):
        if is_java and shutil.which("java") is None:
            raise UserError(
                f"evaluation.captions.{field}: needs Java, but there is no `java`; install it, or leave this out"
            )


def caption_scores(said: Sequence[str], references: Sequence[Sequence[str]], how: CaptionScoring) -> dict[str, float]:
    """Scores of a whole data set.

    Args:
        said: one caption for each item.
        references: each item's right captions; CIDEr weighs words by how rare they are in all of them, so it needs more
            than a few items to say anything.

    Returns:
        "BLEU-1" to "BLEU-4", "ROUGE-L", "CIDEr" and, if asked for, "METEOR". All 0 to 1 but for CIDEr, 0 to 10.

    Raises:
        ValueError: no items, one without a right caption, or lists of different lengths.
        UserError: as `check_captions_can_be_scored`.
    """
    if not said or len(said) != len(references) or not all(references):
        raise ValueError(f"{len(said)} captions and {len(references)} lists of right ones, none of which may be empty")
    check_captions_can_be_scored(how)
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge

    cut = _treebank_words if how.words == "treebank" else _plain_words
    ours, theirs = cut([[caption] for caption in said]), cut(references)
    bleu, _ = Bleu(4).compute_score(theirs, ours, verbose=0)
    scores = {f"BLEU-{length}": float(score) for length, score in enumerate(bleu, start=1)}
    scores["ROUGE-L"] = float(Rouge().compute_score(theirs, ours)[0])
    scores["CIDEr"] = float(Cider().compute_score(theirs, ours)[0])
    if how.meteor:
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
