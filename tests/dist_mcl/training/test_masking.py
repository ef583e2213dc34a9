"""What a fresh sample looks like that is shown as replay would show it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dist_mcl.config import Exemplars
from dist_mcl.exemplars import Masking
from dist_mcl.tokens import Sample, Tokens
from dist_mcl.training.masking import as_replayed
from exemplar_store import Jpeg

COARSE = Jpeg(quality=10)


@pytest.mark.parametrize("fresh_coding", [False, True])
def test_kept_patches_have_the_errors_of_the_code_where_that_is_wanted(fresh_coding: bool) -> None:
    values = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    sample = Sample({"image": Tokens.full(values, (2, 2))}, target=0, id=1, stage=1)
    config: dict[str, Any] = {"fresh_coding": fresh_coding}
    masking = Masking(Exemplars(**config), 0, {"image": COARSE}, np.zeros(1, np.bool_))
    found = as_replayed(masking, sample, {"image": np.array([True, False, False, True])}).tokens["image"]
    kept = values[[0, 3]]
    assert found.positions.tolist() == [0, 3]
    np.testing.assert_array_equal(found.values, COARSE.decode(COARSE.encode(kept), 2) if fresh_coding else kept)
