"""ModelNet40 as ULIP's authors resampled it.

modelnet40_shape_names.txt                        a class a line
modelnet40_train_8192pts_fps.dat modelnet40_test_8192pts_fps.dat      pickle of (points, labels): lists of float32
                                                  (8192, 6) and int32 (1,) arrays
modelnet40_train.txt modelnet40_test.txt          an id a line
"""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dist_mcl.errors import UserError
from dist_mcl.question_config import ModelNet40Data
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.readers import published
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.tokens import QuestionAnswer

# What a pickle of numpy arrays needs, under numpy's old and new names. Nothing else is ever looked up.
_ALLOWED = frozenset(
    {
        *(("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode")),
        *(
            (f"numpy.{core}.{module}", name)
            for core in ("core", "_core")
            for module, name in (("multiarray", "_reconstruct"), ("numeric", "_frombuffer"))
        ),
    }
)


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
    for name, cloud, label in zip(ids, points, labels, strict=True):
        number = int(np.asarray(label).reshape(-1)[0])
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


class _ArraysOnly(pickle.Unpickler):
    """A pickle can run any code; this one makes numpy arrays and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return super().find_class(module, name)


def _arrays(path: Path) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    try:
        with path.open("rb") as file:
            points, labels = _ArraysOnly(file, encoding="latin1").load()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}; docs/data.md shows the layout") from error
    except (pickle.UnpicklingError, EOFError, AttributeError, IndexError, ImportError, TypeError, ValueError) as error:
        raise UserError(f"{path}: not a file of points and labels ({error}); get it again") from error
    if not all(isinstance(cloud, np.ndarray) and cloud.dtype.kind == "f" for cloud in points):
        raise UserError(f"{path}: not a file of points and labels; get it again")
    return list(points), list(labels)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); docs/data.md shows the layout") from error
