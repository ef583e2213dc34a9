import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from dist_mcl.data_config import EmojiData
from dist_mcl.errors import UserError
from dist_mcl.modalities.image import SquarePatches, patch_coverage, unpatchify
from dist_mcl.modalities.text import TextTokenizer
from dist_mcl.modalities.tokenizers import Tokenizers
from dist_mcl.scenario.readers.drawings import Scenes, read_emoji
from dist_mcl.scenario.tables import OBJECTS, PHOTOGRAPHS, read_objects, read_photographs, shipped_folder
from dist_mcl.scenario.texts import class_stems, stem
from dist_mcl.tokens import Tokens

CLASSES = {
    "animal-mammal": 402, "person-role": 397, "transport-ground": 341, "sky-weather": 329, "clothing": 280,
    "alphanum": 263, "person-activity": 262, "person-sport": 242, "time": 216, "geometric": 202, "food-prepared": 189,
    "family": 186, "place-building": 184, "face-concerned": 172, "av-symbol": 166, "office": 166, "sport": 163,
    "person-gesture": 163, "tool": 151, "heart": 149, "arrow": 147, "event": 145, "person": 141, "other-symbol": 140,
    "person-fantasy": 139, "food-fruit": 136, "game": 135, "household": 126, "book-paper": 126, "animal-bird": 124,
    "place-other": 121, "drink": 115, "light-video": 112, "food-asian": 111, "plant-other": 109, "animal-marine": 108,
    "emotion": 104,
}  # fmt: skip


@pytest.fixture(scope="module")
def train() -> Scenes:
    return Scenes("emoji", "train")


