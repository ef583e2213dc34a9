"""Scores of captions: BLEU, ROUGE-L, CIDEr and METEOR as the COCO caption evaluation (arXiv 1504.00325) defines them.

They are those of the package pycocoevalcap, which holds all it needs, METEOR's paraphrase table included. METEOR and
the Penn Treebank tokenizer are Java programs in it: they need Java 8 or later, and nothing from the network.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

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
        UserError: as `check_captions_can_be_scored`, or the treebank's program fails.
    """
    if not said or len(said) != len(references) or not all(references):
        raise ValueError(f"{len(said)} captions and {len(references)} lists of right ones, none of which may be empty")
    check_captions_can_be_scored(how)
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge

    cut = _treebank_words if how.words == "treebank" else _plain_words
    words = iter(cut([*said, *(text for texts in references for text in texts)]))
    ours = {number: [next(words)] for number in range(len(said))}
    theirs = {number: [next(words) for _ in texts] for number, texts in enumerate(references)}
    bleu, _ = Bleu(4).compute_score(theirs, ours, verbose=0)
    scores = {f"BLEU-{length}": float(score) for length, score in enumerate(bleu, start=1)}
    scores["ROUGE-L"] = float(Rouge().compute_score(theirs, ours)[0])
    scores["CIDEr"] = float(Cider().compute_score(theirs, ours)[0])
    if how.meteor:
        scores["METEOR"] = float(Meteor().compute_score(theirs, ours)[0])
    return scores


def _plain_words(texts: Sequence[str]) -> list[str]:
    return [" ".join(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text.lower())) for text in texts]


def _treebank_words(texts: Sequence[str]) -> list[str]:
    """As pycocoevalcap's own PTBTokenizer, which writes beside its program and takes a carriage return for two lines.

    Raises:
        UserError: the program fails.
    """
    from pycocoevalcap.tokenizer import ptbtokenizer

    program = Path(ptbtokenizer.__file__).with_name(ptbtokenizer.STANFORD_CORENLP_3_4_1_JAR)
    command = ["java", "-cp", str(program), "edu.stanford.nlp.process.PTBTokenizer"]
    lines = "".join(" ".join(text.split()) + "\n" for text in texts)
    done = subprocess.run(
        [*command, "-preserveLines", "-lowerCase", "-encoding", "UTF-8"],
        input=lines.encode(),
        capture_output=True,
        check=False,
    )
    cut = done.stdout.decode().split("\n")[:-1]
    if done.returncode or len(cut) != len(texts):
        said = " ".join(done.stderr.decode(errors="replace").split())[-300:]
        raise UserError(f"evaluation.captions.words: treebank: Java failed ({said}); see that `java` runs")
    return [" ".join(word for word in line.split(" ") if word not in ptbtokenizer.PUNCTUATIONS) for line in cut]
