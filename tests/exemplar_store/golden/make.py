"""Made the golden store of format 1.0, once: ``python tests/exemplar_store/golden/make.py FOLDER``.

A golden store is never made again for the same format version: it is there to show that what was once written can
still be read.
"""

import json
import sys
from pathlib import Path

import numpy as np

from exemplar_store import Exemplar, ExemplarStore, Jpeg, Raw, StoreReader, TokenIds, Tokens, encode


def exemplar(sample_id: int, label: int, rank: int, kept: list[int], ids: list[int]) -> Exemplar:
    ramp = np.linspace(0, 255, 16 * 3, dtype=np.float64)
    picture = np.stack(
        [np.add.outer(ramp, ramp) / 2, np.add.outer(ramp, 255 - ramp) / 2, np.full((48, 48), 40.0 * sample_id)], -1
    ).astype(np.uint8)
    patches = picture.reshape(3, 16, 3, 16, 3).swapaxes(1, 2).reshape(9, 16, 16, 3)
    tokens = {
        "image": Tokens.full(patches, (3, 3)).take(np.array(kept, np.int64)),
        "text": Tokens(np.array(ids, np.int32), np.arange(0, 2 * len(ids), 2), (2 * len(ids),)),
    }
    depth = Tokens(np.array([[sample_id, 2.5]], np.float16), np.array([3]), (2, 2))
    return Exemplar(
        sample_id,
        label,
        1 + label,
        rank,
        0.25 * sample_id,
        {**tokens, "depth": depth} if rank else tokens,
        (48, 48),
        900 + sample_id,
    )


def main(folder: Path) -> None:
    codecs = {"image": Jpeg(quality=90), "text": TokenIds(dtype="<u2"), "depth": Raw(dtype="<f2", token_shape=(2,))}
    store = ExemplarStore.create(folder / "store-1.0", budget_bytes=12_000, run_id="golden")
    first = [exemplar(1, 0, 0, [0, 4, 8], [101, 65535]), exemplar(2, 0, 1, [4], [])]
    store.commit(store.plan(1, [encode(one, codecs) for one in first], {0: "heart"}))
    store.commit(store.plan(2, [encode(exemplar(3, 1, 0, [], [7]), codecs)], {1: "Stück"}))
    reader = StoreReader(store.path)
    expected = [
        {
            "sample_id": one.sample_id,
            "label": one.label,
            "stage": one.stage,
            "rank": one.rank,
            "score": one.score,
            "baseline_bytes": one.baseline_bytes,
            "tokens": {
                name: {
                    "grid": list(tokens.grid),
                    "positions": tokens.positions.tolist(),
                    "values": tokens.values.tolist(),
                }
                for name, tokens in sorted(one.tokens.items())
            },
        }
        for one in reader.read_many(range(len(reader)))
    ]
    (folder / "store-1.0.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
