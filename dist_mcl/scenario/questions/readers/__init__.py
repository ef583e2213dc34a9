"""One file a data set, or a family of them: what its folder looks like, and how questions and media are found there.

A new data set is a section in `dist_mcl.question_config`, a file here with a function from that section (and the
modality) to the questions of a split, a row in `_READERS`, how free answers are generated in `published` where papers
say so, and a row in the table of tests/dist_mcl/scenario/questions/readers/test_layouts.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dist_mcl.question_config import AnyQuestions
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.choice import Chosen, choose
from dist_mcl.scenario.questions.readers import (
    audiocaps,
    clotho,
    depth,
    esc50,
    films,
    manifest,
    modelnet40,
    objaverse,
    prepared,
)
from dist_mcl.scenario.questions.splits import QuestionItem

_READERS: dict[str, Callable[[Any, str, Split], list[QuestionItem]]] = {
    "audiocaps": audiocaps.read,
    "clotho": clotho.read,
    "clotho_aqa": clotho.read_aqa,
    "esc50": esc50.read,
    "fusion_depth": depth.read_fusion,
    "manifest": manifest.read,
    "modelnet40": modelnet40.read,
    "msrvtt": films.read_msrvtt,
    "msvd": films.read_msvd,
    "notes": prepared.read,
    "nyu_v2": depth.read_scenes,
    "objaverse": objaverse.read,
    "shapes": prepared.read,
    "sun_rgbd": depth.read_scenes,
}


def read_questions(config: AnyQuestions, modality: str, split: Split, place: str) -> Chosen:
    """The questions about one modality in one split of the data set that a configuration names.

    They are in an order that depends on the data alone.

    Args:
        place: of the data set's section in the experiment, for messages.

    Raises:
        UserError: a file is missing, damaged or of another layout, or there is no such task; one line that names the
            file or the field and the mend.
    """
    return choose(_READERS[config.dataset](config, modality, split), config, split, place)
