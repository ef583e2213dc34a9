"""What one layer computes, how its adapters begin, and what trains: sections 0, 3 and 8 of the method's notes."""

from __future__ import annotations

import copy
from collections.abc import Callable
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dist_mcl.adapters import adapter_parameters
from dist_mcl.adapters.adapter_in_adapter import ModalityPath, add_modality, modality_parameters, on_path, peft_config
from dist_mcl.adapters.adapter_in_adapter.layer import AdapterInAdapterLayer

from .models import CHAIN, Model, closed_form, config_of, learn, learned, make_model

FORMS = [
    {"in_adapter": inner, **gate}
    for inner, gate in product(
        ("identity", "none"), ({"gate": "dense"}, {"gate": "top_k", "top_k": 2}, {"gate": "none"})
    )
]


def inputs(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def dags() -> st.SearchStrategy[dict[str, list[str]]]:
    """Up to six modalities, each of which may build on any of those before it."""

    def of(chosen: list[list[bool]]) -> dict[str, list[str]]:
        names = [f"m{number}" for number in range(len(chosen))]
        return {
            name: [parent for parent, takes in zip(names[:place], flags, strict=False) if takes]
            for place, (name, flags) in enumerate(zip(names, chosen, strict=True))
        }

    return st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=6).map(of)


def ancestors(parents: dict[str, list[str]], name: str) -> set[str]:
    return set(parents[name]).union(*(ancestors(parents, parent) for parent in parents[name]))


