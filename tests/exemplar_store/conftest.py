"""Small real exemplars and stores that the tests of the store share."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from itertools import chain
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from exemplar_store import (
    Codec,
    Communicator,
    EncodedExemplar,
    Exemplar,
    ExemplarStore,
    GroupBroken,
    Jpeg,
    Raw,
    TokenIds,
    Tokens,
    encode,
)

T = TypeVar("T")

CODECS = {"image": Jpeg(quality=90), "text": TokenIds.for_vocabulary(30_522)}
EXACT_CODECS = {"image": Raw(dtype="|u1", token_shape=(16, 16, 3)), "text": TokenIds.for_vocabulary(1 << 20)}


def _exemplar(
    sample_id: int,
    label: int = 0,
    rank: int = 0,
    stage: int = 1,
    kept: int = 10,
    words: int = 3,
    with_image: bool = True,
) -> Exemplar:
    """A sample with smooth coloured patches, `kept` of 36, and `words` of 5 token ids; the seed is its id."""
    rng = np.random.default_rng(sample_id)
    ramp = np.linspace(0, 255, 96)
    picture = np.stack([np.add.outer(ramp, rng.uniform(0.2, 1) * ramp) / 2 + 30 * rng.random() for _ in range(3)], -1)
    picture = np.clip(picture + rng.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)
    patches = picture.reshape(6, 16, 6, 16, 3).swapaxes(1, 2).reshape(36, 16, 16, 3)
    chosen = np.sort(rng.choice(36, kept, replace=False))
    ids = rng.integers(0, 30_522, 5, dtype=np.int32)
    tokens = {"text": Tokens.full(ids, (5,)).take(np.sort(rng.choice(5, words, replace=False)))}
    if with_image:
        tokens["image"] = Tokens.full(patches, (6, 6)).take(chosen)
    return Exemplar(sample_id, label, stage, rank, float(rng.random()), tokens, (96, 96), 3_000 + sample_id)


@pytest.fixture(scope="session")
def make_exemplar() -> Callable[..., Exemplar]:
    return _exemplar


@pytest.fixture(scope="session")
def codecs() -> dict[str, Codec]:
    """What a run uses: JPEG patches and short token ids."""
    return dict(CODECS)


@pytest.fixture(scope="session")
def exact_codecs() -> dict[str, Codec]:
    """Lossless codecs, for tests that compare values."""
    return dict(EXACT_CODECS)


@pytest.fixture(scope="session")
def encode_class() -> Callable[..., list[EncodedExemplar]]:
    """Encoded exemplars of whole classes: `count` per label, ranked 0, 1, ..."""

    def encode_all(
        labels: Sequence[int], count: int, stage: int = 1, exact: bool = False, kept: int = 10
    ) -> list[EncodedExemplar]:
        codecs = EXACT_CODECS if exact else CODECS
        return [
            encode(_exemplar(1000 * label + rank, label, rank, stage, kept), codecs)
            for label in labels
            for rank in range(count)
        ]

    return encode_all


@pytest.fixture
def small_store(tmp_path: Path, encode_class: Callable[..., list[EncodedExemplar]]) -> ExemplarStore:
    """A store at generation 2: classes 0 and 1 from stage 1, class 2 from stage 2, ranks cut by the budget."""
    store = ExemplarStore.create(tmp_path / "store", budget_bytes=14_000, run_id="run-a")
    store.commit(store.plan(1, encode_class([0, 1], 3), {0: "heart", 1: "tool"}))
    store.commit(store.plan(2, encode_class([2], 3, stage=2), {2: "drink"}))
    return store


@pytest.fixture(scope="session")
def bytes_on_disk() -> Callable[[Path], int]:
    return lambda path: sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


class PipeCommunicator:
    """Forked processes around the first one; a dead process is an EOFError or a ConnectionError for the others."""

    def __init__(self, rank: int, world_size: int, pipes: Sequence[Connection]) -> None:
        self.rank, self.world_size, self._pipes = rank, world_size, pipes

    def gather(self, value: T) -> list[T]:
        if self.rank:
            self._pipes[0].send(value)
            return self._pipes[0].recv()
        values = [value, *(pipe.recv() for pipe in self._pipes)]
        for pipe in self._pipes:
            pipe.send(values)
        return values


def _fork_writers(world_size: int, work: Callable[[Communicator], object]) -> list[int]:
    pipes = [Pipe() for _ in range(1, world_size)]
    children = []
    for rank in range(world_size):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                mine = [pipes[rank - 1][1]] if rank else [near for near, _ in pipes]
                for pipe in chain.from_iterable(pipes):
                    if pipe not in mine:
                        pipe.close()
                work(PipeCommunicator(rank, world_size, mine))
                code = 0
            except GroupBroken:
                code = 3
            except BaseException:  # noqa: BLE001  (nothing may return from the fork)
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    for pipe in chain.from_iterable(pipes):
        pipe.close()
    return children


@pytest.fixture(scope="session")
def fork_writers() -> Callable[[int, Callable[[Communicator], object]], list[int]]:
    """Starts so many processes that do ``work(communicator)``, and returns their ids.

    They exit with 0; 1 after an error, which they print; 3 because another one died.
    """
    return _fork_writers


@pytest.fixture(scope="session")
def run_writers() -> Callable[[int, Callable[[Communicator], object]], list[int]]:
    """As `fork_writers`, but waits, and returns their exit codes."""

    def run(world_size: int, work: Callable[[Communicator], object]) -> list[int]:
        children = _fork_writers(world_size, work)
        return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]

    return run


@pytest.fixture
def tokenizer_file(tmp_path: Path) -> Path:
    """A tokenizer.json of four words: [UNK], a, red, square."""
    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "a": 1, "red": 2, "square": 3}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    (tmp_path / "tokenizer").mkdir()
    tokenizer.save(str(tmp_path / "tokenizer" / "tokenizer.json"))
    return tmp_path / "tokenizer" / "tokenizer.json"
