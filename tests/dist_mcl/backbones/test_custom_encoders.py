"""Encoders of one's own, of tokens that are vectors as features are, and what is wrong with some."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch

from dist_mcl.adapters.adapter_in_adapter import ModalityPaths
from dist_mcl.backbones.causal_tiny import tiny_causal
from dist_mcl.backbones.encoders import open_custom_encoder
from dist_mcl.backbones.encoding import EncodingBackbone
from dist_mcl.backbones.qformer_folder import untrained_qformer
from dist_mcl.config import Experiment
from dist_mcl.coordinator.start import open_or_plan
from dist_mcl.encoder_config import CustomFeatures, Medium
from dist_mcl.errors import UserError
from dist_mcl.qformer_config import QFormerConfig
from dist_mcl.tokens import Batch, QuestionAnswer, Sample, Tokens

WIDTH = 6
OWN = """
import torch

from dist_mcl.backbones.media_encoders import MediaEncoder
from dist_mcl.tokens import PackedTokens


class Counting(MediaEncoder):
    def __init__(self, features, is_frozen):
        super().__init__()
        self.features, self.is_frozen, self.calls = features, is_frozen, 0
        self.map = torch.nn.Linear(6, features)

    def forward(self, tokens):
        self.calls += 1
        return PackedTokens(self.map(tokens.values.float()), tokens.positions, tokens.sample, tokens.grids)
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    file = tmp_path / "own.py"
    file.write_text(OWN)
    return file


@pytest.fixture(params=["causal", "qformer"])
def make(request: pytest.FixtureRequest) -> Callable[[CustomFeatures], EncodingBackbone]:
    """A tiny backbone with an encoder of one modality."""

    def of(encoder: CustomFeatures) -> EncodingBackbone:
        media = {"imu": Medium(place="here", encoder=encoder, cue="")}
        if request.param == "causal":
            backbone: EncodingBackbone = tiny_causal(media, {})
        else:
            backbone = untrained_qformer(QFormerConfig.model_validate({"kind": "qformer", "layout": "tiny"}), media, {})
        backbone.paths = ModalityPaths(backbone)
        return backbone

    return of


def samples() -> Iterator[Sample]:
    rng = np.random.default_rng(0)
    for number in range(3):
        values = rng.normal(size=(number + 2, WIDTH)).astype(np.float16)
        yield Sample({"imu": Tokens.full(values, (number + 2,))}, QuestionAnswer("What?", ("a walk",)), number, 1)


@pytest.mark.parametrize("features", [WIDTH, 9])
def test_a_frozen_encoder_sees_vectors_once(
    make: Callable[[CustomFeatures], EncodingBackbone], own: Path, features: int
) -> None:
    options = {"features": features, "is_frozen": True}
    backbone = make(CustomFeatures(kind="custom", path=f"{own}:Counting", options=options))
    raw = list(samples())
    prepared = backbone.prepare(backbone.prepare(raw))
    encoder = backbone.encoders["imu"]
    assert encoder.calls == len(raw)
    with torch.no_grad():
        expected = encoder.map(torch.from_numpy(raw[2].tokens["imu"].values).float())
        np.testing.assert_allclose(prepared[2].tokens["imu"].values, expected, atol=2e-3)
        ready, _ = backbone(Batch.collate(prepared).to("cpu"), ["yes"] * 3)
        assert encoder.calls == len(raw)
        seen, _ = backbone(Batch.collate(raw), ["yes"] * 3)
    assert encoder.calls == len(raw) + 1
    torch.testing.assert_close(seen, ready, atol=0.05, rtol=1e-2)  # features are kept in half precision


