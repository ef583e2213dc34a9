"""Whole runs with other methods than the default ones."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from dist_mcl.run_folder import RunFolder
from exemplar_store import StoreReader, verify

from .conftest import finish, result

pytestmark = pytest.mark.xdist_group("runs")

STORED = {
    "training.distillation.teacher": "stored",
    "exemplars.selection": "reservoir",
    "exemplars.replay_sampler": "proportional",
    "exemplars.remask": "0.7",
    "exemplars.store": "{share: class, weights: {heart: 2}, evict_first: true}",
    "data.absent_in_train": "{image: 0.1, text: 0.2}",
    "data.absent_in_test": "{image: 0.2, text: 0.1}",
    "model.head": "cosine",
    "evaluation.classifier": "nearest_mean",
}
PREVIOUS = {
    "training.distillation.teacher": "previous",
    "training.bias_correction": "weight_aligning",
    "training.balanced_softmax": "false",
    "exemplars.selection": "entropy",
}


@pytest.mark.parametrize(
    "options", [pytest.param(PREVIOUS, marks=pytest.mark.slow), STORED], ids=["previous", "stored"]
)
def test_the_same_bits_for_one_process_and_two(tmp_path: Path, options: dict[str, str]) -> None:
    for processes in ("1", "2"):
        finish(tmp_path / processes, scenario__stages="2", **{"launcher__processes": processes, **options})
    assert result(tmp_path / "1") == result(tmp_path / "2")
    store = RunFolder.open(tmp_path / "1").store
    assert sum(path.stat().st_size for path in store.rglob("*") if path.is_file()) <= 60 * 1024
    assert verify(store, full=True).problems == []
    with closing(StoreReader(store)) as reader:
        assert ("logits" in reader.modality_bytes) == (options is STORED)
        if options is STORED:
            lacking = [(reader.places[name] == 0).mean() for name in ("image", "text")]
            assert 0 < lacking[0] < 0.3 and 0 < lacking[1] < 0.4
            classes = [len(stage) for stage in RunFolder.open(tmp_path / "1").plan.stages]
            for stage, places in zip(reader.stages.tolist(), reader.places["logits"].tolist(), strict=True):
                assert places == sum(classes[:stage])  # those seen by then
    assert (tmp_path / "1" / "report.html").is_file()
