"""ZeRO stage 3 refuses samples of different modalities before any rank could wait for another."""

from __future__ import annotations

import re

import numpy as np
import pytest

from dist_mcl.errors import UserError
from dist_mcl.tokens import Sample, Tokens
from dist_mcl.training.zero3 import check_same_modalities

IMAGE = Tokens.full(np.zeros((36, 16, 16, 3), dtype=np.uint8), (6, 6))
TEXT = Tokens.full(np.arange(3, dtype=np.int32), (3,))


def test_one_that_lacks_a_modality_is_named() -> None:
    both = [Sample({"image": IMAGE, "text": TEXT}, target=0, id=number, stage=1) for number in (3, 4)]
    check_same_modalities(both)
    check_same_modalities([])
    line = (
        "training.zero_stage: 3 needs the same modalities in all samples, but sample 4 has image and text and "
        "sample 9 text; choose 2 or less"
    )
    with pytest.raises(UserError, match=re.escape(line)):
        check_same_modalities([*both, Sample({"text": TEXT}, target=0, id=9, stage=2)])
