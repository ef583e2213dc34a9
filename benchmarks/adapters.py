"""What does adapter-in-adapter cost, by what a plain LoRA layer does and by the dispatcher that it does without?

One linear layer of a Q-Former with the adapters of several modalities: a forward pass of the latest modality's path, in
evaluation and with the gate's noise in training, and forward and backward passes. The kinds take turns, so that other
load on the machine meets all of them; times are medians.

    base      the frozen linear layer alone
    lora      PEFT's LoRA layer of one adapter's rank
    stacked   adapter-in-adapter as it is here: all experts and the gate in one pair of matrix products
    dispatch  the same function computed as mixtures of experts usually are, and as the authors' code does: tokens are
              sent to each expert and the weighted answers added up where they came from

`by lora` is to be at most 1.25 and `dispatch by it` at least 1.5 for `stacked`. All compute the same to 1e-5.

    python benchmarks/adapters.py --experts 4 --rounds 30 --json adapters.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraModel
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

from dist_mcl.adapter_config import AdapterInAdapter, AdapterSites
from dist_mcl.adapters.adapter_in_adapter import AdapterInAdapterLayer, add_modality, peft_config

WARM_UP = 3
RANK = 8


@dataclass(frozen=True)
class Setting:
    """A linear layer of InstructBLIP's Q-Former and what it sees of a batch.

    Attributes:
        width, out: of the layer.
        tokens: of a sample.
    """

    width: int
    out: int
    tokens: int


# 32 query tokens and 16 of an instruction; the 257 states of a picture.
SETTINGS = {"self-attention": Setting(768, 768, 48), "cross-attention": Setting(1408, 768, 257)}


class Layer(nn.Module):
    """One linear layer with a name."""

    def __init__(self, setting: Setting) -> None:
        super().__init__()
        self.linear = nn.Linear(setting.width, setting.out)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


class Dispatched(nn.Module):
    """The last modality's path of an adapter-in-adapter layer, by dispatching and combining; arXiv 1701.06538."""

    def __init__(self, layer: AdapterInAdapterLayer) -> None:
        super().__init__()
        self.layer = layer
        self.modality = list(layer.experts)[-1]

    def forward(self, x: Tensor) -> Tensor:
        result = self.layer.base_layer(x)
        flat = x.flatten(0, -2)
        gates = self._gates(flat)
        rows, experts = gates.nonzero().unbind(1)
        order = experts.argsort(stable=True)
        rows, counts = rows[order], torch.bincount(experts, minlength=gates.shape[1]).tolist()
        sent = flat[rows].split(counts)
        answers = torch.cat([self._expert(place, tokens) for place, tokens in enumerate(sent)])
        weighted = answers * gates[rows, experts[order]][:, None]
        combined = torch.zeros_like(result.flatten(0, -2)).index_add(0, rows, weighted)
        return result + combined.view_as(result)

    def _gates(self, flat: Tensor) -> Tensor:
        layer = self.layer
        logits = flat @ layer.ana_gate[self.modality].T
        if self.training:
            deviation = nn.functional.softplus(flat @ layer.ana_noise[self.modality].T) + 0.01
            logits = logits + torch.randn_like(logits) * deviation
        top, chosen = logits.topk(logits.shape[1], dim=1)
        return torch.zeros_like(logits).scatter(1, chosen, top.softmax(1))

    def _expert(self, place: int, tokens: Tensor) -> Tensor:
        layer, name = self.layer, self.layer.experts[self.modality][place]
        hidden = layer.ana_down[name](tokens)
        if name != self.modality:
            inner, shift = layer.ana_inner[self.modality][place], layer.ana_inner_bias[self.modality][place]
            hidden = nn.functional.linear(hidden, inner, shift)
        return layer.ana_scale[name] * layer.ana_up[name](hidden)


