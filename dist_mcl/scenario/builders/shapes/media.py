"""All media of one model, and their file on the way to the whole set: what is made is not made again."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dist_mcl.files import write_bytes
from dist_mcl.scenario.builders.shapes.camera import MOTIONS, SIDE, View, film, shoot
from dist_mcl.scenario.builders.shapes.catalogue import CatalogueEntry
from dist_mcl.scenario.builders.shapes.surface import NoSurfaceError, Surface, read_surface

VIEWS, CLIPS, CLOUD = 8, 3, 2048
RECIPE = 1  # of everything here and below; another recipe makes another set, and finds no files of this one
_SUFFIX = ".zip"
# What reading a file raises that is not there, or not what was written.
_NOT_WHOLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile)
_FEWEST_PIXELS = 60  # of a half that has a distance
_CLEARLY = 47  # thousandths of a radius by which one half is nearer


@dataclass(frozen=True)
class ModelMedia:
    """What was made of a model.

    Attributes:
        geometry: equal for models that differ in colour or size only; empty where nothing could be made.
        pictures, depths: WebP and 16-bit PNG files from the same views.
        nearer: for each view, the half that is nearer: "left", "right", or "" where neither is clearly so.
        clips: animated WebP files.
        motions: what the model does in each of them.
        cloud: .npy file, float16 (CLOUD, 3).
    """

    geometry: str = ""
    pictures: tuple[bytes, ...] = ()
    depths: tuple[bytes, ...] = ()
    nearer: tuple[str, ...] = ()
    clips: tuple[bytes, ...] = ()
    motions: tuple[str, ...] = ()
    cloud: bytes = b""


def made_or_make(entry: CatalogueEntry, files: Mapping[str, bytes], folder: Path) -> ModelMedia:
    """A model's media, from its file in `folder` if it is there and whole.

    What is random depends on the model alone, so the order in which models are made, and how often it is interrupted,
    does not matter.
    """
    key = hashlib.sha256(f"{RECIPE} {entry.catalogue} {entry.path}".encode()).hexdigest()
    path = folder / f"{key[:20]}{_SUFFIX}"
    with contextlib.suppress(*_NOT_WHOLE):
        return _load(path)
    made = _make(entry, files, np.random.default_rng(int(key[:16], 16)))
    write_bytes(path, _packed(made))
    return made


def forget(folder: Path) -> None:
    """Remove the models' files. Another build in the same folder, which misses them, makes them again."""
    for path in folder.glob(f"*{_SUFFIX}"):
        path.unlink(missing_ok=True)


def _make(entry: CatalogueEntry, files: Mapping[str, bytes], random: np.random.Generator) -> ModelMedia:
    try:
        surface = read_surface(entry.path, files, entry.rotation, random)
    except NoSurfaceError:
        return ModelMedia()
    views = [
        View(azimuth=number * np.pi / 4 + random.uniform(-0.2, 0.2), elevation=random.uniform(0.1, 0.6))
        for number in range(VIEWS)
    ]
    shots = [shoot(surface, view, SIDE) for view in views]
    motions = random.choice(len(MOTIONS), CLIPS, replace=False).tolist()
    return ModelMedia(
        geometry=f"{surface.geometry[0]}/{surface.geometry[1]}",
        pictures=tuple(_webp([picture]) for picture, _ in shots),
        depths=tuple(_png(depth) for _, depth in shots),
        nearer=tuple(nearer_half(depth) for _, depth in shots),
        clips=tuple(_webp(list(film(surface, motion, random))) for motion in motions),
        motions=tuple(MOTIONS[motion] for motion in motions),
        cloud=_cloud(surface, random),
    )


def nearer_half(depth: NDArray[np.uint16]) -> str:
    """ "left" or "right" of a depth map, or "" where neither half is clearly nearer."""
    half = depth.shape[1] // 2
    means = []
    for side in (depth[:, :half], depth[:, half:]):
        seen = side[side > 0]
        if len(seen) <= _FEWEST_PIXELS:
            return ""
        means.append(float(seen.mean()))
    if abs(means[0] - means[1]) <= _CLEARLY:
        return ""
    return "left" if means[0] < means[1] else "right"


def _cloud(surface: Surface, random: np.random.Generator) -> bytes:
    chosen = random.choice(len(surface.points), CLOUD, replace=False)
    file = io.BytesIO()
    np.save(file, surface.points[chosen].astype(np.float16), allow_pickle=False)
    return file.getvalue()


def _webp(frames: list[NDArray[np.uint8]]) -> bytes:
    first, *others = map(Image.fromarray, frames)
    file = io.BytesIO()
    first.save(file, "WEBP", lossless=True, quality=75, method=4, save_all=bool(others), append_images=others)
    return file.getvalue()


def _png(depth: NDArray[np.uint16]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(depth).save(file, "PNG", optimize=True)
    return file.getvalue()


def _packed(made: ModelMedia) -> bytes:
    files = {name: value for name, value in vars(made).items() if name in ("pictures", "depths", "clips")}
    facts = {name: value for name, value in vars(made).items() if name in ("geometry", "nearer", "motions")}
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("facts.json", json.dumps(facts))
        archive.writestr("cloud", made.cloud)
        for name, contents in files.items():
            for number, content in enumerate(contents):
                archive.writestr(f"{name}/{number}", content)
    return file.getvalue()


def _load(path: Path) -> ModelMedia:
    with zipfile.ZipFile(path) as archive:
        facts = json.loads(archive.read("facts.json"))
        names = archive.namelist()

        def contents(kind: str) -> tuple[bytes, ...]:
            count = sum(name.startswith(f"{kind}/") for name in names)
            return tuple(archive.read(f"{kind}/{number}") for number in range(count))

        return ModelMedia(
            geometry=facts["geometry"],
            pictures=contents("pictures"),
            depths=contents("depths"),
            nearer=tuple(facts["nearer"]),
            clips=contents("clips"),
            motions=tuple(facts["motions"]),
            cloud=archive.read("cloud"),
        )
