"""Point clouds as groups of neighbouring points, arXiv 2111.14819 section 3.1 (Point-BERT)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dist_mcl.modalities.media import ARRAY_ERRORS, MediaError, decoding
from dist_mcl.tokens import Tokens


@dataclass(frozen=True)
class PointGroups:
    """Tokenizer of point clouds: centres that lie far apart, and the points nearest to each.

    Groups overlap, and a point may be in none, as in Point-BERT.

    Attributes:
        groups: tokens of a cloud.
        group: points of a token, beside its centre.
    """

    groups: int
    group: int

    def read(self, file: BinaryIO) -> NDArray[np.float32]:
        """The points of a .npy file, or of the array `arr_0` of a .npz file: x, y and z as float32 (N, 3).

        Further columns, such as colours, are left out.

        Raises:
            MediaError: it is no such file, or holds something else than finite numbers in rows.
        """
        with decoding("point cloud", *ARRAY_ERRORS):
            loaded = np.load(file, allow_pickle=False)
            points = loaded if isinstance(loaded, np.ndarray) else loaded["arr_0"]
        if points.ndim != 2 or points.shape[1] < 3 or points.dtype.kind not in "fiu" or not len(points):
            raise MediaError(f"the point cloud is {points.dtype} {points.shape}, not numbers (N, 3)")
        xyz = points[:, :3].astype(np.float32)
        if not np.isfinite(xyz).all():
            raise MediaError("the point cloud has a coordinate that is no finite number")
        return xyz

    def encode(self, media: NDArray[Any]) -> Tokens:
        """Groups float16 (groups, 1 + group, 3) on the grid (groups,): the centre, then points relative to it.

        The cloud is moved to the origin and scaled into the unit sphere first. Groups are in the order in which their
        centres are found, so the first ones are a coarse picture of the whole.

        Args:
            media: float (N, 3); points are used several times where there are fewer than a group needs.

        Raises:
            ValueError: it is something else.
        """
        if media.ndim != 2 or media.shape[1] != 3 or media.dtype.kind != "f" or not len(media):
            raise ValueError(f"a point cloud is float32 (N, 3), got {media.dtype} {media.shape}")
        points = unit_sphere(media.astype(np.float32))
        fewest = max(self.groups, self.group)
        if len(points) < fewest:
            points = np.resize(points, (fewest, 3))
        centres = points[farthest_points(points, self.groups)]
        nearest = np.argsort(_squared_distances(centres, points), axis=1, kind="stable")[:, : self.group]
        relative = points[nearest] - centres[:, None]
        values = np.concatenate([centres[:, None], relative], axis=1).astype(np.float16)
        return Tokens.full(values, (self.groups,))

    def decode(self, tokens: Tokens) -> NDArray[np.float32]:
        """All points of the kept groups, group after group: float32 (n * group, 3)."""
        groups = tokens.values.astype(np.float32)
        return (groups[:, :1] + groups[:, 1:]).reshape(-1, 3)


def unit_sphere(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Points (N, 3) with their mean at the origin and the farthest one at distance 1."""
    centred = points - points.mean(axis=0)
    radius = float(np.linalg.norm(centred, axis=1).max())
    return centred / radius if radius else centred


def farthest_points(points: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Indices (count,) of points of which each is the farthest from all before it.

    The first is the farthest from the origin; of equally far ones the first in order is taken.
    """
    chosen = np.empty(count, np.int64)
    distances = np.full(len(points), np.inf, np.float32)
    index = int(np.argmax((points**2).sum(axis=1)))
    for step in range(count):
        chosen[step] = index
        distances = np.minimum(distances, ((points - points[index]) ** 2).sum(axis=1))
        index = int(np.argmax(distances))
    return chosen


def _squared_distances(some: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, m) squared distances, by the difference of each pair: a product of norms loses what is near."""
    return ((some[:, None] - others[None]) ** 2).sum(axis=-1)
