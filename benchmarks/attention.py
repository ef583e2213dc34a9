"""How long does a step through a frozen language model take, by the attention that it computes with?

A forward and a backward pass of a model shaped as SmolLM2-135M, with fewer layers and random weights, as training an
adapter on it takes: weights in the precision that is asked for, gradients for what comes in. `eager` is what the
backbones use on CPUs in bf16, `sdpa` is torch's fused attention, which transformers takes by itself. They take turns so
that other load on the machine meets both; times are medians.

    python -W ignore benchmarks/attention.py --json attention.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import LlamaConfig, LlamaForCausalLM

WARM_UP = 2
KINDS = ("sdpa", "eager")
SHAPE = {"hidden_size": 576, "intermediate_size": 1536, "num_attention_heads": 9, "num_key_value_heads": 3}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=4, help="of the language model (4)")
    parser.add_argument("--batch", type=int, default=16, help="sequences (16)")
    parser.add_argument("--tokens", type=int, nargs="+", default=[40, 160], help="of a sequence (40 and 160)")
    parser.add_argument("--rounds", type=int, default=10, help="rounds of both in turn (10)")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()
    torch.manual_seed(0)
    rows = list(_measured(options))
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console().print(table)
    if options.json:
        where = {"threads": torch.get_num_threads(), "torch": torch.__version__, "rows": rows}
        options.json.write_text(json.dumps(where, indent=1) + "\n", "utf-8")


def _measured(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    model = LlamaForCausalLM(LlamaConfig(**SHAPE, num_hidden_layers=options.layers, vocab_size=1024))
    for precision in ("float32", "bfloat16"):
        model.to(getattr(torch, precision)).requires_grad_(False)
        for tokens in options.tokens:
            seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for _ in track(range(WARM_UP + options.rounds), f"{precision}, {tokens} tokens"):
                for kind in KINDS:
                    model.set_attn_implementation(kind)
                    seconds[kind].append(_step(model, options.batch, tokens))
            medians = {kind: 1000 * statistics.median(its[WARM_UP:]) for kind, its in seconds.items()}
            ratio = medians["sdpa"] / medians["eager"]
            yield {"weights": precision, "tokens": tokens, **_in_ms(medians), "sdpa by eager": ratio}


def _in_ms(medians: dict[str, float]) -> dict[str, float]:
    return {f"{kind} ms": value for kind, value in medians.items()}


def _step(model: LlamaForCausalLM, batch: int, tokens: int) -> float:
    states = torch.randn(batch, tokens, SHAPE["hidden_size"], dtype=model.dtype, requires_grad=True)
    mask = torch.ones(batch, tokens, dtype=torch.int64)
    mask[::2, :3] = 0  # shorter sequences are padded on their left
    begun = time.perf_counter()
    found = model(inputs_embeds=states, attention_mask=mask, use_cache=False, logits_to_keep=4)
    found.logits.float().sum().backward()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
