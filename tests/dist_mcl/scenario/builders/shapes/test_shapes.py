import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest

from dist_mcl.errors import UserError
from dist_mcl.modalities.media import open_media_tokenizer
from dist_mcl.modality_config import TOKENS, VideoTokens
from dist_mcl.packages.download import Package
from dist_mcl.packages.shapes import CATALOGUES, PACKAGES
from dist_mcl.scenario.builders import prepare, shapes
from dist_mcl.scenario.builders.progress import Item
from dist_mcl.scenario.builders.shapes.camera import DISTANCE, SIDE, UNITS, View, film, shoot
from dist_mcl.scenario.builders.shapes.catalogue import read_entries
from dist_mcl.scenario.builders.shapes.classes import CLASSES, class_of
from dist_mcl.scenario.builders.shapes.media import nearer_half
from dist_mcl.scenario.builders.shapes.surface import POINTS, NoSurfaceError, Surface, read_surface

from .made_up import box, entry, paint, striped_box, write_packages

UPRIGHT = (1.0, 0, 0, 0, 1, 0, 0, 0, 1)


def quiet(sequence: Sequence[Item], description: str) -> Iterable[Item]:
    return sequence


def surface_of(files: dict[str, bytes], rotation: tuple[float, ...] = UPRIGHT) -> Surface:
    return read_surface("m/box.obj", files, rotation, np.random.default_rng(0))


def box_files(**size: float) -> dict[str, bytes]:
    return {"m/box.obj": box(**size).encode(), "m/box.mtl": paint(1, 0, 0).encode(), "m/other.txt": b"", "z": b""}


def test_a_catalogue_is_read() -> None:
    properties = (
        "# comment\nid=x\n"
        + entry(2, "Caf\\u00e9 table\\: low", (80, 60, 45), creator="A. B.", modelRotation="0 0 1 0 1 0 -1 0 0")
        + "name#3=no model\n"
        + entry(1, "Long \\\n  name")
    )
    first, second = read_entries("Some", properties.encode("latin-1"))
    assert first.name == "Long name" and first.path == "models/1/box.obj" and first.rotation == UPRIGHT
    assert (second.name, second.size, second.creator) == ("Café table: low", (80, 60, 45), "A. B.")
    assert second.rotation == (0, 0, 1, 0, 1, 0, -1, 0, 0)


def test_a_size_that_is_no_number_is_refused() -> None:
    with pytest.raises(UserError, match="Some: model 1: could not convert"):
        list(read_entries("Some", entry(1, "Chair", ("wide", 1, 1)).encode()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "category", "label"),
    [
        ("Office chair", "Living room", "seat"),
        ("Table lamp", "Lights", "lamp"),
        ("Man", "Characters", "person_animal"),
        ("Thing", "Vehicles", "vehicle"),
        ("Glass table", "Living room", "table_desk"),
        ("Round window", "Doors", "door_window"),
        ("Widget", "Miscellaneous", None),
    ],
)
def test_the_first_rule_that_matches_decides(name: str, category: str, label: str | None) -> None:
    assert class_of(name, category) == label and len(CLASSES) == 18


def test_points_lie_evenly_on_the_surface() -> None:
    surface = surface_of(box_files(width=2, height=2, depth=2))
    assert surface.points.shape == surface.normals.shape == surface.colours.shape == (POINTS, 3)
    side = 1 / np.sqrt(3)
    assert np.abs(surface.points).max() == pytest.approx(side, abs=1e-3)
    on_faces = np.isclose(np.abs(surface.points), np.abs(surface.points).max(axis=0), atol=1e-9)
    assert on_faces.any(axis=1).all()
    np.testing.assert_allclose(on_faces.sum(axis=0), POINTS / 3, rtol=0.05)
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1)
    assert surface.colours.tolist()[0] == pytest.approx([1, 0, 0], abs=0.01)


def test_a_texture_colours_the_points() -> None:
    surface = surface_of(striped_box())
    left = surface.points[:, 0] < -0.1
    assert surface.colours[left].mean(axis=0) == pytest.approx([1, 0, 0], abs=0.05)
    assert surface.colours[surface.points[:, 0] > 0.1].mean(axis=0) == pytest.approx([0, 0, 1], abs=0.05)


def test_a_catalogues_rotation_sets_a_model_upright() -> None:
    lying = surface_of(box_files(depth=3))
    standing = surface_of(box_files(depth=3), rotation=(1, 0, 0, 0, 0, 1, 0, -1, 0))
    assert np.ptp(lying.points, axis=0).argmax() == 2 and np.ptp(standing.points, axis=0).argmax() == 1


