"""Whether an answer in words is right: exact match and VQA accuracy, both after VQA's normalisation.

The normalisation is that of the VQA evaluation (arXiv 1505.00468) and its code: lower case, no punctuation, number
words as digits, no articles, apostrophes where contractions lack them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from dist_mcl.answer_config import AS_CAPTIONS, CaptionScoring
from dist_mcl.evaluation.captions import caption_scores
from dist_mcl.evaluation.modalities import ACCURACY
from dist_mcl.tokens import QuestionAnswer

_AGREEING = 3  # so many others make a full point
_REMOVED = ';/[]"{}()=+\\_-><@`,?!'
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
_NUMBERS = {word: str(number) for number, word in enumerate(_NUMBER_WORDS.split())} | {"none": "0"}
_ARTICLES = {"a", "an", "the"}
_WITH_APOSTROPHES = (
    "ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's how'd how'll how's "
    "i'm i've isn't it'd it'll ma'am mightn't might've mustn't must've needn't not've o'clock oughtn't shan't "
    "should've shouldn't somebody'd somebody'll somebody's someone'd someone'll someone's something'd something'll "
    "that's there'd there're there's they'd they'll they're they've 'twas wasn't we've weren't what'll what're "
    "what's what've when's where'd where's where've who'd who'll who's who've why'll why're why's won't would've "
    "wouldn't y'all you'd you'll you're you've"
)
_CONTRACTIONS = {word.replace("'", ""): word for word in _WITH_APOSTROPHES.split()}


def normalised(answer: str) -> str:
    """An answer as VQA's evaluation compares it. Contractions of three words stay as they are."""
    given = answer.replace("\n", " ").replace("\t", " ").strip().lower()
    has_grouped_number = re.search(r"\d,\d", given) is not None
    text = given
    for mark in _REMOVED:
        stands_at_a_border = f"{mark} " in given or f" {mark}" in given
        text = text.replace(mark, "" if stands_at_a_border or has_grouped_number else " ")
    text = re.sub(r"\.(?!\d)", "", text)
    words = (_NUMBERS.get(word, word) for word in text.split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def exact_match(said: str, answers: Sequence[str]) -> float:
    """1.0 if what was said is one of the right answers, else 0.0."""
    return float(normalised(said) in {normalised(answer) for answer in answers})


def vqa_accuracy(said: str, answers: Sequence[str]) -> float:
    """VQA accuracy: a third of a point for each annotator who said the same, at most one point.

    The mean over all choices of leaving one annotator out, as VQA's own code computes it. So of three annotators, as
    Clotho-AQA has, two are left each time: all three agreeing make 2/3, two of them 4/9, one 2/9.

    Args:
        answers: of the annotators, one each, at least two; ten in VQA.
    """
    same = [normalised(answer) == normalised(said) for answer in answers]
    return sum(min(1.0, (sum(same) - own) / _AGREEING) for own in same) / len(same)


def named_candidate(said: str, asked: QuestionAnswer) -> str:
    """The candidate whose name occurs in a free answer, as a whole word or as words that follow each other.

    Of several the name of most words, and of those the first in the list: so "desk lamp" is no "lamp". Where none
    occurs, what was said, which is then no right answer.

    Args:
        asked: with candidates.
    """
    heard = f" {normalised(said)} "
    names = [normalised(name) for name in asked.names or asked.candidates]
    named = [number for number, name in enumerate(names) if name and f" {name} " in heard]
    return asked.candidates[max(named, key=lambda number: len(names[number].split()))] if named else said


def scores_by_task(
    asked: Sequence[QuestionAnswer], said: Sequence[str], captions: CaptionScoring
) -> dict[str, dict[str, float]]:
    """Scores of a data set, kept apart by the questions' tasks: means over their samples.

    Every task has "exact_match"; one whose questions have votes "vqa_accuracy" too, and one of `AS_CAPTIONS` the
    scores of `caption_scores`.

    Raises:
        ValueError: some questions of a task have votes and others not.
        UserError: there are captions, and what scores them is not installed.
    """
    found = {}
    for task in sorted({question.task for question in asked}):
        rows = [(text, question.answers) for text, question in zip(said, asked, strict=True) if question.task == task]
        found[task] = {"exact_match": _mean([exact_match(text, answers) for text, answers in rows])}
        if _has_votes(task, asked):
            found[task]["vqa_accuracy"] = _mean([vqa_accuracy(text, answers) for text, answers in rows])
        if task in AS_CAPTIONS:
            found[task] |= caption_scores([text for text, _ in rows], [answers for _, answers in rows], captions)
    return found


def main_score(scores: Mapping[str, float]) -> float:
    """The one of a task's scores that is compared."""
    return scores[main_score_name(scores)]


def main_score_name(scores: Mapping[str, float]) -> str:
    """CIDEr, else vqa_accuracy, else exact_match, whichever a task has."""
    return next(name for name in ("CIDEr", "vqa_accuracy", "exact_match") if name in scores)


def scale_of(scores: Mapping[str, float]) -> str:
    """The scale of the one of a task's scores that is compared; `dist_mcl.evaluation.modalities` keeps scales apart."""
    name = main_score_name(scores)
    return name if name == "CIDEr" else ACCURACY


def _has_votes(task: str, asked: Sequence[QuestionAnswer]) -> bool:
    votes = {question.votes for question in asked if question.task == task}
    if len(votes) > 1:
        raise ValueError(f"some questions of task {task!r} have votes and others not; they have no score in common")
    return votes.pop()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
