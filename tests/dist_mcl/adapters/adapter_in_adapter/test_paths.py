"""One call, many paths: by row, by token, by media among words."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from dist_mcl.adapters.adapter_in_adapter import (
    ModalityPath,
    ModalityPaths,
    on_path,
)

from .models import CHAIN, learned, make_model

NAMES = [None, *CHAIN]


@pytest.fixture
def x() -> Tensor:
    return torch.randn(9, 4, 12, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def body(model: torch.nn.Module, path: ModalityPath, x: Tensor) -> Tensor:
    with on_path(model, path):
        return model.body["outer"](model.body["inner"](x))


def test_rows_of_mixed_modalities_are_what_each_is_by_itself(x: Tensor) -> None:
    model, chosen = learned(), [NAMES[row % len(NAMES)] for row in range(9)]
    mixed = body(model, ModalityPath.of_rows(chosen), x)
    for name in NAMES:
        rows = [row for row in range(9) if chosen[row] == name]
        assert torch.allclose(mixed[rows], body(model, ModalityPath.of_all(name), x[rows]), atol=1e-6)


def test_tokens_of_mixed_modalities_are_what_each_is_by_itself(x: Tensor) -> None:
    model = learned()
    index = torch.randint(-1, 4, (9, 4), generator=torch.Generator().manual_seed(2))
    mixed = body(model, ModalityPath.of_tokens(list(CHAIN), index), x)
    for number, name in enumerate(NAMES, start=-1):
        here = index == number
        assert torch.allclose(mixed[here], body(model, ModalityPath.of_all(name), x)[here], atol=1e-6)


def test_gradients_of_a_mixed_batch_are_the_sum_of_each_modalitys(x: Tensor) -> None:
    model = learned(gate_noise=False)
    model.requires_grad_(True)
    inner = model.body["inner"]
    with on_path(model, ModalityPath.of_rows(["video", None, "depth", "video"])):
        inner(x[:4]).square().sum().backward()
    mixed = {name: value.grad for name, value in inner.named_parameters() if value.grad is not None}
    model.zero_grad()
    for name, rows in (("video", [0, 3]), (None, [1]), ("depth", [2])):
        with on_path(model, ModalityPath.of_all(name)):
            inner(x[rows]).square().sum().backward()
    assert all(torch.allclose(value, inner.get_parameter(name).grad, atol=1e-4) for name, value in mixed.items())
    assert not any(".points" in name for name in mixed)


def test_media_among_words(x: Tensor) -> None:
    model = learned()
    masks = {name: torch.zeros(9, 4, dtype=torch.bool) for name in ("image", "audio")}
    masks["audio"][:, 1], masks["image"][:, 0] = True, True
    with ModalityPaths(model).among_words(masks), torch.no_grad():
        mixed = model.body["inner"](x)
    base, audio = (body_inner(model, name, x) for name in (None, "audio"))
    assert torch.equal(mixed[:, [0, 2, 3]], base[:, [0, 2, 3]])  # image has no adapters, as words have none
    assert torch.allclose(mixed[:, 1], audio[:, 1], atol=1e-6)
    with ModalityPaths(model).of("image"), torch.no_grad():
        assert torch.equal(model.body["inner"](x), base)


@torch.no_grad()
def body_inner(model: torch.nn.Module, name: str | None, x: Tensor) -> Tensor:
    with on_path(model, ModalityPath.of_all(name)):
        return model.body["inner"](x)


def test_outside_the_active_adapter_is_the_path(x: Tensor) -> None:
    model = learned()
    tuner = model.body["inner"].switch.tuner
    for name in CHAIN:
        tuner.set_adapter(name)
        assert torch.equal(model.body["inner"](x), body_inner(model, name, x))
    with on_path(model, ModalityPath.of_all("video")):
        with on_path(model, ModalityPath.of_all(None)):
            assert torch.equal(model.body["inner"](x), model.body["inner"].base_layer(x))
        assert torch.equal(model.body["inner"](x), body_inner(model, "video", x))
    tuner.set_adapter(["video", "audio"])
    with pytest.raises(ValueError, match="video, audio are active"):
        model.body["inner"](x)


def test_what_does_not_fit_is_refused(x: Tensor) -> None:
    model = learned()
    with pytest.raises(ValueError, match=r"smell has no adapters.*video, audio, depth, points"):
        body(model, ModalityPath.of_all("smell"), x)
    with pytest.raises(ValueError, match=r"begin with \(2,\), a layer got \(9, 4, 12\)"):
        body(model, ModalityPath.of_rows(["video", None]), x)
    with pytest.raises(ValueError, match="which has none"):
        body(make_model(), ModalityPath.of_all("video"), x)
    assert torch.equal(body(make_model(), ModalityPath.of_all(None), x), body(model, ModalityPath.of_all(None), x))
