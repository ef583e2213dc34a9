"""A model's surface as coloured points, drawn evenly from an OBJ file with its materials and textures."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import trimesh
from numpy.typing import NDArray

POINTS = 40_000  # enough that pictures of 64 pixels have no holes
_GREY = 0.7  # of surfaces without a material


@dataclass(frozen=True, eq=False)
class Surface:
    """Points of a surface that fits the unit sphere around the middle of its box; y is up and z is the front.

    Attributes:
        points: float64 (n, 3).
        normals: float64 (n, 3), of length 1.
        colours: float64 (n, 3), red, green and blue from 0 to 1.
        geometry: vertices and faces of the model: equal for models that differ in colour or size only.
    """

    points: NDArray[np.float64]
    normals: NDArray[np.float64]
    colours: NDArray[np.float64]
    geometry: tuple[int, int]


class NoSurfaceError(Exception):
    """A model has nothing that could be seen."""


def read_surface(
    path: str, files: Mapping[str, bytes], rotation: tuple[float, ...], random: np.random.Generator
) -> Surface:
    """Draw points from a model.

    Args:
        path: of the OBJ file.
        files: contents of it, its materials and its textures, by path.
        rotation: 9 numbers, the matrix that sets it upright.
        random: what is drawn from; two calls of equal state give equal points.

    Raises:
        NoSurfaceError: the model cannot be read, or has no area.
    """
    # It reads single files alone, for which any mapping will do.
    beside = trimesh.resolvers.ZipResolver(cast(Any, files), namespace=path.rpartition("/")[0])
    try:
        scene = trimesh.load_scene(io.BytesIO(files[path]), file_type="obj", resolver=beside, process=False)
    except (KeyError, ValueError, IndexError, TypeError, OSError) as error:
        raise NoSurfaceError(str(error)) from error
    meshes = [mesh for mesh in scene.geometry.values() if isinstance(mesh, trimesh.Trimesh) and len(mesh.faces)]
    areas = np.array([mesh.area for mesh in meshes])
    if not len(meshes) or not np.isfinite(areas).all() or areas.sum() <= 0:
        raise NoSurfaceError("it has no area")
    counts = random.multinomial(POINTS, areas / areas.sum())
    parts = [_drawn(mesh, int(count), random) for mesh, count in zip(meshes, counts, strict=True) if count]
    points, normals, colours = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    turn = np.array(rotation, np.float64).reshape(3, 3)
    geometry = (sum(len(mesh.vertices) for mesh in meshes), sum(len(mesh.faces) for mesh in meshes))
    return Surface(_in_sphere(_turned(points, turn)), _turned(normals, turn), colours, geometry)


_Part = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _drawn(mesh: trimesh.Trimesh, count: int, random: np.random.Generator) -> _Part:
    """Points, normals and colours of one material's faces, evenly by area."""
    corners = mesh.triangles
    faces = random.choice(len(corners), count, p=mesh.area_faces / mesh.area_faces.sum())
    first, second = np.sqrt(random.random(count)), random.random(count)
    weights = np.stack([1 - first, first * (1 - second), first * second], axis=1)
    points = (corners[faces] * weights[:, :, None]).sum(axis=1)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    return points, normals[faces], _colours(mesh, faces, weights)


def _colours(mesh: trimesh.Trimesh, faces: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    material = getattr(mesh.visual, "material", None)
    if material is None:
        return np.full((len(faces), 3), _GREY)
    uv = getattr(mesh.visual, "uv", None)
    if uv is None or getattr(material, "image", None) is None:
        return np.tile(material.main_color[:3] / 255, (len(faces), 1))
    places = (uv[mesh.faces[faces]] * weights[:, :, None]).sum(axis=1)
    return trimesh.visual.color.uv_to_color(places, material.image)[:, :3] / 255


def _turned(vectors: NDArray[np.float64], turn: NDArray[np.float64]) -> NDArray[np.float64]:
    # Without a product of matrices, whose last bit depends on the processor.
    return np.stack([(vectors * row).sum(axis=1) for row in turn], axis=1)


def _in_sphere(points: NDArray[np.float64]) -> NDArray[np.float64]:
    centred = points - (points.max(axis=0) + points.min(axis=0)) / 2
    return centred / np.linalg.norm(centred, axis=1).max()
