"""Layers of a language model may be left out, of which nothing is said; all else is, and nothing may be missing."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from dist_mcl.backbones.causal_folder import open_language_model
from dist_mcl.errors import UserError


class Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What transformers says; it does not pass it on to the root logger."""
    handler, logger = Heard(), logging.getLogger("transformers")
    logger.addHandler(handler)
    yield handler.words
    logger.removeHandler(handler)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_attention_heads": 2, "num_key_value_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=20, num_hidden_layers=12, **sizes)).save_pretrained(tmp_path)
    return tmp_path


def test_weights_that_are_missing_are_refused_and_not_drawn(folder: Path) -> None:
    path, name = folder / "model.safetensors", "model.layers.0.self_attn.q_proj.weight"
    save_file({key: value for key, value in load_file(path).items() if key != name}, path, metadata={"format": "pt"})
    with pytest.raises(UserError, match=rf"has no weights {name}, of 1 that are missing; get it again"):
        open_language_model(folder, 2)


def test_more_layers_than_there_are_are_refused(folder: Path) -> None:
    with pytest.raises(UserError) as refused:
        open_language_model(folder, 13)
    assert str(refused.value) == (
        "model.backbone.layers: 13, but this language model has 12; say at most 12, or leave it out for all"
    )


def add_weight(folder: Path, name: str) -> None:
    path = folder / "model.safetensors"
    save_file(load_file(path) | {name: torch.zeros(2)}, path, metadata={"format": "pt"})


def test_nothing_is_said_of_layers_that_are_left_out(folder: Path, heard: list[str]) -> None:
    whole, part = open_language_model(folder, None), open_language_model(folder, 2)
    assert heard == []
    assert type(part).__name__ == "LlamaForCausalLM" and isinstance(part, LlamaForCausalLM)
    assert part.config.num_hidden_layers == 2
    weights = whole.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in part.state_dict().items())


@pytest.mark.parametrize("strange", ["model.layers.1.self_attn.odd", "model.layers.1.mlp.experts.5.odd", "odd.weight"])
def test_weights_that_nobody_asked_to_leave_out_are_still_named(folder: Path, heard: list[str], strange: str) -> None:
    add_weight(folder, strange)
    open_language_model(folder, 2)
    (report,) = heard
    assert strange in report and "layers.2." not in report and "layers.{" not in report
