"""What docs/adapters.md and the package's docstring show of it runs, and saves what the page says of it."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from dist_mcl.adapters import adapter_in_adapter
from dist_mcl.tokens import Batch

from .test_layer import inputs

PAGE = Path(__file__).parents[4] / "docs" / "adapters.md"
ANSWERING, PLAIN = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def run(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **names: object) -> dict[str, Any]:
    """What the code defines, run in this folder."""
    monkeypatch.chdir(folder)
    defined: dict[str, Any] = dict(names)
    exec(compile(code, str(PAGE), "exec"), defined)
    return defined


def test_two_modalities_are_learned_saved_and_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run(ANSWERING, tmp_path, monkeypatch)
    backbone = shown["backbone"]
    for name, parents in (("video", []), ("audio", ["video"])):
        manifest = json.loads((tmp_path / "modalities" / name / "manifest.json").read_text())
        assert manifest["parents"] == parents
        assert sorted(manifest["base"]) == sorted(backbone.base_modules(name)) and "model" in manifest["base"]
    trained = {name for name, value in backbone.named_parameters() if value.requires_grad}
    assert trained == set(adapter_in_adapter.modality_parameters(backbone, "audio"))
    with torch.no_grad():
        fresh = shown["make_backbone"]()
        assert torch.equal(shown["show"](backbone, "image"), shown["show"](fresh, "image"))
        for name in ("video", "audio"):
            assert not torch.equal(shown["show"](backbone, name), shown["show"](fresh, name))


def test_the_docstring_does_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run(ANSWERING, tmp_path, monkeypatch)
    again = shown["make_backbone"]()
    adapter_in_adapter.load_modalities(again, tmp_path / "modalities", "video")
    names = {name: getattr(adapter_in_adapter, name) for name in adapter_in_adapter.__all__}
    tokens = shown["Tokens"].full(inputs(5, 12).half().numpy(), grid=(5,))
    sample = shown["Sample"]({"audio": tokens}, shown["QuestionAnswer"]("what is it?", ("a dog",)), id=0, stage=1)
    given = {"batch": Batch.collate([sample]), "answers": ["a dog"], "root": tmp_path / "modalities"}
    given |= {"backbone": again, "again": shown["make_backbone"](), "adapter": shown["adapter"]}
    code = inspect.cleandoc(adapter_in_adapter.__doc__ or "").split("\n\n")[1]
    done = run(code, tmp_path, monkeypatch, **names, **given)
    assert list(done["again"].peft_config) == ["video", "audio"]
    assert torch.equal(done["again"](given["batch"], given["answers"])[0], done["surprise"])


def test_paths_of_a_plain_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = run(PLAIN, tmp_path, monkeypatch)
    assert shown["model"](shown["x"]).shape == (3, 4, 6)
    assert list(shown["model"].peft_config) == ["video", "audio"]
