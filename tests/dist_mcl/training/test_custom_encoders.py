"""A run with encoders of one's own that pool vectors: frozen and trained, replayed, saved and read again."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file

from .modality_runs import LORA, digests, experiment, finish, losses, write_data

OWN = """
import torch

from dist_mcl.backbones.media_encoders import MediaEncoder
from dist_mcl.tokens import PackedTokens


class Pairs(MediaEncoder):
    def __init__(self, is_frozen):
        super().__init__()
        self.features, self.is_frozen = 7, is_frozen
        self.map = torch.nn.Linear(4, 7)

    def forward(self, tokens):
        grids = (tokens.grids + 1) // 2
        found, pair = (tokens.sample * grids.max() + tokens.positions // 2).unique(return_inverse=True)
        values = torch.zeros(len(found), 7).index_add(0, pair, self.map(tokens.values.float()))
        return PackedTokens(values, found % grids.max(), found // grids.max(), grids)
"""


def test_two_stages_of_vectors_with_replay(tmp_path: Path) -> None:
    write_data(tmp_path / "data")
    (tmp_path / "own.py").write_text(OWN)
    stages = [
        {
            "modality": name,
            "tokens": "features",
            "encoder": {"kind": "custom", "path": f"{tmp_path}/own.py:Pairs", "options": {"is_frozen": is_frozen}},
            "data": {"dataset": "manifest", "folder": str(tmp_path / "data" / "sensor")},
        }
        for name, is_frozen in (("gauge", True), ("sensor", False))
    ]
    config = experiment(tmp_path / "data", LORA, scenario={"stages": stages}, exemplars={"budget": "9kB"})
    one, two = finish(tmp_path / "one", config), finish(tmp_path / "two", config, processes=2)
    assert losses(one) == losses(two)
    assert [digests(folder) for folder in one.stages()] == [digests(folder) for folder in two.stages()]
    replayed = one.stage(2).record("train")["exemplars"]
    assert replayed > 0
    trained = [load_file(folder.adapter / "trained.safetensors") for folder in one.stages()]
    assert [any("encoders." in name for name in tensors) for tensors in trained] == [False, True]
    assert trained[0]["entries.gauge.norm.weight"].shape == (7,)
    assert one.stage(2).record("evaluate")["scores"].keys() == {"gauge", "sensor"}
