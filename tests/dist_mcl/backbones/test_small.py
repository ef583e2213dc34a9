"""What the small backbone promises beside the others, on random weights; the pretrained ones have their own file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dist_mcl.backbones import SmallBackbone
from dist_mcl.tokens import Sample, Tokens

from .samples import ragged_samples, run


@pytest.fixture(scope="module")
def backbone() -> SmallBackbone:
    return SmallBackbone.tiny(seed=3)


def test_prepared_samples_mean_the_same(backbone: SmallBackbone) -> None:
    ragged = ragged_samples(np.random.default_rng(5))
    prepared = backbone.prepare(ragged)
    assert [sample.tokens.keys() for sample in prepared] == [sample.tokens.keys() for sample in ragged]
    assert prepared[0].tokens["image"].values.dtype == np.float16
    torch.testing.assert_close(run(backbone, prepared), run(backbone, ragged), atol=2e-3, rtol=0)


def test_a_picture_of_another_grid_is_refused(backbone: SmallBackbone) -> None:
    image = Tokens.full(np.zeros((16, 16, 16, 3), np.uint8), (4, 4))
    with pytest.raises(ValueError, match="6 x 6"):
        run(backbone, [Sample({"image": image}, 0, 0, 1)])
