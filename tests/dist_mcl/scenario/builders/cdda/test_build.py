from __future__ import annotations

import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from dist_mcl.errors import UserError
from dist_mcl.packages.cdda import TILE_SETS
from dist_mcl.packages.download import Package
from dist_mcl.scenario.builders import cdda, prepare
from dist_mcl.scenario.builders.cdda.classes import class_of
from dist_mcl.scenario.builders.cdda.definitions import Thing, read_things
from dist_mcl.scenario.readers.drawings import Scenes
from dist_mcl.scenario.tables import OBJECTS, read_objects
from dist_mcl.scenario.texts import class_stems, stem

from ..test_prepare import quiet
from . import made_up

PUBLISHED = {
    "furniture": 904, "undead": 678, "accessory": 511, "hand_tool": 507, "door_window_gate": 505, "vehicle_part": 489,
    "torso_wear": 413, "device": 384, "headwear": 358, "club_polearm": 340, "mammal": 326, "kitchenware": 317,
    "machinery": 299, "container": 263, "vegetable": 252, "meat_dish": 249, "bug": 247, "fruit": 245, "tree_shrub": 243,
    "wall": 227, "glove": 222, "medicine": 215, "legwear": 209, "body_suit": 201, "robot": 195, "blade": 185,
    "bakery": 177, "fungus_plant_monster": 167, "otherworld": 162, "furniture_plant": 161, "facewear": 159, "book": 151,
    "footwear": 150, "floor": 119,
}  # fmt: skip


def built(files: dict[str, bytes]) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    columns, info = cdda.build(files, quiet)
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)], info.classes


def assert_nothing_leaks(rows: list[dict[str, Any]]) -> None:
    for column in ("thing", "group", "text", "picture"):
        sides = {split: {row[column] for row in rows if row["split"] == split} for split in ("train", "test")}
        assert not sides["train"] & sides["test"], column


def test_things_are_drawn_by_all_artists_and_small_classes_have_none() -> None:
    rows, classes = built(made_up.files())
    assert set(classes) == {"book", "robot"}
    assert Counter(classes[row["label"]] for row in rows) == {"book": 126, "robot": 126}
    assert Counter(row["style"] for row in rows) == dict.fromkeys(TILE_SETS, 28)
    assert not {row["thing"] for row in rows} & {"fish_0", "gun_0", "terse"}
    robot = next(row for row in rows if row["thing"] == "robot_3")
    assert (robot["name"], robot["text"]) == ("machine 3", made_up.description(103))
    assert [row["id"] for row in rows] == list(range(252))


def test_a_picture_is_the_things_own_sprite_without_its_border() -> None:
    rows, _ = built(made_up.files())
    drawn = [row["id"] for rows in made_up.definitions().values() for row in rows if "id" in row]
    for row in rows[:40]:
        own = made_up.sprite(row["style"], drawn.index(row["thing"])).crop((1, 1, 7, 7))
        picture = Image.open(io.BytesIO(row["picture"])).convert("RGBA")
        assert picture.size == (96, 96)
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(own.resize((96, 96), Image.Resampling.NEAREST)))


def test_a_quarter_of_the_things_is_for_testing_and_nothing_of_them_is_in_training() -> None:
    rows, classes = built(made_up.files())
    assert_nothing_leaks(rows)
    for label in range(len(classes)):
        test = {row["thing"] for row in rows if row["label"] == label and row["split"] == "test"}
        assert 3 <= len(test) <= 5


def test_things_with_one_sprite_or_nearly_one_description_stay_together() -> None:
    files = made_up.files()
    books = json.loads(files["json/items/books.json"])
    words = made_up.description(0).split()
    books[1]["description"] = " ".join([*words, words[0]])  # nearly
    books[2]["description"] = made_up.description(0)
    shared = made_up.files(sprites={"book_4": 3, "book_5": 3})
    rows, _ = built({**shared, "json/items/books.json": json.dumps(books).encode()})
    groups = {row["thing"]: row["group"] for row in rows}
    assert groups["book_0"] == groups["book_1"] == groups["book_2"]
    assert groups["book_3"] == groups["book_4"] == groups["book_5"]
    assert groups["book_0"] != groups["book_3"] != groups["book_6"]
    assert_nothing_leaks(rows)


@pytest.mark.parametrize("sharers", [["book_1", "book_2", "book_3"], ["robot_1"]])
def test_placeholders_are_left_out(sharers: list[str]) -> None:
    # Of more than three things, or of two classes.
    drawn = [row["id"] for rows in made_up.definitions().values() for row in rows if "id" in row]
    rows, _ = built(made_up.files(sprites=dict.fromkeys(sharers, drawn.index("book_0"))))
    assert not {row["thing"] for row in rows} & {"book_0", *sharers}


def thing(kind: str, file: str = "json/items/x.json", **fields: Any) -> Thing:
    return Thing("x", kind, file, "x", "x", fields)


