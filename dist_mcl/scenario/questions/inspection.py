"""What a split of questions really holds: counts, how well guessing does, and media that are in training too."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from dataclasses import dataclass

from dist_mcl.scenario.builders.progress import Track
from dist_mcl.scenario.questions.splits import Questions


@dataclass(frozen=True)
class QuestionInspection:
    """What was found in a split.

    Attributes:
        answers: how often each first answer comes, by task.
        tokens: by number of tokens, how many media have so many.
        media: digests of the decoded media; equal for media that are equal in every number.
    """

    answers: dict[str, Counter[str]]
    tokens: Counter[int]
    media: frozenset[str]

    def copies(self, other: QuestionInspection) -> int:
        """How many of this split's media the other one has too."""
        return len(self.media & other.media)

    def lines(self) -> list[str]:
        """The counts, a line for each task."""
        found = []
        for task, answers in sorted(self.answers.items()):
            total = answers.total()
            ((commonest, count),) = answers.most_common(1)
            found.append(
                f"{task}: {total} questions, {len(answers)} answers, {100 * count / total:.1f} % of them "
                f"{_short(commonest)!r}"
            )
        fewest, most = min(self.tokens), max(self.tokens)
        return [*found, f"{len(self.media)} media of {fewest if fewest == most else f'{fewest} to {most}'} tokens"]


def inspect(questions: Questions, track: Track, name: str) -> QuestionInspection:
    """Read and decode every media file once, and make tokens of it.

    Raises:
        UserError: a file cannot be read, or has no tokens; names it.
    """
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    first: dict[str, int] = {}
    for index, asked in enumerate(questions.questions):
        answers[asked.task][asked.answers[0]] += 1
        first.setdefault(questions.source(index), index)
    tokens: Counter[int] = Counter()
    digests = set()
    for index in track(list(first.values()), name):
        media = questions.media(index)
        digests.add(hashlib.sha256(media.tobytes() + repr(media.shape).encode()).hexdigest())
        tokens[len(questions.sample(index, stage=1).tokens[questions.modality])] += 1
    return QuestionInspection(dict(answers), tokens, frozenset(digests))


def _short(answer: str) -> str:
    return answer if len(answer) <= 40 else f"{answer[:37]}..."