@pytest.fixture(scope="module")
def test() -> Scenes:
    return Scenes("emoji", "test")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The shipped set, to be damaged."""
    for name in (OBJECTS, PHOTOGRAPHS):
        shutil.copy(shipped_folder("emoji") / name, tmp_path / name)
    return tmp_path


def rewrite(path: Path, column: str, values: list[object]) -> None:
    table = pq.read_table(path)
    position = table.schema.get_field_index(column)
    field = table.schema.field(position)
    pq.write_table(table.set_column(position, field, pa.array(values, field.type)), path)


def test_counts_are_the_published_ones(train: Scenes, test: Scenes) -> None:
    assert (len(train), len(test)) == (4913, 1849)
    counted = Counter(train.classes[label] for label in [*train.labels.tolist(), *test.labels.tolist()])
    assert counted == CLASSES
    assert set(train.labels.tolist()) == set(test.labels.tolist()) == set(range(37))


def test_nothing_leaks_from_train_to_test(train: Scenes, test: Scenes) -> None:
    table, _ = read_objects(shipped_folder("emoji"))
    for column in ("thing", "group", "text", "picture"):
        sides: dict[str, set[object]] = {"train": set(), "test": set()}
        for value, split in zip(table[column].to_pylist(), table["split"].to_pylist(), strict=True):
            sides[split].add(value)
        assert not sides["train"] & sides["test"], column
    assert not set(train.ids.tolist()) & set(test.ids.tolist())


def test_photographs_are_disjoint_and_test_ones_avoid_the_pretraining_packages() -> None:
    table = read_photographs(shipped_folder("emoji"))
    rows = table.to_pylist()
    train = {row["picture"] for row in rows if row["split"] == "train"}
    test = {row["picture"] for row in rows if row["split"] == "test"}
    assert len(train) == 31 and len(test) == 15 and not train & test
    used = {row["package"] for row in rows if row["split"] == "test"}
    assert not used & {"mate-backgrounds", "gnome-backgrounds", "ukui-wallpapers"}
    attribution = (shipped_folder("emoji") / "ATTRIBUTION.md").read_text(encoding="utf-8")
    assert all(f"| {row['file']} | {row['author']} | {row['licence']} |" in attribution for row in rows)


def test_a_sample_is_the_same_in_any_order_and_any_reader(test: Scenes) -> None:
    indices = [3, 900, 1848, 900]
    first = [test.raw(index) for index in indices]
    few = Scenes("emoji", "test", classes=[first[1].label])
    again = few.raw(few.ids.tolist().index(first[1].id))
    for other in (first[3], again):
        np.testing.assert_array_equal(first[1].picture, other.picture)
        np.testing.assert_array_equal(first[1].mask, other.mask)
        assert (first[1].text, first[1].id, first[1].label) == (other.text, other.id, other.label)


def test_another_seed_gives_other_scenes_and_words() -> None:
    one, two = (Scenes("emoji", "test", seed=seed) for seed in (0, 1))
    pairs = [(one.raw(index), two.raw(index)) for index in range(0, 400, 20)]
    assert all((a.picture != b.picture).any() for a, b in pairs)
    assert any(a.text != b.text for a, b in pairs)
    assert all((a.id, a.label, a.name) == (b.id, b.label, b.name) for a, b in pairs)


def test_scenes_may_have_a_seed_of_their_own() -> None:
    fixed, other, by_run = (
        read_emoji(EmojiData(scene_seed=scene_seed), seed)["test"] for scene_seed, seed in ((5, 0), (5, 1), (None, 5))
    )
    for index in (0, 300):
        for split in (other, by_run):
            np.testing.assert_array_equal(fixed.raw(index).picture, split.raw(index).picture)
            assert fixed.text(index) == split.text(index)


def test_hard_texts_are_three_words_that_name_no_class(test: Scenes) -> None:
    banned = class_stems(test.classes)
    for index in range(0, len(test), 10):
        words = test.raw(index).text.split()
        assert len(words) <= 3 and not {stem(word) for word in words} & banned


def test_plain_pictures_and_full_texts() -> None:
    plain = Scenes("emoji", "test", scene="none", text="full")
    raw = plain.raw(0)
    assert raw.picture[~raw.mask].mean() > 240
    assert "," in raw.text


def test_objects_cover_about_ten_patches_on_photographs(train: Scenes) -> None:
    covered = [(patch_coverage(train.raw(index).mask) > 0.15).sum() for index in range(0, len(train), 25)]
    assert 9 < np.mean(covered) < 10.5


def test_sample_holds_the_picture_and_the_text_as_tokens(test: Scenes, tmp_path: Path) -> None:
    raw = test.raw(7)
    words = {word: number for number, word in enumerate(["[UNK]", *raw.text.split()])}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    sample = test.sample(7, Tokenizers(SquarePatches(96), TextTokenizer(tmp_path)), stage=2)
    assert (sample.target, sample.id, sample.stage) == (raw.label, raw.id, 2)
    np.testing.assert_array_equal(unpatchify(sample.tokens["image"]), raw.picture)
    assert sample.tokens["text"].values.tolist() == [words[word] for word in raw.text.split()]


def test_classes_can_be_chosen_and_keep_their_numbers() -> None:
    some = Scenes("emoji", "train", scene="none", classes=[5, 2])
    assert set(some.labels.tolist()) == {2, 5} and len(some.classes) == 37
    with pytest.raises(UserError, match=r"\[37\] are not class ids; choose from 0 to 36"):
        Scenes("emoji", "train", classes=[5, 37])


@pytest.mark.parametrize("damage", ["cut", "other bytes", "another size"])
def test_an_unreadable_picture_is_named_by_file_and_row(copy: Path, damage: str) -> None:
    pictures = pq.read_table(copy / OBJECTS)["picture"].to_pylist()
    splits = pq.read_table(copy / OBJECTS)["split"].to_pylist()
    row = [index for index, split in enumerate(splits) if split == "test"][4]
    photograph = pq.read_table(copy / PHOTOGRAPHS)["picture"][0].as_py()
    pictures[row] = {"cut": pictures[row][:200], "other bytes": b"no picture", "another size": photograph}[damage]
    rewrite(copy / OBJECTS, "picture", pictures)
    damaged = Scenes("emoji", "test", folder=copy)
    damaged.raw(3)
    with pytest.raises(UserError, match=rf"objects\.parquet: row {row}: .*mcl data prepare"):
        damaged.raw(4)


def test_an_unreadable_photograph_is_named(copy: Path) -> None:
    pictures = pq.read_table(copy / PHOTOGRAPHS)["picture"].to_pylist()
    pictures[0] = b"no picture"
    rewrite(copy / PHOTOGRAPHS, "picture", pictures)
    with pytest.raises(UserError, match=r"photographs\.parquet: row 0: .*mcl data prepare"):
        Scenes("emoji", "train", folder=copy)
    Scenes("emoji", "train", scene="none", folder=copy)


def test_missing_damaged_and_foreign_files_say_what_to_do(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such data file; make it with `mcl data prepare"):
        Scenes("emoji", "train", folder=tmp_path / "nowhere")
    (copy / PHOTOGRAPHS).write_bytes(b"PAR1 but not really")
    with pytest.raises(UserError, match=r"photographs\.parquet: not a readable Parquet file"):
        Scenes("emoji", "train", folder=copy)
    pq.write_table(pq.read_table(copy / OBJECTS).drop_columns(["label"]), copy / OBJECTS)
    with pytest.raises(UserError, match=r"objects\.parquet: another format.*label"):
        Scenes("emoji", "train", folder=copy)


def test_a_label_that_is_no_class_is_refused_and_not_left_out(copy: Path) -> None:
    labels = pq.read_table(copy / OBJECTS)["label"].to_pylist()
    labels[3] = 99
    rewrite(copy / OBJECTS, "label", labels)
    with pytest.raises(UserError, match=r"objects\.parquet: row 3: label 99 is none of the 37 classes"):
        Scenes("emoji", "train", folder=copy)


def test_texts_alone_compose_no_scene(monkeypatch: pytest.MonkeyPatch) -> None:
    both, alone = (Scenes("emoji", "test", modalities=wanted) for wanted in (["image", "text"], ["text"]))
    assert [alone.text(index) for index in range(9)] == [both.raw(index).text for index in range(9)]
    monkeypatch.setattr(Scenes, "_scene", lambda *_: pytest.fail("a scene was composed"))
    monkeypatch.setattr(Scenes, "_drawing", lambda *_: pytest.fail("a drawing was decoded"))
    alone.check()

    class Letters:
        def encode(self, text: str) -> Tokens:
            return Tokens.full(np.array([ord(letter) for letter in text], np.int32), (len(text),))

    sample = alone.sample(3, Tokenizers(None, Letters()), 1)  # type: ignore[arg-type]
    assert set(sample.tokens) == {"text"} and (sample.target, sample.id) == (alone.labels[3], alone.ids[3])
