"""Exemplars for the benchmark of the store: crops of real photographs with texts that people wrote."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dist_mcl.modalities.image import PATCH, patchify
from dist_mcl.modalities.text import TextTokenizer
from dist_mcl.packages.models import model_dir
from dist_mcl.scenario.tables import read_objects, read_photographs, shipped_folder
from exemplar_store import Exemplar, whole_image_bytes

SIDE = 224  # pixels; what vision transformers take
FEWEST, MOST = 20, 124  # patches kept of 196: uniform in this range, 36 % on average of what is drawn
CLASSES = 37
NOISE = 0.35  # of a saliency's own spread: real attention is not the texture alone


@dataclass(frozen=True)
class Pictured:
    """An exemplar and the whole picture (224, 224, 3) uint8 that it was cut from."""

    exemplar: Exemplar
    picture: NDArray[np.uint8]


def pictured(count: int) -> Iterator[Pictured]:
    """``count`` exemplars, the same in every run: each a crop of a photograph, its salient patches and half a text.

    Textured patches are kept more often than smooth ones, as attention does; they are harder to code than the average
    patch, so that this does not flatter the store. Crops are never enlarged.
    """
    folder = shipped_folder("emoji")
    photographs = [
        Image.open(io.BytesIO(one)).convert("RGB") for one in read_photographs(folder)["picture"].to_pylist()
    ]
    texts = read_objects(folder)[0]["text"].to_pylist()
    tokenizer = TextTokenizer(model_dir("all-minilm-l6-v2"))
    for number in range(count):
        dice = np.random.default_rng(number)
        picture = _crop(photographs[dice.integers(len(photographs))], dice)
        text = tokenizer.encode(texts[dice.integers(len(texts))])
        words = np.sort(dice.choice(len(text), (len(text) + 1) // 2, replace=False))
        tokens = {"image": patchify(picture).take(_salient(picture, dice)), "text": text.take(words)}
        whole = whole_image_bytes(picture)
        label, rank = number % CLASSES, number // CLASSES
        yield Pictured(Exemplar(number, label, 1, rank, float(dice.random()), tokens, (SIDE, SIDE), whole), picture)


def _crop(photograph: Image.Image, dice: np.random.Generator) -> NDArray[np.uint8]:
    extent = int(dice.integers(SIDE, min(photograph.size) + 1))
    left, top = (int(dice.integers(side - extent + 1)) for side in photograph.size)
    box = (left, top, left + extent, top + extent)
    return np.asarray(photograph.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=box))


def _salient(picture: NDArray[np.uint8], dice: np.random.Generator) -> NDArray[np.int64]:
    """Ascending numbers of the patches that are kept."""
    grid = SIDE // PATCH
    texture = picture.reshape(grid, PATCH, grid, PATCH, 3).std(axis=(1, 3)).mean(axis=-1).ravel()
    saliency = texture + NOISE * texture.std() * dice.standard_normal(grid * grid)
    return np.sort(np.argsort(-saliency)[: dice.integers(FEWEST, MOST)])
