"""Depth maps: CC3M's captions and LLaVA's conversations about estimated ones, and the scenes of SUN RGB-D and NYU-v2.

As PathWeave's code has them; of the pictures that belong to the maps nothing is read.

    fusion_train_55w_clear.json       [{"source": "cc3m", "image_id": "x.jpg", "caption": ...}, {"source": "llava",
                                      "image": "y.jpg", "conversations": [{"from": "human", "value": ...}, ...]}, ...]
    CC3M_val_1_5k.json llava_val_1_5k.json    {"annotations": [{"image_id", "caption", "id", and "question" of LLaVA}]}
    CC3M_Depth/train/x.png  CC3M_Depth/val/...  LLaVA_Depth/train/y.png  LLaVA_Depth/val/...

    SUN*.json or NYU*.json            [{"image_path": "kv2/.../a.jpg", "label": "bedroom"}]
    kv2/.../a.png
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dist_mcl.errors import UserError
from dist_mcl.question_config import FusionDepthData, SceneDepthData
from dist_mcl.scenario.dataset import Split
from dist_mcl.scenario.questions.readers import published
from dist_mcl.scenario.questions.readers.rows import Row, json_rows, media_item, text_of
from dist_mcl.scenario.questions.splits import QuestionItem
from dist_mcl.scenario.readers.files import inside, read_json
from dist_mcl.tokens import QuestionAnswer

CAPTION = "Describe the depth briefly."
SCENES = "describe the depth."
_TRAIN = "fusion_train_55w_clear.json"
_SUN = (
    *("furniture_store", "bedroom", "classroom", "living_room", "office", "study_space", "corridor", "bathroom"),
    *("conference_room", "dining_room", "home_office", "kitchen", "discussion_area", "dining_area", "rest_space"),
    *("library", "computer_room", "lab", "lecture_theatre"),
)
_NYU = (
    *("kitchen", "office", "bathroom", "bedroom", "bookstore", "living_room", "classroom", "home_office"),
    *("dining_room", "others"),
)
# NYU's rare scenes, which make one class.
_NYU_OTHERS = frozenset(
    {"computer_room", "study", "playroom", "office_kitchen", "reception_room", "lobby", "study_space"}
)


def read_fusion(config: FusionDepthData, modality: str, split: Split) -> list[QuestionItem]:
    """Captions (task caption) and the turns of conversations (task conversation).

    Every turn is a question of its own, where PathWeave's code draws one of them each time.

    Raises:
        UserError: its layout is another one.
    """
    folder = config.folder
    items: list[QuestionItem] = []
    if split == "train":
        for place, row in json_rows(folder / _TRAIN, "source"):
            items += _turns(folder, place, row) if row["source"] == "llava" else _caption(folder, place, row, "train")
    else:
        files = sorted([*folder.glob("CC3M_*.json"), *folder.glob("llava_*.json")])
        if not files:
            raise UserError(f"{folder}: has no file CC3M_*.json or llava_*.json; docs/data.md shows the layout")
        for path in files:
            items += _validation(folder, path)
    return items


def read_scenes(config: SceneDepthData, modality: str, split: Split) -> list[QuestionItem]:
    """Scenes to be told from all classes of the set; none for training.

    Raises:
        UserError: its layout is another one, or a class is unknown.
    """
    if split == "train":
        return []
    prefix, classes = ("SUN", _SUN) if config.dataset == "sun_rgbd" else ("NYU", _NYU)
    files = sorted(config.folder.glob(f"{prefix}*.json"))
    if len(files) != 1:
        raise UserError(
            f"{config.folder}: has {len(files)} files {prefix}*.json, not one; docs/data.md shows the layout"
        )
    return [_scene(config, classes, place, row) for place, row in json_rows(files[0], "image_path", "label")]


def _caption(folder: Path, place: str, row: Row, split: str) -> Iterator[QuestionItem]:
    if row.get("source", "cc3m") != "cc3m":
        raise UserError(f"{place}: source {row['source']!r} is neither cc3m nor llava; mend the row")
    answers = (text_of(_having(row, "caption", place), "caption", place),)
    asked = QuestionAnswer(CAPTION, answers, task="caption", generation=published.DEPTH)
    yield media_item(asked, _map(folder / "CC3M_Depth" / split, row.get("image_id"), place))


def _turns(folder: Path, place: str, row: Row) -> Iterator[QuestionItem]:
    said = row.get("conversations")
    if not isinstance(said, list) or [_is_question(turn) for turn in said] != [True, False] * (len(said) // 2):
        raise UserError(f"{place}: has no conversations of a question and an answer each; mend the row")
    path = _map(folder / "LLaVA_Depth" / "train", row.get("image"), place)
    for question, answer in zip(said[::2], said[1::2], strict=True):
        texts = [_plain(text_of(_having(turn, "value", place), "value", place)) for turn in (question, answer)]
        yield media_item(QuestionAnswer(texts[0], (texts[1],), task="conversation", generation=published.DEPTH), path)


def _is_question(turn: object) -> bool | None:
    return turn.get("from") == "human" if isinstance(turn, dict) else None


def _validation(folder: Path, path: Path) -> Iterator[QuestionItem]:
    rows = read_json(path, dict).get("annotations")
    if not isinstance(rows, list):
        raise UserError(f"{path}: has no list of annotations; docs/data.md shows the layout")
    for number, row in enumerate(rows):
        place = f"{path}: row {number}"
        _having(row, "image_id", place)
        if path.name.startswith("CC3M"):
            yield from _caption(folder, place, row, "val")
        else:
            answer = text_of(_having(row, "caption", place), "caption", place)
            question = _plain(text_of(_having(row, "question", place), "question", place))
            asked = QuestionAnswer(question, (answer,), task="conversation", generation=published.DEPTH)
            yield media_item(asked, _map(folder / "LLaVA_Depth" / "val", row.get("image_id"), place))


def _scene(config: SceneDepthData, classes: Sequence[str], place: str, row: Row) -> QuestionItem:
    label = text_of(row, "label", place)
    if config.dataset == "nyu_v2" and label in _NYU_OTHERS:
        label = "others"
    if label not in classes:
        raise UserError(f"{place}: label {label!r} is no class of {config.dataset}; choose from {', '.join(classes)}")
    asked = QuestionAnswer(SCENES, (_words(label),), tuple(map(_words, classes)), task="classification")
    return media_item(asked, _map(config.folder, row["image_path"], place))


def _map(folder: Path, picture: object, place: str) -> Path:
    """The depth map that belongs to a picture."""
    return inside(folder, picture, place).with_suffix(".png")


def _plain(text: str) -> str:
    return text.replace("<image>", "").replace("\n", " ").strip()


def _words(label: str) -> str:
    return label.replace("_", " ")


def _having(row: Any, field: str, place: str) -> Row:
    if not isinstance(row, dict) or field not in row:
        raise UserError(f"{place}: has no {field!r} in {json.dumps(row)[:80]}; docs/data.md shows the layout")
    return row
