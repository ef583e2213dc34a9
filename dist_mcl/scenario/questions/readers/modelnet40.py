"""ModelNet40 as ULIP's authors resampled it.

modelnet40_shape_names.txt                        a class a line
modelnet40_train_8192pts_fps.dat modelnet40_test_8192pts_fps.dat      pickle of (points, labels): lists of float32
                                                  (8192, 6) and int32 (1,) arrays
modelnet40_train.txt modelnet40_test.txt          an id a line
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dist_mcl.errors import UserError
from dist_mcl.question_config import ModelNet40Data
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.readers import published
from dist_mcl.scenario.questions.readers.pickled_arrays import PICKLE_ERRORS, PickledArray, load_arrays
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.tokens import QuestionAnswer


def read(config: ModelNet40Data, modality: str, split: Split) -> list[QuestionItem]:
    """ModelNet40's models, each to be told from the 40 classes. Points stay in memory, 200 kB a model.

    Raises:
        UserError: its layout is another one, or a .dat file holds anything but arrays.
    """
    folder = config.folder
    names = _lines(folder / "modelnet40_shape_names.txt")
    path = folder / f"modelnet40_{split}_8192pts_fps.dat"
    points, labels = _arrays(path)
    ids = _lines(folder / f"modelnet40_{split}.txt")
    if not len(points) == len(labels) == len(ids):
        raise UserError(
            f"{path}: {len(points)} models, {len(labels)} labels and {len(ids)} ids in modelnet40_{split}.txt; "
            "get the files again"
        )
    classes = tuple(name.replace("_", " ") for name in names)
    candidates = tuple(f"a 3d model of a {name}." for name in classes)
    items = []
    for name, cloud, number in zip(ids, points, labels, strict=True):
        if not 0 <= number < len(candidates):
            raise UserError(f"{path}: {name}: label {number} is none of {len(candidates)} classes; get the files again")
        asked = QuestionAnswer(
            "describe the 3d model.",
            (candidates[number],),
            candidates,
            task="classification",
            generation=published.MODELNET40_CLASSES,
            names=classes,
        )
        items.append(QuestionItem(asked, f"{path}: {name}", _Coded(cloud)))
    return items


class _Coded:
    """Opens a cloud in memory as the .npy file that the tokenizer reads."""

    def __init__(self, points: NDArray[Any]) -> None:
        self._points = points

    def __call__(self) -> BinaryIO:
        file = io.BytesIO()
        np.save(file, self._points, allow_pickle=False)
        file.seek(0)
        return file


def _arrays(path: Path) -> tuple[list[NDArray[Any]], list[int]]:
    """Points, each float (N, 3 or more), and numbers of classes."""
    try:
        with path.open("rb") as file:
            points, labels = load_arrays(file)
        return [_cloud(one) for one in points], [_number(one) for one in labels]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; docs/data.md shows the layout") from error
    except PICKLE_ERRORS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a file of points and labels ({reason}); get it again") from error


def _cloud(found: Any) -> NDArray[Any]:
    points = found.numbers if isinstance(found, PickledArray) else None
    if points is None or points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind != "f":
        what = type(found).__name__ if points is None else f"{points.dtype} {points.shape}"
        raise ValueError(f"a cloud is {what}, not floats (N, 3)")
    return points


def _number(label: Any) -> int:
    """Of one class: an int32 (1,) array, or a number by itself."""
    (number,) = label.numbers.flat if isinstance(label, PickledArray) else (label,)
    if not isinstance(number, int | np.integer):
        raise ValueError(f"a label is {number!r}, no number of a class")
    return int(number)


def _lines(path: Path) -> list[str]:
    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); docs/data.md shows the layout") from error
