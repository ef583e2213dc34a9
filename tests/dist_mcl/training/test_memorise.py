"""Every rank writes its own exemplars, and the memory is the same for any number of ranks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from threading import Barrier, local
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing

from dist_mcl import config
from dist_mcl.backbones import SmallBackbone
from dist_mcl.run_folder import Plan, ProgressFile, RunFolder
from dist_mcl.tokens import Sample, Tokens
from dist_mcl.training import memorise as memorising
from dist_mcl.training.agreement import RanksDisagreeError
from dist_mcl.training.classifier import Classifier
from dist_mcl.training.memorise import memorise
from dist_mcl.training.process_group import ProcessGroup
from exemplar_store import ExemplarStore, StoreError, StoreReader, admission, layout, verify
from stage_launchers import end_process
from tests.dist_mcl.exemplars.masks import masking

from .forking import fork_server

SAMPLES, CLASSES = 200, 3  # four batches: three ranks have unequal shares
SHARE = 20_000  # bytes that are worth a writer here
BUDGETS = (300_000, 10_000_000)  # bytes: the second one holds everything


def samples(stage: int) -> list[Sample]:
    """Noisy pictures and random words."""
    dice, found = np.random.default_rng(stage), []
    for number in range(SAMPLES):
        patches = dice.integers(0, 256, (36, 16, 16, 3), dtype=np.uint8)
        words = dice.integers(1000, 30_000, 5).astype(np.int32)
        tokens = {"image": Tokens.full(patches, (6, 6)), "text": Tokens.full(words, (5,))}
        found.append(Sample(tokens, CLASSES * (stage - 1) + number % CLASSES, 1000 * stage + number, stage))
    return found


def work(rank: int, world_size: int, folders: list[str], answers: str) -> None:
    """In each run two stages on one of the ranks, the second one twice."""
    layout.WRITER_BYTES = admission.WRITER_BYTES = SHARE
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{answers}.meet", timedelta(minutes=10), rank=rank, world_size=world_size)
    group, told = ProcessGroup(rank, world_size, torch.device("cpu")), []
    for folder in folders:
        run = RunFolder.open(Path(folder))
        model = Classifier.begin(SmallBackbone.tiny(0), run.experiment.model.adapter, 0)
        rule = masking()
        told += [memorise(model, samples(stage), run, stage, rule, group, ProgressFile(None)) for stage in (1, 2, 2)]
    torch.save(told, f"{answers}.{rank}")
    end_process(0)


def begin(folder: Path, stages: list[list[int]], budget: int) -> RunFolder:
    """A run whose memory has nothing in it yet."""
    experiment = config.load(Path(__file__).parents[3] / "configs" / "quickstart.yaml")
    run = RunFolder(folder, experiment, Plan.chain(list("abcdef"), stages))
    run.write()
    ExemplarStore.create(run.store, budget_bytes=budget, run_id=run.plan.run_id)
    return run


def remember(tmp_path: Path, world_size: int) -> tuple[list[dict[str, object]], list[Path]]:
    """What `memorise` told in a run for each of the budgets, on every rank the same, and the stores."""
    stages = [list(range(CLASSES)), list(range(CLASSES, 2 * CLASSES))]
    folders = [begin(tmp_path / f"{world_size}-ranks-{budget}-bytes", stages, budget).path for budget in BUDGETS]
    answers = str(tmp_path / f"told-{world_size}")
    how = fork_server().get_start_method()
    torch.multiprocessing.start_processes(
        work, (world_size, list(map(str, folders)), answers), world_size, start_method=how
    )
    told = [torch.load(f"{answers}.{rank}", weights_only=True) for rank in range(world_size)]
    assert all(one == told[0] for one in told)
    return told[0], [folder / "exemplars" for folder in folders]


def test_the_memory_is_the_same_for_any_number_of_ranks(tmp_path: Path) -> None:
    told_alone, alone = remember(tmp_path, 1)
    told_three, three = remember(tmp_path, 3)
    for one, other in zip(told_alone, told_three, strict=True):
        assert one | {"bytes": 0} == other | {"bytes": 0}  # more segments have more metadata
    for first, again in (told_alone[1:3], told_alone[4:6]):
        assert first == again
    counts = []
    for stores in zip(alone, three, strict=True):
        with closing(StoreReader(stores[0])) as one, closing(StoreReader(stores[1])) as other:
            assert one.read_many(range(len(one))) == other.read_many(range(len(other)))
            assert len(one.snapshot.generation.segments) < len(other.snapshot.generation.segments)
            counts.append(len(one))
        assert all(verify(store, full=True).problems == [] for store in stores)
    assert 0 < counts[0] < counts[1] == 2 * SAMPLES


def disagree(rank: int, folder: str, answers: str) -> None:
    """Choose exemplars on one of two ranks, of which the second ranks those of the last class the other way round."""
    if rank == 1:
        real = memorising.rank_samples

        def deviate(*arguments: Any) -> Any:
            ranks = real(*arguments)
            last = arguments[2] == CLASSES - 1
            return np.where(last, ranks[last].max() - ranks, ranks)

        memorising.rank_samples = deviate
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{answers}.meet", timedelta(minutes=10), rank=rank, world_size=2)
    run, group = RunFolder.open(Path(folder)), ProcessGroup(rank, 2, torch.device("cpu"))
    model = Classifier.begin(SmallBackbone.tiny(0), run.experiment.model.adapter, 0)
    try:
        memorise(model, samples(1), run, 1, masking(), group, ProgressFile(None))
    except RanksDisagreeError as error:
        Path(f"{answers}.{rank}").write_text(str(error))
    dist.destroy_process_group()


def test_ranks_that_choose_differently_stop_and_say_who_and_where(tmp_path: Path) -> None:
    run = begin(tmp_path / "run", [list(range(CLASSES))], BUDGETS[0])
    how = fork_server().get_start_method()
    torch.multiprocessing.start_processes(disagree, (str(run.path), str(tmp_path / "told")), 2, start_method=how)
    told = [(tmp_path / f"told.{rank}").read_text() for rank in range(2)]
    assert told[0] == told[1]
    assert told[0].startswith("rank 1 here on ") and told[0].count("exemplars of class.") == 1
    assert f"disagree: exemplars of class.{CLASSES - 1} is " in told[0]
    assert ExemplarStore.open(run.store).head.stages == ()


class ThreadGroup:
    """A rank that is a thread; one that waits for another for too long fails."""

    def __init__(self, rank: int, box: list[object], barrier: Barrier) -> None:
        self.rank, self.world_size, self.device = rank, len(box), torch.device("cpu")
        self._box, self._barrier = box, barrier

    def gather(self, value: object) -> list[object]:
        self._box[self.rank] = value
        self._barrier.wait()
        values = list(self._box)
        self._barrier.wait()
        return values


@pytest.mark.parametrize(
    ("step", "failing", "message"), [("encode", 1, "no codec for this"), ("StoreReader", 0, "cannot be described")]
)
def test_what_fails_on_one_rank_fails_on_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, failing: int, message: str
) -> None:
    """No rank may wait in a collective operation for one that has left."""
    run = begin(tmp_path / "run", [list(range(CLASSES))], BUDGETS[0])
    box, barrier, here = [None, None], Barrier(2, timeout=60), local()
    real = getattr(memorising, step)

    def refuse(*arguments: Any) -> Any:
        if here.rank == failing:
            raise ValueError(message)
        return real(*arguments)

    def work(rank: int) -> str:
        here.rank = rank
        model = Classifier.begin(SmallBackbone.tiny(0), run.experiment.model.adapter, 0)
        with pytest.raises(ValueError if rank == failing else StoreError) as caught:
            memorise(model, samples(1), run, 1, masking(), ThreadGroup(rank, box, barrier), ProgressFile(None))
        return str(caught.value)

    monkeypatch.setattr(memorising, step, refuse)
    with ThreadPoolExecutor(2) as ranks:
        told = list(ranks.map(work, range(2)))
    assert told[failing] == message and told[1 - failing] == f"process {failing} failed: ValueError: {message}"
