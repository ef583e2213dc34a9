"""How free answers are generated in PathWeave's evaluation, by data set and task; its code has all settings.

Five beams and no sampling everywhere. Its question answering ignores the length penalties of its files: it is -1.
"""

from __future__ import annotations

from dist_mcl.answer_config import Generation


def _captioned(length_penalty: float, max_tokens: int = 80, min_tokens: int = 10) -> Generation:
    return Generation(
        beams=5,
        max_tokens=max_tokens,
        min_tokens=min_tokens,
        repetition_penalty=1.15,
        length_penalty=length_penalty,
    )


def _answered(length_penalty: float, max_tokens: int) -> Generation:
    return Generation(
        beams=5, max_tokens=max_tokens, min_tokens=1, repetition_penalty=1.5, length_penalty=length_penalty
    )


CAPTIONS = _captioned(length_penalty=1)
DEPTH = _captioned(length_penalty=0, max_tokens=30, min_tokens=8)
"""Of captions and of conversations, which are scored as captions."""
OBJAVERSE_CAPTIONS = _captioned(length_penalty=0)
ANSWERS = _answered(length_penalty=-1, max_tokens=10)
OBJAVERSE_ANSWERS = _answered(length_penalty=-1, max_tokens=80)
ESC50_CLASSES = _answered(length_penalty=1, max_tokens=80)
MODELNET40_CLASSES = _answered(length_penalty=0, max_tokens=80)
