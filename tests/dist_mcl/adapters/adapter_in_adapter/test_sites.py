"""Sites by role, suffix and count: a renaming is noticed."""

from __future__ import annotations

import pytest
from torch import nn

from dist_mcl.adapter_config import AdapterSites
from dist_mcl.adapters.adapter_in_adapter import find_sites, peft_config
from dist_mcl.config import Model
from dist_mcl.errors import UserError

from .models import config_of, learned, make_model


def sites(*suffixes: str, role: str = "body", count: int = 1, **fields: object) -> AdapterSites:
    return AdapterSites.model_validate({"role": role, "suffixes": suffixes, "count": count, **fields})


@pytest.mark.parametrize("make", [make_model, learned], ids=["bare", "with adapters"])
def test_sites_are_found_by_role_and_suffix(make: type) -> None:
    model = make()
    assert find_sites(model, model.roles, sites("inner", "outer", count=2)) == ["body.inner", "body.outer"]
    assert find_sites(model, model.roles, sites("body.outer")) == ["body.outer"]
    assert find_sites(model, model.roles, sites("head", role="head")) == ["head"]  # the part itself is a linear layer


def test_suffixes_are_whole_words() -> None:
    model = nn.ModuleDict({"crossattention": nn.ModuleDict({"dense": nn.Linear(2, 2)}), "attention": nn.Linear(2, 2)})
    assert find_sites(model, {"all": model}, sites("attention", role="all")) == ["attention"]
    with pytest.raises(UserError, match=r"0 linear layers .*; none in attention\.dense"):
        find_sites(model, {"all": model}, sites("attention.dense", role="all"))


def test_another_number_than_declared_is_refused() -> None:
    model = make_model()
    with pytest.raises(UserError, match=r"2 linear layers of the body end in inner, outer, and count says 3; it has"):
        find_sites(model, model.roles, sites("inner", "outer", count=3))
    with pytest.raises(UserError, match=r"1 linear layers .*none in q_proj; it has body\.inner, body\.outer"):
        find_sites(model, model.roles, sites("inner", "q_proj"))
    with pytest.raises(UserError, match="role 'nose': this backbone has body, head"):
        find_sites(model, model.roles, sites("inner", role="nose"))


def test_groups_of_sites_have_forms_of_their_own() -> None:
    model = make_model()
    groups = (sites("inner"), sites("outer", gate="none", up="zero", in_adapter="none", rank=2))
    config = peft_config(model, model.roles, config_of(sites=groups))
    inner, outer = config.form_of("body.inner"), config.form_of("body.outer")
    assert (inner.rank, inner.gate, inner.up, inner.in_adapter) == (3, "dense", "normal", "inherited")
    assert (outer.rank, outer.gate, outer.up, outer.in_adapter) == (2, "none", "zero", "none")
    with pytest.raises(UserError, match=r"model\.adapter\.sites: body\.inner is in two groups; leave it in one"):
        peft_config(model, model.roles, config_of(sites=(*groups, sites("inner"))))


def test_parents() -> None:
    chain, none = config_of(), config_of(parents="none")
    own = config_of(parents={"depth": ["video", "audio"]})
    assert chain.parents_of("depth", ("video", "audio")) == ("audio",) and chain.parents_of("video", ()) == ()
    assert none.parents_of("depth", ("video", "audio")) == ()
    assert own.parents_of("depth", ("video", "audio")) == ("video", "audio") and own.parents_of("imu", ("video",)) == ()
    with pytest.raises(ValueError, match=r"parents\.depth: audio is not learned before depth"):
        own.parents_of("depth", ("video",))


def test_a_preset_fills_in_what_is_left_out() -> None:
    adapter = Model.model_validate(
        {"adapter": {"kind": "adapter_in_adapter", "preset": "fixed", "up": "normal"}}
    ).adapter
    assert (adapter.up, adapter.in_adapter) == ("normal", "identity")
    assert (config_of().up, config_of().in_adapter) == ("normal", "inherited")


def test_a_number_of_experts_needs_the_gate_that_has_one() -> None:
    assert config_of(gate="top_k", top_k=3).top_k == 3
    with pytest.raises(ValueError, match="top_k 3 is for gate: top_k"):
        config_of(top_k=3)
