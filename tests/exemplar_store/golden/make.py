"""Made the golden store of format 1.1, once: ``python tests/exemplar_store/golden/make.py FOLDER``.

A golden store is never made again for the same format version: it is there to show that what was once written can
still be read. It holds every codec, every form of modality, and every kind of target.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from exemplar_store import (
    Avif,
    Bfloat16,
    Codec,
    Exemplar,
    ExemplarStore,
    Int8,
    Jpeg,
    Jxl,
    Predicted,
    Raw,
    Shuffled,
    StoreReader,
    Target,
    TokenIds,
    Tokens,
    Webp,
    WebpLossless,
    encode,
)

PATCH = 8
RAMP = np.linspace(0, 255, 3 * PATCH)
FEATURES = (np.arange(12).reshape(3, 4) - 5.5).astype(np.float32) * np.array([1, 10, 100, 0.5], np.float32)


def patches(seed: int) -> NDArray[np.uint8]:
    """A picture of colour ramps on a 3 x 3 grid."""
    planes = [np.add.outer(RAMP, RAMP) / 2, np.add.outer(RAMP, 255 - RAMP) / 2, np.full((24, 24), 20.0 * seed)]
    picture = np.stack(planes, -1).astype(np.uint8)
    return picture.reshape(3, PATCH, 3, PATCH, 3).swapaxes(1, 2).reshape(9, PATCH, PATCH, 3)


def kept(values: NDArray[np.generic], grid: tuple[int, ...], places: list[int]) -> Tokens:
    return Tokens.full(values, grid).take(np.array(places, np.int64))


PICTURE_CODECS: list[Codec] = [
    Jpeg(patch=PATCH),
    Webp(patch=PATCH),
    WebpLossless(patch=PATCH),
    Avif(patch=PATCH),
    Jxl(patch=PATCH, distance=0),
    Predicted(token_shape=(PATCH, PATCH, 3)),
    Raw(dtype="|u1", token_shape=(PATCH, PATCH, 3)),
    Jpeg(patch=PATCH, quality=75),  # of a picture of which no patch was kept
]
TARGETS = [
    Target(further_labels=(4, 11)),
    Target(question="Welches Stück?", answer="これ"),
    Target(),
    Target(answer="yes"),
]

SENSES: dict[str, tuple[Tokens, Codec]] = {
    "depth": (
        kept((np.arange(9 * 16) * 7_001 % 65_536).astype(np.uint16).reshape(9, 4, 4), (3, 3), [0, 5]),
        Predicted(dtype="<u2", token_shape=(4, 4)),
    ),
    "features_f2": (
        kept(FEATURES.astype(np.float16), (3,), [0, 2]),
        Shuffled(dtype="<f2", token_shape=(4,)),
    ),
    "features_bf16": (kept(FEATURES, (3,), [0, 1, 2]), Bfloat16(token_shape=(4,))),
    "features_i1": (kept(FEATURES, (3,), [1]), Int8.calibrated(FEATURES)),
    "points": (
        kept(np.linspace(-1, 1, 4 * 3 * 3).astype(np.float16).reshape(4, 3, 3), (4,), [1, 3]),
        Shuffled(dtype="<f2", token_shape=(3, 3)),
    ),
    "sound": (
        kept(np.linspace(-9, 2, 6 * 20).astype(np.float32).reshape(6, 4, 5), (2, 3), [0, 3, 4]),
        Shuffled(dtype="<f4", token_shape=(4, 5)),
    ),
    "video": (
        kept(np.concatenate([patches(3), patches(9)]).reshape(9, 2, PATCH, PATCH, 3), (1, 3, 3), [2, 6, 7]),
        Jpeg(patch=PATCH, frames=2),
    ),
    "text": (kept(np.array([5, 70_000, 9], np.int32), (3,), [1]), TokenIds(dtype="<u4")),
}


def pictures() -> list[tuple[Exemplar, dict[str, Codec]]]:
    """A picture with a caption for every codec of pictures."""
    made = []
    for number, codec in enumerate(PICTURE_CODECS):
        tokens = {
            "image": kept(patches(number), (3, 3), [number % 3, 4, 8] if number < 7 else []),
            "text": kept(np.arange(6, dtype=np.int32) + 65_530, (6,), [0, 2, 3]),
        }
        target = TARGETS[number % len(TARGETS)]
        one = Exemplar(10 + number, number % 2, 1, number, 0.25 * number, tokens, (24, 24), 900 + number, target)
        made.append((one, {"image": codec, "text": TokenIds(dtype="<u2")}))
    return made


def main(folder: Path) -> None:
    store = ExemplarStore.create(folder / "store-1.1", budget_bytes=16_000, run_id="golden")
    names = {0: "heart", 1: "Stück", 4: "cup"}
    store.commit(store.plan(1, [encode(one, codecs) for one, codecs in pictures()], names))
    senses = Exemplar(30, 2, 2, 0, -0.5, {name: tokens for name, (tokens, _) in SENSES.items()})
    codecs = {name: codec for name, (_, codec) in SENSES.items()}
    store.commit(store.plan(2, [encode(senses, codecs)], {2: "all senses"}))
    reader = StoreReader(store.path)
    expected = [facts(one) for one in reader.read_many(range(len(reader)))]
    (folder / "store-1.1.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


def facts(one: Exemplar) -> dict[str, object]:
    numbers = ("sample_id", "label", "stage", "rank", "score", "baseline_bytes")
    return {
        **{name: getattr(one, name) for name in numbers},
        **vars(one.target),
        "tokens": {
            name: {
                "dtype": tokens.values.dtype.str,
                "grid": list(tokens.grid),
                "positions": tokens.positions.tolist(),
                "values": tokens.values.tolist(),
            }
            for name, tokens in sorted(one.tokens.items())
        },
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]))