class Line(nn.Module):
    """One site and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.ModuleDict({"inner": nn.Linear(7, 5)})
        self.entries = nn.ModuleDict()

    @property
    def roles(self) -> dict[str, nn.Module]:
        return {"body": self.body}


def line(parents: dict[str, list[str]], form: dict[str, object]) -> Line:
    model = Line()
    site = {"role": "body", "suffixes": ["inner"], "count": 1}
    for name, names in parents.items():
        add_modality(model, name, peft_config(model, model.roles, config_of(**form, sites=[site]), names), seed=0)
        for parameter in modality_parameters(model, name).values():
            parameter.data += 0.3 * torch.randn(parameter.shape)
    return model.eval()


@settings(max_examples=40)
@given(parents=dags(), form=st.sampled_from(FORMS), data=st.data())
def test_the_stacked_form_is_the_sum_of_the_ancestors_experts(
    parents: dict[str, list[str]], form: dict[str, object], data: st.DataObject
) -> None:
    torch.manual_seed(0)
    model, x = line(parents, form), inputs(2, 3, 7)
    layer = model.body["inner"]
    name = data.draw(st.sampled_from(sorted(parents)))
    assert set(layer.experts[name]) == ancestors(parents, name) | {name} and layer.experts[name][-1] == name
    with on_path(model, ModalityPath.of_all(name)):
        assert (layer(x) - closed_form(layer, name, x)).abs().max() < 1e-6


@settings(max_examples=20)
@given(parents=dags(), data=st.data())
def test_a_path_feels_its_ancestors_and_nobody_else(parents: dict[str, list[str]], data: st.DataObject) -> None:
    torch.manual_seed(0)
    model, x = line(parents, {}), inputs(4, 7)
    changed = data.draw(st.sampled_from(sorted(parents)))
    before = {name: on(model, name, x) for name in parents}
    with torch.no_grad():
        for parameter in modality_parameters(model, changed).values():
            parameter += 1
    for name, expected in before.items():
        feels = changed == name or changed in ancestors(parents, name)
        assert torch.equal(on(model, name, x), expected) != feels


@torch.no_grad()
def on(model: Line, name: str, x: Tensor) -> Tensor:
    with on_path(model, ModalityPath.of_all(name)):
        return model.body["inner"](x)


def test_a_gate_that_points_at_one_expert_is_that_experts_adapter_alone() -> None:
    model, x = learned(in_adapter="identity", gate_noise=False), inputs(4, 12)
    x[:, 0] = 1
    layer = model.body["inner"]
    with torch.no_grad():
        for place in range(3):
            layer.ana_inner["points"][place], layer.ana_inner_bias["points"][place] = torch.eye(3), 0
        for place, name in enumerate(layer.experts["points"]):
            layer.ana_gate["points"].zero_()[place, 0] = 1000
            alone = layer.base_layer(x) + layer.ana_scale[name] * layer.ana_up[name](layer.ana_down[name](x))
            with on_path(model, ModalityPath.of_all("points")):
                assert torch.allclose(layer(x), alone, atol=1e-6)


def test_presets_begin_as_they_say() -> None:
    official, fixed = make_model(), make_model()
    for model, adapter in ((official, config_of()), (fixed, config_of(preset="fixed"))):
        for modality, parents in (("video", []), ("audio", ["video"])):
            add_modality(model, modality, peft_config(model, model.roles, adapter, parents), seed=0)
    for model, deviation in ((official, 0.02), (fixed, 0.0)):
        layer = model.body["inner"]
        assert layer.ana_up["audio"].weight.std().item() == pytest.approx(deviation, rel=0.3)
        assert (
            layer.ana_scale["audio"] == 1 and not layer.ana_gate["audio"].any() and not layer.ana_noise["audio"].any()
        )
        assert not layer.ana_down["audio"].bias.any() and not layer.ana_up["audio"].bias.any()
        assert not layer.ana_inner_bias["audio"].any()
    assert official.body["inner"].ana_inner["audio"].abs().max() < 0.1
    assert torch.equal(fixed.body["inner"].ana_inner["audio"], torch.eye(3)[None])
    x = inputs(2, 12)
    assert torch.equal(fixed(x), make_model()(x)) and not torch.equal(official(x), make_model()(x))


def test_inherited_in_adapters_go_on_from_the_nearest_parents() -> None:
    model = learned({"video": [], "audio": ["video"]})
    add_modality(model, "depth", peft_config(model, model.roles, config_of(), ["audio"]), seed=1)
    layer = model.body["inner"]
    assert layer.experts["depth"] == ["video", "audio", "depth"]
    assert torch.equal(layer.ana_inner["depth"][0], layer.ana_inner["audio"][0])
    assert torch.equal(layer.ana_inner_bias["depth"][0], layer.ana_inner_bias["audio"][0])
    assert layer.ana_inner["depth"][1].abs().max() < 0.1  # audio had none inside its own


def test_noise_on_the_gate_follows_the_modules_mode() -> None:
    model, x = learned(), inputs(5, 12)
    with on_path(model, ModalityPath.of_all("depth")), torch.no_grad():
        assert torch.equal(model(x), model(x))
        model.train()
        assert not torch.equal(model(x), model(x))
        assert not torch.equal(model.body["inner"](x), closed_form(model.body["inner"], "depth", x))
        quiet = learned(gate_noise=False).train()
    assert "depth" not in quiet.body["inner"].ana_noise
    with on_path(quiet, ModalityPath.of_all("depth")):
        assert torch.equal(quiet(x), quiet(x))


def test_noise_has_the_deviation_that_its_matrix_says() -> None:
    model, x = learned({"video": [], "audio": ["video"]}), inputs(1, 12).expand(4000, 12)
    layer = model.body["inner"].train()
    stack = layer._stack("audio")
    logits = nn.functional.linear(x, stack.into, stack.into_bias)[:, -4:]
    weights = stack._mixture(logits, None)
    difference = weights.logit()[:, 0]  # of the two logits, which are independent
    clean, deviation = logits[0, :2], nn.functional.softplus(logits[0, 2:]) + 0.01
    assert difference.mean().item() == pytest.approx((clean[0] - clean[1]).item(), abs=0.1)
    assert difference.std().item() == pytest.approx(deviation.norm().item(), rel=0.06)


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_only_what_is_the_modalitys_own_gets_gradients_and_nothing_else_moves(form: dict[str, object]) -> None:
    model = learned(**form)
    learn(model, "imu", ["audio"], config_of(**form))
    model.train()
    before = copy.deepcopy(model.state_dict())
    own = modality_parameters(model, "imu")
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained == set(own) and any("entries.norms.imu" in name for name in own)
    optimiser = torch.optim.AdamW([parameter for parameter in model.parameters() if parameter.requires_grad], lr=0.1)
    for step in range(3):
        optimiser.zero_grad()
        model(inputs(6, 12, seed=step), "imu").square().sum().backward()
        assert {name for name, parameter in model.named_parameters() if parameter.grad is not None} == trained
        optimiser.step()
    after = model.state_dict()
    assert {name for name in after if not torch.equal(after[name], before[name])} == trained


def test_earlier_paths_stay_as_they_were_bit_for_bit_while_five_stages_train() -> None:
    model, x, answers = make_model(), inputs(6, 12), {}
    stages = {**CHAIN, "imu": ["video", "depth"]}
    for stage, (modality, parents) in enumerate({"image": [], **stages}.items()):
        if modality != "image":
            learn(model, modality, parents, config_of(preset="official"), seed=stage)
            optimiser = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], lr=0.01)
            for step in range(3):
                loss = model.train()(inputs(6, 12, seed=100 + step), modality).square().sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
        model.eval()
        answers[modality] = look(model, modality, x)
    for modality, answer in answers.items():
        assert torch.equal(look(model, modality, x), answer), modality
    assert torch.equal(answers["image"], make_model()(x))
    assert len({answer.sum().item() for answer in answers.values()}) == len(answers)


@torch.no_grad()
def look(model: nn.Module, modality: str, x: Tensor) -> Tensor:
    with on_path(model, ModalityPath.of_all(None if modality == "image" else modality)):
        return model(x, modality)


def test_disabled_adapters_give_exactly_the_base() -> None:
    model, x = learned(), inputs(2, 12)
    tuner = model.body["inner"].switch.tuner
    tuner.disable_adapter_layers()
    assert torch.equal(model(x), make_model()(x))
    tuner.enable_adapter_layers()
    assert not torch.equal(model(x), make_model()(x))


def test_merging_where_it_is_exact() -> None:
    model, x = learned(gate="none"), inputs(4, 12)
    tuner = model.body["inner"].switch.tuner
    expected, video = look(model, "points", x), look(model, "video", x)
    tuner.merge_adapter(["points"], safe_merge=True)
    assert torch.allclose(look(model, "points", x), expected, atol=1e-5)
    with pytest.raises(ValueError, match="unmerge"):
        look(model, "video", x)
    tuner.unmerge_adapter()
    assert torch.equal(look(model, "points", x), expected) and torch.equal(look(model, "video", x), video)
    tuner.set_adapter("points")
    merged = tuner.merge_and_unload()
    assert not adapter_parameters(merged) and torch.allclose(merged(x, "points"), expected, atol=1e-5)


def test_a_gated_path_is_not_merged_and_nothing_is_touched() -> None:
    model = learned()
    tuner, before = model.body["inner"].switch.tuner, copy.deepcopy(model.state_dict())
    tuner.set_adapter("audio")
    with pytest.raises(ValueError, match="audio has a gate"):
        tuner.merge_adapter()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    tuner.merge_adapter(["video"])  # nothing is older than video
    assert model.body["inner"].merged


@pytest.mark.parametrize("method", ["merge_adapter", "merge_and_unload"])
@pytest.mark.parametrize("wrong", ["not finite", "beyond half precision", "a second path"])
def test_a_merge_that_one_layer_refuses_leaves_every_layer_as_it_was(method: str, wrong: str) -> None:
    model, names = learned(gate="none"), ["points"]
    inner, outer = model.body["inner"], model.body["outer"]
    if wrong == "a second path":
        inner.delete_adapter("points")  # so that the first layer alone would take both
        names = ["points", "video"]
    elif wrong == "not finite":
        outer.ana_up["points"].weight.data[0, 0] = torch.nan
    else:
        model.half()
        outer.base_layer.weight.data[0, 0], outer.ana_up["points"].weight.data[0] = 65504, 65504
    before, tuner = copy.deepcopy(model.state_dict()), inner.switch.tuner
    with pytest.raises(ValueError, match="only one path" if wrong == "a second path" else "nothing was merged"):
        getattr(tuner, method)(adapter_names=names, safe_merge=True)
    assert not (inner.merged or outer.merged) and isinstance(model.body["inner"], AdapterInAdapterLayer)
    after = model.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value.nan_to_num(), before[name].nan_to_num()) for name, value in after.items())


def test_a_modality_on_which_nobody_builds_can_be_deleted() -> None:
    model, x = learned(), inputs(2, 12)
    tuner, audio = model.body["inner"].switch.tuner, look(model, "audio", x)
    with pytest.raises(ValueError, match="points builds on depth: delete points first"):
        tuner.delete_adapter("depth")
    tuner.set_adapter("audio")
    for modality in ("points", "depth"):
        tuner.delete_adapter(modality)
    assert list(tuner.peft_config) == ["video", "audio"] and torch.equal(look(model, "audio", x), audio)
    learn(model, "depth", ["video"], config_of())
    assert model.body["inner"].experts["depth"] == ["video", "depth"]


def test_a_rank_of_its_own_needs_ancestors_of_that_rank() -> None:
    model = learned()
    with pytest.raises(ValueError, match="imu has rank 5 and video"):
        learn(model, "imu", ["audio"], config_of(rank=5))
    learn(model, "imu", [], config_of(rank=5))
    assert isinstance(model.body["inner"], AdapterInAdapterLayer) and model.body["inner"].forms["imu"].rank == 5


def state_of(model: Model) -> dict[str, object]:
    """What an addition may change."""
    values = {name: (value.requires_grad, value.tolist()) for name, value in model.named_parameters()}
    active = [layer.active_adapters for layer in model.modules() if isinstance(layer, AdapterInAdapterLayer)]
    return {"values": values, "modalities": list(getattr(model, "peft_config", {})), "active": active}


@pytest.mark.parametrize("make", [make_model, learned], ids=["the first modality", "a later one"])
def test_an_addition_that_fails_half_way_leaves_nothing_behind(make: Callable[[], Model]) -> None:
    model = make()
    before = state_of(model)
    config = peft_config(model, model.roles, config_of(), ["video"] if make is learned else [])
    config.own_modules = ["entries.norms.smell"]  # found missing when all layers have their adapters
    with pytest.raises(AttributeError, match="smell"):
        add_modality(model, "imu", config, seed=0)
    assert state_of(model) == before
    config.own_modules = ["entries.norms.imu"]
    add_modality(model, "imu", config, seed=0)
    assert {name for name, value in model.named_parameters() if value.requires_grad} == set(
        modality_parameters(model, "imu")
    )


def test_nothing_is_added_to_a_merged_path_which_stays_merged() -> None:
    model = learned(gate="none")
    model.body["inner"].switch.tuner.merge_adapter(["points"])
    before = state_of(model)
    with pytest.raises(ValueError, match="the path of points is merged; unmerge it before"):
        learn(model, "imu", ["audio"], config_of(gate="none"))
    assert state_of(model) == before and model.body["outer"].merged_adapters == ["points"]


def test_layers_that_only_the_failed_addition_has_adapted_are_as_before() -> None:
    model = learned()
    groups = [{"role": "body", "suffixes": ["outer"], "count": 1, "rank": 5}]
    config = config_of(sites=[{"role": "head", "suffixes": ["head"], "count": 1}, *groups])
    with pytest.raises(ValueError, match="imu has rank 5 and video"):
        learn(model, "imu", ["audio"], config)
    assert isinstance(model.head, nn.Linear) and isinstance(model.body["outer"], AdapterInAdapterLayer)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_fp32_adapters_on_a_bfloat16_base_keep_its_dtype(dtype: torch.dtype) -> None:
    model = make_model().to(torch.bfloat16)
    for modality, parents in (("video", []), ("audio", ["video"])):
        add_modality(model, modality, peft_config(model, model.roles, config_of(), parents), seed=0, dtype=dtype)
    assert {parameter.dtype for parameter in adapter_parameters(model).values()} == {dtype}
    result = model(inputs(3, 12).bfloat16())
    assert result.dtype == torch.bfloat16
    result.sum().backward()
    assert model.body["inner"].ana_gate["audio"].grad.dtype == dtype