def main() -> None:
    """Measure every layer and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layer", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--experts", type=int, default=4, help="adapters on the path (4)")
    parser.add_argument("--batch", type=int, default=16, help="samples (16)")
    parser.add_argument("--rounds", type=int, default=30, help="rounds of all kinds in turn (30)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()
    torch.manual_seed(0)
    rows = [row for name in options.layer for row in _measure(name, options)]
    Console().print(_table(rows))
    if options.json:
        where = {"device": options.device, "threads": torch.get_num_threads(), "machine": platform.machine()}
        options.json.write_text(
            json.dumps({**where, "torch": torch.__version__, "rows": rows}, indent=1) + "\n", "utf-8"
        )


def _measure(name: str, options: argparse.Namespace) -> list[dict[str, object]]:
    setting = SETTINGS[name]
    base, lora, stacked = Layer(setting), Layer(setting), _with_adapters(Layer(setting), options.experts)
    # As PEFT does it for `get_peft_model`, but with a map up that is not zero.
    LoraModel(lora, LoraConfig(r=RANK, target_modules=["linear"], init_lora_weights=False), "default")
    dispatch = Dispatched(stacked.linear)
    models = {"base": base.requires_grad_(False), "lora": lora, "stacked": stacked, "dispatch": dispatch}
    for model in models.values():
        model.to(options.device)
    x = torch.randn(options.batch, setting.tokens, setting.width, device=options.device)
    rows = []
    for mode in ("evaluation", "training", "with backward"):
        kinds = {kind: _step(model, x, mode) for kind, model in models.items()}
        if mode == "evaluation":
            _check_equal(stacked, dispatch, x)
        rows += _rows(name, mode, _medians(kinds, options, f"{name}, {mode}"))
    return rows


def _with_adapters(model: Layer, experts: int) -> Layer:
    sites = (AdapterSites(role="all", suffixes=("linear",), count=1),)
    adapter = AdapterInAdapter(kind="adapter_in_adapter", rank=RANK, up="normal", in_adapter="normal", sites=sites)
    for number in range(experts):
        parents = [f"m{number - 1}"] if number else []
        add_modality(model, f"m{number}", peft_config(model, {"all": model}, adapter, parents), seed=number)
    return model


@torch.no_grad()
def _check_equal(stacked: nn.Module, dispatch: nn.Module, x: Tensor) -> None:
    difference = (stacked.eval()(x) - dispatch.eval()(x)).abs().max().item()
    if difference > 1e-5 and x.device.type == "cpu":
        raise SystemExit(f"stacked and dispatch differ by {difference}")


def _step(model: nn.Module, x: Tensor, mode: str) -> Callable[[], float]:
    with_backward = mode == "with backward"
    inputs = x.clone().requires_grad_(with_backward)

    def forward() -> None:
        result = model(inputs)
        if with_backward:
            result.sum().backward()
            inputs.grad = None

    def step() -> float:
        model.train(mode != "evaluation")
        with torch.set_grad_enabled(with_backward):
            _wait(x.device)
            begun = time.perf_counter()
            forward()
            _wait(x.device)
            return time.perf_counter() - begun

    return step


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def _medians(kinds: dict[str, Callable[[], float]], options: argparse.Namespace, title: str) -> dict[str, float]:
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in track(range(WARM_UP + options.rounds), title):
        for kind, step in kinds.items():
            seconds[kind].append(step())
    return {kind: statistics.median(times[WARM_UP:]) for kind, times in seconds.items()}


def _rows(layer: str, mode: str, medians: dict[str, float]) -> list[dict[str, object]]:
    return [
        {
            "layer": layer,
            "mode": mode,
            "kind": kind,
            "ms": 1000 * seconds,
            "by lora": seconds / medians["lora"],
            "dispatch by it": medians["dispatch"] / seconds,
        }
        for kind, seconds in medians.items()
    ]


def _table(rows: Sequence[dict[str, object]]) -> Table:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.3f}" for value in row.values()))
    return table


if __name__ == "__main__":
    main()
