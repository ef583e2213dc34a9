"""Stores that are damaged, forged or of another make: one clear line, never wrong data."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from numcodecs.zstd import compress, decompress

from exemplar_store import Damaged, ExemplarStore, NotAStore, StoreError, StoreReader, UnsupportedFormat, verify
from exemplar_store.generations import generation_path
from exemplar_store.maintenance import collect_garbage
from exemplar_store.records import SEGMENT_ATTRIBUTE, crc_text, file_checksum, seal, unseal
from exemplar_store.segment_reader import SegmentReader

Change = Callable[[dict[str, Any]], None]


def segment_of(store: ExemplarStore) -> Path:
    return store.path / "segments" / store.head.segments[0].name


def contents(path: Path) -> list[bytes]:
    reader = StoreReader(path)
    facts = np.stack([reader.labels, reader.ranks, reader.sample_ids, reader.stages, reader.baseline_bytes])
    tokens = [token for one in reader.read_many(range(len(reader))) for token in one.tokens.values()]
    return [
        facts.tobytes(),
        reader.scores.tobytes(),
        json.dumps(reader.snapshot.generation.model_dump()).encode(),
        *(part.tobytes() for token in tokens for part in (token.values, token.positions)),
    ]


def refusal(read: Callable[[], Any]) -> Any:
    """What `read` returns, or the one line that the store says instead."""
    try:
        return read()
    except StoreError as error:
        return one_line(error)


def one_line(error: Exception) -> str:
    text = str(error)
    assert "\n" not in text and len(text) < 600
    return text


def test_every_flipped_bit_is_reported_and_none_gives_wrong_data(small_store: ExemplarStore) -> None:
    truth, dice = contents(small_store.path), random.Random(0)
    files = sorted(path for path in small_store.path.rglob("*") if path.is_file())
    for flip in range(2_100):
        path = files[flip % len(files)]
        good = path.read_bytes()
        bad = bytearray(good)
        bad[dice.randrange(len(bad))] ^= 1 << dice.randrange(8)
        path.write_bytes(bad)
        assert refusal(lambda: verify(small_store.path, full=True).problems) != [], path
        got = refusal(lambda: contents(small_store.path))
        assert got == truth or (isinstance(got, str) and str(small_store.path) in got), path
        path.write_bytes(good)
    assert verify(small_store.path, full=True).problems == []


@pytest.mark.parametrize("full", [False, True])
def test_truncated_missing_and_extra_files_are_named(small_store: ExemplarStore, full: bool) -> None:
    files = sorted(path for path in segment_of(small_store).rglob("*") if path.is_file())
    assert len(files) == 10
    for path in files:
        good = path.read_bytes()
        path.write_bytes(good[:-1])
        assert any(str(path) in problem for problem in verify(small_store.path, full).problems)
        with pytest.raises(Damaged, match=path.name):
            contents(small_store.path)
        path.unlink()
        assert any(str(path) in problem for problem in verify(small_store.path, full).problems)
        with pytest.raises(Damaged, match="is missing"):
            contents(small_store.path)
        path.write_bytes(good)
    extra = segment_of(small_store) / "payload/c/1"
    extra.write_bytes(b"stranger")
    assert verify(small_store.path, full).problems == [f"{extra}: does not belong to the segment; remove it"]


def test_a_missing_head_is_no_older_head(small_store: ExemplarStore) -> None:
    """A damaged highest generation is an error even while an older one is still there."""
    head = generation_path(small_store.path, 2)
    shutil.copy(head, generation_path(small_store.path, 1))
    head.write_bytes(head.read_bytes()[:-30])
    with pytest.raises(Damaged, match=r"00000002\.json: does not end in its checksum"):
        StoreReader(small_store.path)
    head.unlink()
    with pytest.raises(Damaged, match="says it is generation 2"):
        StoreReader(small_store.path)
    generation_path(small_store.path, 1).unlink()
    assert "holds no generation" in verify(small_store.path).problems[0]


def test_what_is_no_store(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for name, message in [("none", "does not exist"), ("file", "is not a folder"), ("empty", "has no store.json")]:
        for use in (StoreReader, ExemplarStore.open, verify):
            with pytest.raises(NotAStore, match=message):
                use(tmp_path / name)


def forge(path: Path, change: Change) -> bytes:
    """Change a sealed file as somebody would who knows the format."""
    fields = unseal(path.read_bytes(), str(path))
    change(fields)
    path.write_bytes(seal(fields))
    return path.read_bytes()


def set_field(name: str, value: Any) -> Change:
    return lambda fields: fields.__setitem__(name, value)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (set_field("format", "other"), NotAStore, "format is 'other'"),
        (set_field("version", [2, 0]), UnsupportedFormat, r"format version 2\.0; this exemplar_store reads 1\.x"),
        (set_field("version", "1"), Damaged, "field version"),
        (set_field("required_features", ["rope"]), UnsupportedFormat, "needs the feature 'rope'"),
        (set_field("budget_bytes", -1), Damaged, "field budget_bytes is '-1'"),
        (set_field("budget_bytes", 10.5), Damaged, "field budget_bytes"),
        (set_field("uuid", "other"), Damaged, "was moved here from elsewhere"),
        (lambda fields: fields.pop("run_id"), Damaged, "field run_id"),
    ],
)
def test_forged_store_json(small_store: ExemplarStore, change: Change, kind: type[StoreError], message: str) -> None:
    forge(small_store.path / "store.json", change)
    with pytest.raises(kind, match=message) as caught:
        StoreReader(small_store.path)
    assert str(small_store.path) in one_line(caught.value)


def test_minor_versions_and_members_from_the_future_are_read(small_store: ExemplarStore) -> None:
    truth = contents(small_store.path)[3:]
    for path in (small_store.path / "store.json", generation_path(small_store.path, 2)):
        forge(path, lambda fields: fields.update(version=[1, 7], later="news"))
    assert contents(small_store.path)[3:] == truth


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("name", "../../../etc", "field segments.0.name"),
        ("name", "/etc/0001-000-0123456789ab.zarr", "field segments.0.name"),
        ("name", "0001-000-0123456789ab.zarr/../..", "field segments.0.name"),
        ("name", "0001-000-0123456789ab.zarr\n", "field segments.0.name"),
        ("name", "0001-000-0123456789ab.zarr", "is missing"),
        ("exemplars", 10**14, "the generation says 100000000000000"),
        ("exemplars", 10**30, "field segments.0.exemplars"),
        ("exemplars", 0, "field segments.0.exemplars"),
        ("bytes", 1, "the generation says"),
        ("crc32c", "00000000", "the generation says 00000000"),
        ("crc32c", "DEADBEEF", "field segments.0.crc32c"),
    ],
)
def test_forged_generations(small_store: ExemplarStore, field: str, value: Any, message: str) -> None:
    forge(generation_path(small_store.path, 2), lambda fields: fields["segments"][0].__setitem__(field, value))
    with pytest.raises(Damaged, match=message) as caught:
        StoreReader(small_store.path)
    one_line(caught.value)
    assert verify(small_store.path).problems


def test_a_segment_named_twice_and_a_second_copy_are_refused(small_store: ExemplarStore) -> None:
    head = generation_path(small_store.path, 2)
    forge(head, lambda fields: fields["segments"].append(fields["segments"][0]))
    with pytest.raises(Damaged, match="names a segment twice"):
        StoreReader(small_store.path)


def reforge_segment(store: ExemplarStore, path: str, data: bytes, count: int | None = None) -> None:
    """Replace a file of the segment and make the whole chain of checksums agree with it."""
    segment = segment_of(store)
    (segment / path).write_bytes(data)

    def relist(fields: dict[str, Any]) -> None:
        fields["files"][path] = [len(data), file_checksum(data)]
        fields["exemplars"] = count or fields["exemplars"]

    index = forge(segment / "segment.json", relist)
    total = sum(file.stat().st_size for file in segment.rglob("*") if file.is_file())
    forge(
        generation_path(store.path, 2),
        lambda fields: fields["segments"][0].update(
            crc32c=crc_text(index), bytes=total, exemplars=count or fields["segments"][0]["exemplars"]
        ),
    )


def change_json(store: ExemplarStore, path: str, change: Change, count: int | None = None) -> None:
    fields = json.loads((segment_of(store) / path).read_bytes())
    change(fields)
    reforge_segment(store, path, json.dumps(fields, separators=(",", ":")).encode(), count)


def attributes(change: Change) -> Change:
    return lambda fields: change(fields["attributes"][SEGMENT_ATTRIBUTE])


@pytest.mark.parametrize(
    ("path", "change", "kind", "message"),
    [
        ("zarr.json", attributes(set_field("version", [3, 1])), UnsupportedFormat, r"format version 3\.1"),
        ("zarr.json", attributes(set_field("modalities", [])), Damaged, "field modalities"),
        (
            "zarr.json",
            attributes(set_field("modalities", [{"name": "../x", "sides": 2}])),
            Damaged,
            "modalities.0.name",
        ),
        (
            "zarr.json",
            attributes(set_field("encodings", [{"codec": "flif", "params": {}}] * 2)),
            UnsupportedFormat,
            "'flif' is not known",
        ),
        ("zarr.json", attributes(lambda fields: fields["encodings"].pop()), Damaged, "encoding runs from"),
        ("zarr.json", lambda fields: fields.pop("attributes"), Damaged, "has no attribute"),
        ("table/zarr.json", set_field("shape", [14, 10**12]), Damaged, "shape is"),
        ("table/zarr.json", lambda fields: fields["attributes"].update(rows=["x"]), Damaged, "rows are"),
        ("table/zarr.json", set_field("data_type", "object"), Damaged, "data_type is"),
        ("table/zarr.json", set_field("codecs", [{"name": "gzip"}]), Damaged, "codecs is"),
        (
            "table/zarr.json",
            lambda fields: fields["codecs"][0].update(configuration={"endian": "big"}),
            Damaged,
            "bytes codec is",
        ),
        ("score/zarr.json", set_field("chunk_grid", None), Damaged, "chunk_shape is null"),
        ("payload/zarr.json", set_field("shape", [1 << 60]), Damaged, "shape is"),
        ("payload/zarr.json", set_field("codecs", [{"name": "bytes"}]), Damaged, "codecs is"),
        (
            "payload/zarr.json",
            lambda fields: fields["chunk_grid"]["configuration"].update(chunk_shape=[1 << 60]),
            Damaged,
            "do not divide|index alone needs",
        ),
    ],
)
def test_forged_segments(
    small_store: ExemplarStore, path: str, change: Change, kind: type[StoreError], message: str
) -> None:
    change_json(small_store, path, change)
    with pytest.raises(kind, match=message) as caught:
        contents(small_store.path)
    assert segment_of(small_store).name in one_line(caught.value)


def test_absurd_numbers_of_exemplars_allocate_nothing(small_store: ExemplarStore) -> None:
    change_json(small_store, "zarr.json", lambda fields: None, count=10**14)
    with pytest.raises(Damaged, match="do not hold 100000000000000 scores"):
        StoreReader(small_store.path)


def test_a_table_may_not_be_much_larger_than_what_is_on_disk(
    small_store: ExemplarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """zstd makes little of many rows of zeros."""
    monkeypatch.setattr("exemplar_store.segment_reader.MAX_TABLE", 8 * 14)  # one exemplar's
    with pytest.raises(Damaged, match=r"table/zarr\.json: claims \d+ bytes of table, allowed are 112"):
        StoreReader(small_store.path)


def test_zstd_frames_that_promise_too_much_are_refused(small_store: ExemplarStore) -> None:
    bomb = compress(bytes(1 << 28), 1)
    reforge_segment(small_store, "table/c/0/0", bomb + google_crc32c.value(bomb).to_bytes(4, "little"))
    with pytest.raises(Damaged, match="holds 268435456 bytes, "):
        StoreReader(small_store.path)


@pytest.mark.parametrize(
    ("row", "value", "message"),
    [
        ("label", -5, "label runs from -5"),
        ("image.grid.0", 1 << 24, "places, allowed are"),
        ("image.grid.0", 1 << 62, "image.grid.0 runs from"),
        ("image.bytes", 1 << 50, "image.bytes runs from"),
        ("image.bytes", 1 << 39, "shape is"),
        ("image.encoding", 99, "image.encoding runs from"),
        ("text.encoding", -1, "an exemplar without 'text' has bytes"),
        ("crc32c", 5, "its checksum does not match"),
    ],
)
def test_forged_tables(small_store: ExemplarStore, row: str, value: int, message: str) -> None:
    reader = SegmentReader(small_store.path, small_store.head.segments[0])
    names = json.loads((segment_of(small_store) / "table/zarr.json").read_bytes())["attributes"]["rows"]
    table = np.stack([reader.columns[name] for name in names])
    table[names.index(row), 0] = value
    frame = compress(table.tobytes(), 19)
    reforge_segment(small_store, "table/c/0/0", frame + google_crc32c.value(frame).to_bytes(4, "little"))
    with pytest.raises(Damaged, match=message) as caught:
        contents(small_store.path)
    one_line(caught.value)


def test_files_of_another_segment_are_noticed(small_store: ExemplarStore) -> None:
    """Chunk files end in their own CRC-32C, so that a CRC-32C over the file would be the same for all of them."""
    import google_crc32c
    from numcodecs.zstd import compress

    path = segment_of(small_store) / "positions/c/0"
    masks = bytearray(decompress(path.read_bytes()[:-4]))
    for bit in range(1, 6):
        masks[0] ^= 1 << bit
        frame = compress(bytes(masks), 19)
        if len(frame) + 4 == path.stat().st_size:
            break
    path.write_bytes(frame + google_crc32c.value(frame).to_bytes(4, "little"))
    with pytest.raises(Damaged, match=r"positions/c/0: (crc32 is|has)"):
        StoreReader(small_store.path)


def test_links_and_odd_files_are_refused(small_store: ExemplarStore, tmp_path: Path) -> None:
    segment = segment_of(small_store)
    shutil.move(segment, tmp_path / "elsewhere")
    segment.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Damaged, match="outside the store through a symbolic link"):
        StoreReader(small_store.path)
    segment.unlink()
    shutil.move(tmp_path / "elsewhere", segment)
    (segment / "score/c/0").unlink()
    os.mkfifo(segment / "score/c/0")
    with pytest.raises(Damaged, match="is not a regular file"):
        StoreReader(small_store.path)
    assert "is not a regular file" in verify(small_store.path, full=True).problems[0]


@pytest.mark.parametrize("name", ["segments", "tmp", "generations"])
def test_folders_that_lead_elsewhere_are_refused_and_nothing_is_removed_there(
    small_store: ExemplarStore, tmp_path: Path, name: str
) -> None:
    """Opening a store for writing removes leftovers; a link must not make somebody else's files leftovers."""
    folder, elsewhere = small_store.path / name, tmp_path / "elsewhere"
    folder.rename(elsewhere)
    (elsewhere / "mine").mkdir()
    (elsewhere / "mine" / "thesis.txt").write_text("years")
    folder.symlink_to(elsewhere)
    before = sorted(elsewhere.rglob("*"))
    for use in (ExemplarStore.open, collect_garbage):
        with pytest.raises(Damaged, match=f"{name}: is a symbolic link"):
            use(small_store.path)
    assert sorted(elsewhere.rglob("*")) == before
    assert any(f"{name}: is a symbolic link" in problem for problem in verify(small_store.path).problems)