@pytest.mark.parametrize(
    ("given", "label"),
    [
        (thing("MONSTER", species=["MAMMAL", "ZOMBIE"]), "undead"),
        (thing("MONSTER", species=["HUMAN"]), None),
        (thing("COMESTIBLE", comestible_type="FOOD", material=["veggy", "wheat"]), "vegetable"),
        (thing("COMESTIBLE", comestible_type="FOOD", material="hflesh"), None),
        (thing("COMESTIBLE", comestible_type="MED", category="mutagen"), None),
        (thing("COMESTIBLE", comestible_type="MED"), "medicine"),
        (thing("ARMOR", covers=["leg_l", "leg_r", "foot_l"]), "legwear"),
        (thing("ARMOR", covers=["torso", "leg_l"]), "body_suit"),
        (thing("ARMOR", covers=["arm_l", "arm_r"]), "glove"),
        (thing("ARMOR", covers=["eyes"]), "facewear"),
        (thing("ARMOR"), "accessory"),
        (thing("WHEEL", file="json/items/wheels.json"), "vehicle_part"),
        (thing("GENERIC", file="json/items/melee/swords_and_blades.json"), "blade"),
        (thing("GENERIC", file="json/items/generic.json"), None),
        (thing("terrain", file="json/furniture_and_terrain/terrain-floors-indoor.json"), "floor"),
        (thing("furniture", file="json/furniture_and_terrain/furniture-seats.json"), "furniture"),
        (thing("GUN", file="json/items/gun/357mag.json"), None),
        (thing("BOOK", file="json/mods/more_books.json"), None),
    ],
)
def test_classes_follow_from_the_fields(given: Thing, label: str | None) -> None:
    assert class_of(given) == label


def test_what_is_not_said_is_inherited_through_several_definitions() -> None:
    rows = [
        {"type": "ARMOR", "abstract": "cloth", "material": "cotton", "covers": ["torso"]},
        {"type": "ARMOR", "abstract": "shirt", "copy-from": "cloth", "description": "of the abstract one"},
        {"type": "ARMOR", "id": "tshirt", "copy-from": "shirt", "name": {"str_sp": "shirts"}},
        {"type": "TOOL", "id": ["a", "b"], "copy-from": "tshirt"},
        {"type": "BOOK", "id": "itself", "copy-from": "itself", "description": "kept"},
    ]
    found = {one.id: one for one in read_things({"json/x.json": json.dumps(rows).encode()})}
    assert set(found) == {"tshirt", "a", "b", "itself"}
    assert (found["tshirt"].name, found["tshirt"].description) == ("shirts", "of the abstract one")
    assert found["a"].values("covers") == ["torso"] and found["a"].kind == "TOOL"
    assert found["itself"].description == "kept"


def test_a_damaged_definition_or_tile_set_is_named() -> None:
    with pytest.raises(UserError, match=r"json/items/books\.json: not JSON"):
        built({**made_up.files(), "json/items/books.json": b"[{"})
    files = made_up.files()
    del files["gfx/Cuteclysm/two.png"]
    with pytest.raises(UserError, match=r"gfx/Cuteclysm: not a whole tile set"):
        built(files)


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path / "cache"))

    def made_up_package(package: Package, folder: Path) -> Path:
        return made_up.archive(tmp_path / "package.tgz")

    monkeypatch.setattr(prepare, "download", made_up_package)
    prepare.prepare_cdda(tmp_path / "cache" / "data" / "cdda", quiet)
    return tmp_path / "cache" / "data" / "cdda"


def test_the_prepared_set_is_read_from_its_usual_place(prepared: Path) -> None:
    train, test = Scenes("cdda", "train", scene="none"), Scenes("cdda", "test", scene="none")
    assert len(train) + len(test) == 252 and train.classes == test.classes
    raw = train.raw(0)
    assert raw.picture.shape == (96, 96, 3) and len(raw.text.split()) == 8
    assert {path.name for path in prepared.iterdir()} == {OBJECTS, "ATTRIBUTION.md", "cataclysm-dda-data.txt"}
    assert "CC-BY-SA-3.0" in (prepared / "ATTRIBUTION.md").read_text()


def test_a_second_build_gives_the_same_bytes_and_an_unwritable_place_is_named(prepared: Path, tmp_path: Path) -> None:
    first = (prepared / OBJECTS).read_bytes()
    prepare.prepare_cdda(prepared, quiet)
    assert (prepared / OBJECTS).read_bytes() == first
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--output .*file: cannot write there"):
        prepare.prepare_cdda(tmp_path / "file", quiet)


def test_without_it_the_command_to_make_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"cdda/objects\.parquet: no such data file; make it with `mcl data prepare cd"):
        Scenes("cdda", "train", scene="none")


@pytest.mark.network
def test_the_real_package_gives_the_published_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path))
    prepare.prepare_cdda(tmp_path / "data" / "cdda", quiet)
    table: pa.Table
    table, info = read_objects(tmp_path / "data" / "cdda")
    rows = table.to_pylist()
    assert Counter(info.classes[row["label"]] for row in rows) == PUBLISHED
    assert Counter(row["split"] for row in rows) == {"train": 7432, "test": 2798}
    assert len({row["thing"] for row in rows}) == 2626
    assert_nothing_leaks(rows)
    banned = class_stems(info.classes)
    hard = Scenes("cdda", "test", scene="none")
    for index in range(0, len(hard), 20):
        words = hard.raw(index).text.split()
        assert len(words) <= 8 and not {stem(word) for word in words} & banned