def test_an_encoder_that_trains_sees_vectors_in_every_step(
    make: Callable[[CustomFeatures], EncodingBackbone], own: Path
) -> None:
    options = {"features": WIDTH, "is_frozen": False}
    backbone = make(CustomFeatures(kind="custom", path=f"{own}:Counting", options=options))
    encoder = backbone.encoders["imu"].requires_grad_(True)
    prepared = backbone.prepare(list(samples()))
    assert encoder.calls == 0 and not prepared[0].prepared
    for step in range(2):
        backbone(Batch.collate(prepared), ["yes"] * 3)[0].sum().backward()
        assert encoder.calls == step + 1
    assert encoder.map.weight.grad.abs().sum() > 0


def test_features_that_half_precision_does_not_hold_are_refused(
    make: Callable[[CustomFeatures], EncodingBackbone], own: Path
) -> None:
    options = {"features": WIDTH, "is_frozen": True}
    backbone = make(CustomFeatures(kind="custom", path=f"{own}:Counting", options=options))
    with torch.no_grad():
        backbone.encoders["imu"].map.bias.fill_(1e5)
    with pytest.raises(UserError, match=r"the encoder of imu gives 1e\+05, .* scale them down"):
        backbone.prepare(list(samples()))


HALF = """
import torch

from dist_mcl.backbones.media_encoders import MediaEncoder


class Half(MediaEncoder):
    is_frozen = True

    def forward(self, tokens):
        return tokens


class Normed(Half):
    features = 4

    def __init__(self, is_frozen):
        super().__init__()
        self.is_frozen, self.norm = is_frozen, torch.nn.BatchNorm1d(4)


class Other:
    pass
"""

TIED = """

class Tied(Half):
    features, is_frozen = 4, False

    def __init__(self):
        super().__init__()
        self.one, self.other = (torch.nn.Linear(4, 4, bias=False) for _ in range(2))
        self.other.weight = self.one.weight
        self.register_buffer("mean", torch.zeros(4), persistent=False)
"""


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("Half", {}, "has no features of type int"),
        ("Other", {}, "makes Other, which is no MediaEncoder"),
        ("Half", {"size": 3}, "cannot be made with options {'size': 3} (TypeError: "),
        ("Nothing", {}, "has no 'Nothing'; mend the name"),
        ("Normed", {"is_frozen": False}, "trains and holds norm.running_mean besides parameters, which alone"),
    ],
)
def test_an_encoder_that_does_not_fit_is_refused_before_a_run_begins(
    tmp_path: Path, name: str, options: dict[str, int], complaint: str
) -> None:
    (tmp_path / "half.py").write_text(HALF)
    encoder = {"kind": "custom", "path": f"{tmp_path}/half.py:{name}", "options": options}
    with pytest.raises(UserError) as refused:
        open_or_plan(tmp_path / "run", two_stages(encoder))
    assert complaint in str(refused.value) and "\n" not in str(refused.value)
    if name != "Nothing":
        assert str(refused.value).startswith("scenario.stages.1.encoder.path ")


def test_a_frozen_encoder_may_hold_buffers(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text(HALF)
    config = CustomFeatures(kind="custom", path=f"{tmp_path}/half.py:Normed", options={"is_frozen": True})
    assert "norm.running_mean" in open_custom_encoder("here", config).state_dict()


def test_an_encoder_that_trains_may_hold_constants_and_tied_parameters(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text(HALF + TIED)
    config = CustomFeatures(kind="custom", path=f"{tmp_path}/half.py:Tied")
    assert set(open_custom_encoder("here", config).state_dict()) == {"one.weight", "other.weight"}


def two_stages(encoder: Mapping[str, object]) -> Experiment:
    data = {"dataset": "shapes"}
    imu = {"modality": "imu", "tokens": "features", "encoder": encoder, "data": {"dataset": "manifest", "folder": "x"}}
    return Experiment.model_validate(
        {
            "name": "two",
            "scenario": {"kind": "modality_incremental", "stages": [{"modality": "image", "data": data}, imu]},
            "model": {"backbone": "causal-tiny", "adapter": {"kind": "adapter_in_adapter"}},
            "exemplars": {"budget": 0},
        }
    )
