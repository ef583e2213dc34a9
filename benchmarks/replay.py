"""How much of a training step do dropped tokens save?

Forward and backward passes with SSF adapters on whole samples, on masked ones (tokens dropped), on masked ones whose
dropped patches are black, and on batches of whole and masked samples in halves, as a stage has them. The kinds take
turns, so that other load on the machine meets all of them. `time` is the median step by that of whole samples, `tokens`
the encoder's tokens by theirs; where attention and MLP are what a step costs, `time / tokens` is to be at most 1.15 for
masked samples. Weights and samples are random: neither changes what a step costs.

    python benchmarks/replay.py --backbone vilt small --rounds 7 --json replay.json
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers import BertConfig, ViltConfig

from dist_mcl.backbones import Backbone, SmallBackbone, ViltBackbone
from dist_mcl.backbones.patch_encoder import PatchEncoder
from dist_mcl.config import SSFAdapter
from dist_mcl.exemplars import replay_form
from dist_mcl.tokens import Batch, Sample, Tokens
from dist_mcl.training.classifier import Classifier

WARM_UP = 2
CLASSES = 100


@dataclass(frozen=True)
class Setting:
    """A backbone of real width, and the samples that it usually sees.

    Attributes:
        grid: patches of a picture.
        patch: side of a patch in pixels.
        words: tokens of a text.
    """

    grid: tuple[int, int]
    patch: int
    words: int

    def backbone(self, layers: int | None) -> Backbone:
        """Random weights; `layers` of the encoder, all when None."""
        if self.patch == 32:
            return ViltBackbone(ViltConfig(num_hidden_layers=layers or 12), special=(101, 102))
        width = {"hidden_size": 384, "intermediate_size": 1536, "num_attention_heads": 12}
        return SmallBackbone(BertConfig(num_hidden_layers=layers or 6, **width), PatchEncoder())

    def sample(self, number: int, rng: np.random.Generator) -> Sample:
        """A whole sample of noise."""
        places = self.grid[0] * self.grid[1]
        pixels = rng.integers(0, 256, (places, self.patch, self.patch, 3), dtype=np.uint8)
        words = rng.integers(1000, 30_000, self.words).astype(np.int32)
        return Sample(
            {"image": Tokens.full(pixels, self.grid), "text": Tokens.full(words, (self.words,))}, 0, number, 1
        )


# ViLT: a 4:3 picture at 384 px and a text as long as its table; small: the quickstart's pictures and hard texts.
SETTINGS = {"vilt": Setting((12, 16), 32, 38), "small": Setting((6, 6), 16, 7)}


def main() -> None:
    """Measure every backbone and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", nargs="+", choices=SETTINGS, default=list(SETTINGS), help="vilt small")
    parser.add_argument("--keep", type=float, default=0.28, help="share of the patches that is kept (0.28)")
    parser.add_argument("--keep-text", type=float, default=0.4, help="share of the text that is kept (0.4)")
    parser.add_argument("--batch", type=int, default=16, help="samples of a step (16)")
    parser.add_argument("--layers", type=int, help="encoder layers; those of the real model when left out")
    parser.add_argument("--rounds", type=int, default=7, help="rounds of all kinds in turn (7)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="file to write the numbers to")
    options = parser.parse_args()
    rows = [row for name in options.backbone for row in _measure(name, options)]
    Console().print(_table(rows))
    if options.json:
        where = {"device": options.device, "threads": torch.get_num_threads(), "machine": platform.machine()}
        options.json.write_text(
            json.dumps({**where, "torch": torch.__version__, "rows": rows}, indent=1) + "\n", "utf-8"
        )


def _measure(name: str, options: argparse.Namespace) -> list[dict[str, object]]:
    setting, rng = SETTINGS[name], np.random.default_rng(0)
    model = Classifier.begin(setting.backbone(options.layers), SSFAdapter(), seed=0)
    model.head.grow(CLASSES, seed=0)
    model.to(options.device).train()
    whole = [setting.sample(number, rng) for number in range(options.batch)]
    masked = [_masked(sample, options, rng) for sample in whole]
    sides = (setting.grid[0] * setting.patch, setting.grid[1] * setting.patch)
    black = [replay_form(sample, sides, "black") for sample in masked]
    half = options.batch // 2
    kinds = {"whole": whole, "masked": masked, "black": black, "half masked": [*whole[:half], *masked[half:]]}
    prepared = {kind: model.backbone.prepare(samples) for kind, samples in kinds.items()}
    seconds: dict[str, list[float]] = defaultdict(list)
    for _ in track(range(WARM_UP + options.rounds), f"measuring {name}"):
        for kind, samples in prepared.items():
            seconds[kind].append(_step(model, samples, options.device))
    medians = {kind: statistics.median(times[WARM_UP:]) for kind, times in seconds.items()}
    tokens = {kind: _tokens(model.backbone, samples, options.device) for kind, samples in prepared.items()}
    return [_row(name, kind, medians, tokens, options.batch) for kind in kinds]


def _masked(sample: Sample, options: argparse.Namespace, rng: np.random.Generator) -> Sample:
    def thin(tokens: Tokens, share: float) -> Tokens:
        kept = rng.choice(len(tokens), max(1, round(share * len(tokens))), replace=False)
        return tokens.take(np.sort(kept))

    tokens = {
        "image": thin(sample.tokens["image"], options.keep),
        "text": thin(sample.tokens["text"], options.keep_text),
    }
    return replace(sample, tokens=tokens)


def _step(model: Classifier, samples: Sequence[Sample], device: str) -> float:
    batch = Batch.collate(samples).to(device)
    _wait(device)
    begun = time.perf_counter()
    torch.nn.functional.cross_entropy(model(batch), batch.targets).backward()
    _wait(device)
    return time.perf_counter() - begun


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


@torch.no_grad()
def _tokens(backbone: Backbone, samples: Sequence[Sample], device: str) -> int:
    return len(backbone.embed(Batch.collate(samples).to(device))[0])


def _row(name: str, kind: str, medians: dict[str, float], tokens: dict[str, int], batch: int) -> dict[str, object]:
    shares = medians[kind] / medians["whole"], tokens[kind] / tokens["whole"]
    return {
        "backbone": name,
        "batch": kind,
        "tokens each": tokens[kind] / batch,
        "ms each": 1000 * medians[kind] / batch,
        "time": shares[0],
        "tokens": shares[1],
        "time / tokens": shares[0] / shares[1],
    }


def _table(rows: Sequence[dict[str, object]]) -> Table:
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(value if isinstance(value, str) else f"{value:.2f}" for value in row.values()))
    return table


if __name__ == "__main__":
    main()
