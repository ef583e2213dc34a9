"""One table of tests for both kinds of adapters, on a small BERT encoder as the backbones have it."""

import copy
import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import BertConfig, BertModel

from dist_mcl.adapter_config import LoRAAdapter
from dist_mcl.adapters import adapter_parameters, attach, load, save
from dist_mcl.config import SSFAdapter
from dist_mcl.errors import UserError

KINDS = [SSFAdapter(), LoRAAdapter(rank=4, alpha=8)]
both_kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)


class Model(nn.Module):
    """An encoder, a final norm whose name is also a suffix of another module's, and a head."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.bert = BertModel(
            BertConfig(
                vocab_size=30, hidden_size=width, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
            ),
            add_pooling_layer=False,
        )
        self.norm = nn.LayerNorm(width)
        self.image = nn.ModuleDict({"norm": nn.LayerNorm(width), "projection": nn.Linear(12, width, bias=False)})
        self.head = nn.Linear(width, 3)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens = self.image["norm"](self.image["projection"](pixels))
        return self.head(self.norm(self.bert(inputs_embeds=tokens).last_hidden_state[:, 0]))

    @property
    def targets(self) -> list[str]:
        kinds = (nn.Linear, nn.LayerNorm)
        encoder = [name for name, module in self.named_modules() if ".encoder." in name and isinstance(module, kinds)]
        return [*encoder, "norm", "image.projection"]


def make_model(seed: int = 0, width: int = 16) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Model(width).eval()


@pytest.fixture
def base() -> Model:
    return make_model()


@pytest.fixture
def pixels() -> Tensor:
    return torch.randn(3, 5, 12, generator=torch.Generator().manual_seed(1))


def adapted(kind: SSFAdapter | LoRAAdapter, seed: int = 0) -> Model:
    model = make_model()
    attach(model, kind, model.targets, seed)
    return model


def moved(model: Model) -> Model:
    """The same model with adapters as training leaves them: every tensor off its start."""
    generator = torch.Generator().manual_seed(2)
    for parameter in adapter_parameters(model).values():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def wrapped_modules(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if hasattr(module, "base_layer")]


@both_kinds
def test_starts_near_the_base(kind: SSFAdapter | LoRAAdapter, base: Model, pixels: Tensor) -> None:
    expected = base(pixels)
    distance = (adapted(kind)(pixels) - expected).norm() / expected.norm()
    assert distance == 0 if kind.kind == "lora" else distance < 0.25


@both_kinds
def test_equal_seeds_give_equal_adapters_and_leave_the_global_generator(kind: SSFAdapter | LoRAAdapter) -> None:
    torch.manual_seed(7)
    expected = torch.randn(1)
    torch.manual_seed(7)
    one = adapted(kind, seed=3)
    assert torch.equal(torch.randn(1), expected)
    two, three = adapted(kind, seed=3), adapted(kind, seed=4)
    pairs = list(zip(adapter_parameters(one).values(), adapter_parameters(two).values(), strict=True))
    assert pairs and all(torch.equal(a, b) for a, b in pairs)
    others = adapter_parameters(three).values()
    assert not all(torch.equal(a, b) for a, b in zip(adapter_parameters(one).values(), others, strict=True))


@both_kinds
def test_wraps_the_targets_and_nothing_else(kind: SSFAdapter | LoRAAdapter, base: Model) -> None:
    model = adapted(kind)
    wrapped = set(wrapped_modules(model))
    linear = {name for name in base.targets if isinstance(base.get_submodule(name), nn.Linear)}
    assert wrapped == (set(base.targets) if kind.kind == "ssf" else linear)


@both_kinds
def test_only_the_adapter_gets_gradients(kind: SSFAdapter | LoRAAdapter, pixels: Tensor) -> None:
    model = moved(adapted(kind))
    model(pixels).square().sum().backward()
    names = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert names == set(adapter_parameters(model))
    assert all(parameter.grad.isfinite().all() for parameter in adapter_parameters(model).values())


@both_kinds
def test_one_step_of_training_lowers_the_loss(kind: SSFAdapter | LoRAAdapter, pixels: Tensor) -> None:
    model, target = adapted(kind), torch.tensor([0, 1, 2])
    optimiser = torch.optim.SGD(adapter_parameters(model).values(), lr=0.05)
    losses = []
    for _ in range(2):
        loss = nn.functional.cross_entropy(model(pixels), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[1] < losses[0]


@both_kinds
def test_disabled_adapters_give_exactly_the_base(kind: SSFAdapter | LoRAAdapter, base: Model, pixels: Tensor) -> None:
    model = make_model()
    tuner = attach(model, kind, model.targets, 0)
    changed = moved(model)(pixels)
    tuner.disable_adapter_layers()
    assert torch.equal(model(pixels), base(pixels))
    tuner.enable_adapter_layers()
    assert torch.equal(model(pixels), changed) and not torch.equal(changed, base(pixels))
    assert all(parameter.requires_grad for parameter in adapter_parameters(model).values())


@both_kinds
def test_merged_equals_unmerged(kind: SSFAdapter | LoRAAdapter, base: Model, pixels: Tensor) -> None:
    model = make_model()
    tuner = attach(model, kind, model.targets, 0)
    expected = moved(model)(pixels)
    tuner.merge_adapter(safe_merge=True)
    assert torch.allclose(model(pixels), expected, atol=1e-5)
    tuner.unmerge_adapter()
    assert torch.allclose(model(pixels), expected, atol=1e-6)
    merged = tuner.merge_and_unload()
    assert not wrapped_modules(merged) and torch.allclose(merged(pixels), expected, atol=1e-5)
    assert set(merged.state_dict()) >= set(base.state_dict())


@both_kinds
def test_disabling_takes_a_merged_adapter_out(kind: SSFAdapter | LoRAAdapter, base: Model, pixels: Tensor) -> None:
    model = make_model()
    tuner = attach(model, kind, model.targets, 0)
    moved(model)
    tuner.merge_adapter()
    tuner.disable_adapter_layers()
    assert torch.allclose(model(pixels), base(pixels), atol=1e-6)


@both_kinds
def test_saves_and_loads_bit_for_bit(kind: SSFAdapter | LoRAAdapter, pixels: Tensor, tmp_path: Path) -> None:
    model = moved(adapted(kind))
    save(model, tmp_path / "a")
    again = make_model()
    load(again, tmp_path / "a")
    ours, theirs = adapter_parameters(model), adapter_parameters(again)
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(model(pixels), again(pixels))
    assert all(parameter.requires_grad for parameter in theirs.values())
    save(again, tmp_path / "b")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert files == ["adapter_config.json", "adapter_model.safetensors"]
    assert all((tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files)


def test_a_lora_folder_loads_with_plain_peft(pixels: Tensor, tmp_path: Path) -> None:
    model = moved(adapted(KINDS[1]))
    save(model, tmp_path)
    plain = PeftModel.from_pretrained(make_model(), tmp_path)
    assert torch.equal(plain(pixels), model(pixels))


def test_a_lora_folder_of_plain_peft_loads_here(pixels: Tensor, tmp_path: Path) -> None:
    plain = get_peft_model(make_model(), LoraConfig(r=2, target_modules=["query", "value"], init_lora_weights=False))
    plain.save_pretrained(tmp_path / "theirs")
    model, again = make_model(), make_model()
    load(model, tmp_path / "theirs")
    assert torch.equal(model(pixels), plain(pixels))
    save(model, tmp_path / "ours")
    load(again, tmp_path / "ours")
    assert torch.equal(again(pixels), plain(pixels))


@both_kinds
def test_survives_the_state_dict(kind: SSFAdapter | LoRAAdapter, pixels: Tensor) -> None:
    model, again = moved(adapted(kind)), adapted(kind, seed=5)
    assert not torch.equal(again(pixels), model(pixels))
    again.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(again(pixels), model(pixels))


@both_kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_takes_the_dtype_of_the_base(
    kind: SSFAdapter | LoRAAdapter, dtype: torch.dtype, base: Model, pixels: Tensor, tmp_path: Path
) -> None:
    model = make_model().to(dtype)
    attach(model, kind, model.targets, 0)
    assert {parameter.dtype for parameter in adapter_parameters(model).values()} == {dtype}
    moved(model)(pixels.to(dtype)).sum().backward()
    save(model, tmp_path)
    again = make_model().to(dtype)
    load(again, tmp_path)
    result = again(pixels.to(dtype))
    assert result.dtype == dtype and torch.equal(result, model(pixels.to(dtype)))


def test_float32_adapters_keep_the_dtype_of_a_bfloat16_base(pixels: Tensor) -> None:
    model = make_model().to(torch.bfloat16)
    attach(model, KINDS[0], model.targets, 0)
    for parameter in adapter_parameters(model).values():
        parameter.data = parameter.data.float()
    assert model(pixels.to(torch.bfloat16)).dtype == torch.bfloat16


@both_kinds
def test_refuses_a_second_adapter_and_a_target_that_is_not_there(
    kind: SSFAdapter | LoRAAdapter, base: Model, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="no module nowhere"):
        attach(base, kind, [*base.targets, "nowhere"], 0)
    with pytest.raises(ValueError, match="carries no adapter"):
        save(base, tmp_path)
    model = adapted(kind)
    with pytest.raises(ValueError, match="already"):
        attach(model, kind, model.targets, 0)
    save(model, tmp_path)
    with pytest.raises(ValueError, match="already"):
        load(model, tmp_path)


def test_ssf_refuses_what_has_no_channels(base: Model) -> None:
    with pytest.raises(ValueError, match=r"nn\.Linear.*word_embeddings"):
        attach(base, KINDS[0], ["bert.embeddings.word_embeddings"], 0)


@both_kinds
def test_a_folder_of_another_backbone_is_refused(kind: SSFAdapter | LoRAAdapter, tmp_path: Path) -> None:
    save(adapted(kind), tmp_path)
    with pytest.raises(UserError, match=r"another backbone.*differs in shape"):
        load(make_model(width=32), tmp_path)
    with pytest.raises(UserError, match=r"another backbone.*modules"):
        load(nn.Sequential(nn.Linear(2, 2)), tmp_path)


@both_kinds
def test_damaged_folders_get_one_clear_line(kind: SSFAdapter | LoRAAdapter, tmp_path: Path) -> None:
    def refusal() -> str:
        with pytest.raises(UserError) as caught:
            load(make_model(), tmp_path)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "adapter_config.json: cannot read" in refusal()
    save(adapted(kind), tmp_path)
    config, weights = tmp_path / "adapter_config.json", tmp_path / "adapter_model.safetensors"
    whole, text = weights.read_bytes(), config.read_text()
    weights.write_bytes(whole[:-1])
    assert "damaged" in refusal()
    weights.unlink()
    assert "adapter_model.safetensors: cannot read" in refusal()
    weights.write_bytes(whole)
    for broken in ("{", "[]", json.dumps({**json.loads(text), "peft_type": "IA3"})):
        config.write_text(broken)
        assert "not the configuration" in refusal()
    config.write_text(text)
    tensors = load_file(weights)
    tensors.pop(min(tensors))
    save_file(tensors, weights)
    assert "missing" in refusal()


def test_two_ssf_adapters_by_name(pixels: Tensor) -> None:
    model = make_model()
    tuner = attach(model, KINDS[0], model.targets, 0)
    first = moved(model)(pixels)
    tuner.peft_config["second"] = copy.deepcopy(tuner.peft_config["default"])
    tuner.inject_adapter(model, "second")
    assert torch.equal(model(pixels), first)
    tuner.set_adapter("second")
    assert not torch.equal(model(pixels), first)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained and all(name.endswith(".second") for name in trained)
    tuner.set_adapter(["default", "second"])
    expected = model(pixels)
    tuner.merge_adapter(["default"])
    tuner.merge_adapter(["second"])
    assert torch.allclose(model(pixels), expected, atol=1e-5)
    tuner.unmerge_adapter()
    assert torch.equal(model(pixels), expected)
    tuner.delete_adapter("second")
    assert torch.equal(model(pixels), first)


def test_a_safe_merge_refuses_numbers_that_are_not_finite() -> None:
    model = make_model()
    tuner = attach(model, KINDS[0], ["norm"], 0)
    next(iter(adapter_parameters(model).values())).data[0] = torch.nan
    before = model.norm.base_layer.weight
    with pytest.raises(ValueError, match="not finite"):
        tuner.merge_adapter(safe_merge=True)
    assert model.norm.base_layer.weight is before and not model.norm.merged
