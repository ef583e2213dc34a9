"""Pictures, depth maps and clips of a surface: points drawn from far to near, each two pixels wide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dist_mcl.scenario.builders.shapes.surface import Surface

SIDE = 64  # pixels of a picture and a depth map
CLIP_SIDE = 48
FRAMES = 8
DISTANCE = 2.0  # of the camera from the middle, in radii of the model
UNITS = 1000  # of a depth map for one radius: a model lies between 1000 and 3000
_LIGHT = np.array([0.3, 0.5, 0.81])
_AMBIENT = 0.35
# Each motion is followed by its reversal in time, so one still frame cannot tell the two apart.
MOTIONS = (
    *("turns left", "turns right", "comes closer", "moves away"),
    *("tips forward", "tips back", "slides up", "slides down"),
)


@dataclass(frozen=True)
class View:
    """Where a parallel projection looks from.

    Attributes:
        azimuth, elevation: in radians.
        zoom: pixels of a radius, relative to half the picture's side.
        right, up: by how much the model is off the middle, relative to half the picture's side.
    """

    azimuth: float
    elevation: float
    zoom: float = 0.95
    right: float = 0.0
    up: float = 0.0


def shoot(surface: Surface, view: View, side: int) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """A picture uint8 (side, side, 3) on white, and its depth map uint16 (side, side).

    The map has thousandths of the model's radius from the camera, which is two radii away; 0 where nothing is seen.
    """
    x, y, z = _seen(surface.points, view)
    depths = np.round((DISTANCE - z) * UNITS).astype(np.uint16)
    columns = ((x * view.zoom + 1 + view.right) / 2 * side).astype(np.int64)
    rows = ((1 - y * view.zoom - view.up) / 2 * side).astype(np.int64)
    inside = (columns >= 0) & (columns < side - 1) & (rows >= 0) & (rows < side - 1)
    # The nearest last: sorting 16-bit numbers is ten times as fast as sorting distances.
    order = np.argsort(np.iinfo(np.uint16).max - depths, kind="stable")
    order = order[inside[order]]
    colours = (np.clip(surface.colours * _shade(surface.normals, view), 0, 1) * 255).astype(np.uint8)[order]
    picture, depth = np.full((side, side, 3), 255, np.uint8), np.zeros((side, side), np.uint16)
    for down, across in ((1, 1), (0, 0)):
        places = rows[order] + down, columns[order] + across
        picture[places], depth[places] = colours, depths[order]  # of several at one place the last, nearest one stays
    return picture, depth


def film(surface: Surface, motion: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """A clip uint8 (FRAMES, CLIP_SIDE, CLIP_SIDE, 3) of one of `MOTIONS`, from a random angle, size and place."""
    start = View(
        azimuth=random.uniform(0, 2 * np.pi),
        elevation=random.uniform(0.15, 0.9),
        zoom=random.uniform(0.5, 0.72),
        right=random.uniform(-0.12, 0.12),
        up=random.uniform(-0.12, 0.12),
    )
    times = np.linspace(-0.5, 0.5, FRAMES) * (-1 if motion % 2 else 1)
    return np.stack([shoot(surface, _moved(start, motion // 2, time), CLIP_SIDE)[0] for time in times.tolist()])


def _moved(view: View, kind: int, time: float) -> View:
    moved = (
        replace(view, azimuth=view.azimuth + 1.6 * time),
        replace(view, zoom=view.zoom * np.exp(0.7 * time)),
        replace(view, elevation=view.elevation + 1.1 * time),
        replace(view, up=view.up + 0.6 * time),
    )
    return moved[kind]


_Axis = NDArray[np.float64]


def _seen(vectors: NDArray[np.float64], view: View) -> tuple[_Axis, _Axis, _Axis]:
    """Right, up and towards the camera, (n,) each."""
    x, y, z = vectors.T
    cos_a, sin_a, cos_e, sin_e = (f(angle) for angle in (view.azimuth, view.elevation) for f in (np.cos, np.sin))
    right, ahead = cos_a * x + sin_a * z, cos_a * z - sin_a * x
    return right, cos_e * y - sin_e * ahead, sin_e * y + cos_e * ahead


def _shade(normals: NDArray[np.float64], view: View) -> NDArray[np.float64]:
    towards = sum(axis * light for axis, light in zip(_seen(normals, view), _LIGHT, strict=True))
    return (_AMBIENT + (1 - _AMBIENT) * np.abs(towards))[:, None]