@pytest.mark.parametrize("content", [b"", b"no model", b"v 0 0 0\nf 1 1 1\n", b"f 1 2 3\n"])
def test_a_model_without_a_surface_is_told_apart(content: bytes) -> None:
    with pytest.raises(NoSurfaceError):
        surface_of({"m/box.obj": content})


def flat(z: float, side: float = 0.5, x: float = 0.0) -> Surface:
    """A square that looks at the camera."""
    grid = np.linspace(-side, side, 150)
    points = np.stack([*(axis.ravel() for axis in np.meshgrid(grid, grid)), np.full(150 * 150, z)], axis=1)
    points[:, 0] += x
    return Surface(points, np.tile([0.0, 0, 1], (len(points), 1)), np.ones((len(points), 3)), (4, 2))


def test_a_depth_map_has_distances_from_the_camera() -> None:
    picture, depth = shoot(flat(z=0.25), View(azimuth=0, elevation=0, zoom=1), SIDE)
    assert depth.dtype == np.uint16 and depth[SIDE // 2, SIDE // 2] == round((DISTANCE - 0.25) * UNITS)
    assert depth[0, 0] == 0 and picture[0, 0].tolist() == [255, 255, 255]
    assert (depth > 0).sum() == pytest.approx((SIDE / 2) ** 2, rel=0.15)  # a point is two pixels wide


def test_what_is_near_hides_what_is_far() -> None:
    near, far = flat(z=0.5, side=0.2), flat(z=-0.5)
    both = Surface(
        *(np.concatenate(pair) for pair in zip(*(list(vars(one).values())[:3] for one in (near, far)), strict=True)),
        (8, 4),
    )
    _, depth = shoot(both, View(0, 0, zoom=1), SIDE)
    assert sorted(np.unique(depth).tolist()) == [0, 1500, 2500]
    assert depth[SIDE // 2, SIDE // 2] == 1500


def test_the_nearer_half_is_told_where_it_is_clear() -> None:
    depth = np.full((SIDE, SIDE), 2000, np.uint16)
    assert nearer_half(depth) == ""
    depth[:, : SIDE // 2] = 1900
    assert nearer_half(depth) == "left" and nearer_half(depth[:, ::-1]) == "right"
    depth[:, : SIDE // 2] = 0
    assert nearer_half(depth) == ""


def test_a_motion_and_its_reversal_differ_in_order_only() -> None:
    surface = surface_of(box_files())
    there, back = (film(surface, motion, np.random.default_rng(3)) for motion in (2, 3))
    np.testing.assert_array_equal(there, back[::-1])
    assert (there[0] != there[-1]).any()


PER_CLASS = 8


def packages(folder: Path) -> dict[Package, Path]:
    """Chairs and lamps of several geometries: 1 and 2 share one, in other sizes."""
    files: dict[str, bytes] = {}
    properties = ""
    for number in range(2 * PER_CLASS):
        name = f"{'Chair' if number < PER_CLASS else 'Lamp'} {number}"
        properties += entry(number, name, (10, 10, 20 + number), creator="Jane")
        scale = 1 + number % 3
        files[f"models/{number}/box.obj"] = box(scale, 2 * scale, scale, cuts=number if number != 2 else 1).encode()
        files[f"models/{number}/box.mtl"] = paint(0.2, 0.8, 0.4).encode()
    properties += entry(98, "Stool", path="/models/missing.obj") + entry(99, "Widget")
    files[CATALOGUES[0].properties] = properties.encode()
    return write_packages(folder, {CATALOGUES[0].name: files})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> shapes.Shapes:
    folder = tmp_path_factory.mktemp("shapes")
    return shapes.build(packages(folder), folder, None, quiet)


def test_every_model_has_its_media_and_questions(made: shapes.Shapes) -> None:
    models = 2 * PER_CLASS
    media = made.tables.media
    assert len(made.models) == models
    assert {name: len(columns["media"]) for name, columns in media.items()} == {
        "image": 8 * models,
        "video": 3 * models,
        "depth": 8 * models,
        "point_cloud": models,
    }
    asked = list(zip(made.tables.questions["modality"], made.tables.questions["task"], strict=True))
    counts = {key: asked.count(key) for key in set(asked)}
    assert counts["image", "category"] + counts["image", "name"] == 8 * models
    assert counts["video", "motion"] == 3 * models and counts["video", "category"] == models
    assert counts["depth", "category"] == 4 * models and counts["point_cloud", "taller"] == models
    assert set(made.tables.questions["answers"][asked.index(("point_cloud", "taller"))]) == {"yes"}
    names = made.tables.media["image"]["name"]
    for modality, number, task, answer in zip(
        *(made.tables.questions[column] for column in ("modality", "media", "task", "answers")), strict=True
    ):
        if (modality, task) == ("image", "name"):
            assert answer == [names[number].lower()]


def test_the_media_are_files_that_the_tokenizers_read(made: shapes.Shapes) -> None:
    for modality, columns in made.tables.media.items():
        tokenizer = open_media_tokenizer(TOKENS[modality]())
        assert len(tokenizer.encode(tokenizer.read(io.BytesIO(columns["media"][0]))))
    frames = open_media_tokenizer(VideoTokens()).read(io.BytesIO(made.tables.media["video"]["media"][5]))
    assert frames.shape == (8, 48, 48, 3) and len({frame.tobytes() for frame in frames}) == 8


def test_equal_geometry_is_on_one_side(made: shapes.Shapes) -> None:
    splits = {model.entry.name: model.split for model in made.models}
    groups = {model.entry.name: model.group for model in made.models}
    assert groups["Chair 1"] == groups["Chair 2"] and splits["Chair 1"] == splits["Chair 2"]
    assert len(set(groups.values())) == 2 * PER_CLASS - 1
    for name in ("Chair", "Lamp"):
        tested = [split for key, split in splits.items() if key.startswith(name) and split == "test"]
        assert len(tested) == PER_CLASS // 4


def test_a_build_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archives = packages(tmp_path)
    seen: list[str] = []

    def stops(sequence: Sequence[Item], description: str) -> Iterable[Item]:
        if description == "shooting models":
            yield from sequence[:3]
            raise KeyboardInterrupt
        yield from sequence

    with pytest.raises(KeyboardInterrupt):
        shapes.build(archives, tmp_path, 2, stops)
    kept = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("*.zip")}
    assert len(kept) == 3
    original = shapes.media._make
    monkeypatch.setattr(shapes.media, "_make", lambda one, *rest: seen.append(one.name) or original(one, *rest))
    again = shapes.build(archives, tmp_path, 2, quiet)
    assert seen == ["Lamp 9"] and len(again.models) == 4
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in kept} == kept
    whole = shapes.build(archives, (tmp_path / "other").absolute().parent, 2, quiet)
    assert whole.tables.media == again.tables.media


def test_a_file_of_an_interrupted_build_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    archives = packages(tmp_path)
    whole = shapes.build(archives, tmp_path, 2, quiet)
    files = sorted(tmp_path.glob("*.zip"))
    contents = [path.read_bytes() for path in files]
    files[0].write_bytes(contents[0][: len(contents[0]) // 2])
    files[1].write_bytes(b"")
    files[2].write_bytes(contents[2].replace(b"geometry", b"geomeTRY"))
    again = shapes.build(archives, tmp_path, 2, quiet)
    assert again.tables.media == whole.tables.media
    assert [path.read_bytes()[:4] for path in files] == [b"PK\3\4"] * 4


def test_two_builds_at_once_do_not_share_what_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While one build writes a model's file another one writes the same, whole, and is done with all of them."""
    archives = packages(tmp_path)
    alone = shapes.build(archives, tmp_path, 1, quiet)
    shapes.media.forget(tmp_path)
    replace = Path.replace
    begun: list[Path] = []

    def overtaken(path: Path, target: Path) -> Path:
        if not begun:
            begun.append(path)
            shapes.build(archives, tmp_path, 1, quiet)
            shapes.media.forget(tmp_path)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", overtaken)
    assert shapes.build(archives, tmp_path, 1, quiet).tables.media == alone.tables.media
    assert begun and len(list(tmp_path.glob("*.zip"))) == 2 and not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(("most", "left"), [(1, 3), (None, 0)])
def test_what_was_made_is_kept_until_the_whole_set_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int | None, left: int
) -> None:
    archives = packages(tmp_path)
    monkeypatch.setenv("DIST_MCL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(prepare, "_downloaded", lambda packages, track: archives)
    monkeypatch.setattr(prepare, "_write_questions", lambda folder, *rest: (folder / "made").touch())
    work = tmp_path / "cache" / "building" / "shapes"
    work.mkdir(parents=True)

    def stops(sequence: Sequence[Item], description: str) -> Iterable[Item]:
        yield from sequence[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare.prepare_shapes(tmp_path / "whole", stops)
    assert len(list(work.iterdir())) == 3
    prepare.prepare_shapes(tmp_path / "output", quiet, most)
    assert (tmp_path / "output" / "made").exists()
    assert len(list(work.iterdir())) == left + (most or 0)


def test_another_package_is_named(tmp_path: Path) -> None:
    archives = write_packages(tmp_path, {})
    path = archives[PACKAGES[0]]
    archives = {**archives, PACKAGES[0]: archives[PACKAGES[1]]}
    with pytest.raises(UserError, match="not in the package; delete the file and run again"):
        shapes.build(archives, tmp_path, None, quiet)
    assert path.exists()
