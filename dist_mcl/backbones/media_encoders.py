"""What turns tokens of media into features, whatever the medium: packed tokens in, packed features out.

An encoder that mixes tokens sees a picture or a spectrogram whole; where tokens were dropped it sees nothing there.
What it gives lies on a grid of its own, and a cell of that is kept where a kept token lies in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from math import prod
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from dist_mcl.backbones.efficientnet_lite import FEATURES, EfficientNetLite0
from dist_mcl.tokens import PackedTokens

_SILENCE = -1.5  # in Whisper's log-mel spectrograms
_DEPTH_TO_GREY = 257  # 65535 becomes 255

# Features (b, m, d) of b samples, which of them are kept (b, m) bool, and their grid of m places.
Encoded = tuple[Tensor, Tensor, tuple[int, ...]]
# From values (b, cells, *token_shape), where there are any (b, cells) bool, and the grid.
Encode = Callable[[Tensor, Tensor, tuple[int, ...]], Encoded]


class MediaEncoder(nn.Module, ABC):
    """Attributes:
    features: width of what it gives.
    is_frozen: whether it was pretrained and stays as it is; otherwise it trains with its modality.
    """

    features: int
    is_frozen: bool

    def train(self, mode: bool = True) -> Self:
        """A frozen encoder never trains: neither dropout nor whatever else its network changes in training is on."""
        return super().train(mode and not self.is_frozen)

    @abstractmethod
    def forward(self, tokens: PackedTokens) -> PackedTokens:
        """Features (m, features) of a modality's tokens, with their positions on the encoder's own grid.

        Raises:
            ValueError: tokens of another form than the encoder takes.
        """

    def cells(self, positions: Tensor, grid: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
        """Where features of one sample lie in its medium: masks of exemplars are made from that.

        Args:
            positions: (m,) int64 on `grid`, as `forward` gives them.

        Returns:
            (m,) int64 positions on a grid as `CellScores` has it, -1 for what lies nowhere, such as class tokens; and
            that grid. They are as they came where the encoder's own grid is such a one.
        """
        return positions, grid


class PictureEncoder(MediaEncoder):
    """EfficientNet-Lite0's last map: of pictures, of depth maps as grey pictures, of each frame of a clip.

    A picture gives `cells` x `cells` features of width 1280, a clip as many for each time of its tubelets: the mean
    over their frames.

    Args:
        network: whole; several encoders may share one.
        side: pixels of the square to which a picture is scaled.
        cells: cells of each of its sides.
    """

    features = FEATURES
    is_frozen = True

    def __init__(self, network: EfficientNetLite0, side: int, cells: int) -> None:
        super().__init__()
        self.network = network
        self._side, self._cells = side, cells

    def forward(self, tokens: PackedTokens) -> PackedTokens:
        return whole_pictures(tokens, self._of_one_grid)

    def _of_one_grid(self, values: Tensor, kept: Tensor, grid: tuple[int, ...]) -> Encoded:
        *times, rows, columns = grid
        count, moments = len(values), prod(times)
        frames = as_pictures(values, rows, columns)
        if frames.shape[-1] != self._side or frames.shape[-2] != self._side:
            frames = F.interpolate(frames, (self._side, self._side), mode="bilinear", antialias=True)
        maps = F.adaptive_avg_pool2d(self.network.feature_map((frames - 127) / 128), self._cells)
        cells = maps.view(count, moments, -1, FEATURES, self._cells**2).mean(2).transpose(2, 3)
        seen = F.adaptive_max_pool2d(kept.view(count, moments, rows, columns).float(), self._cells)
        return cells.flatten(1, 2), seen.flatten(1).bool(), (*times, self._cells, self._cells)


def as_pictures(values: Tensor, rows: int, columns: int) -> Tensor:
    """Pictures (N, 3, H, W) of 0 to 255, fp32, from all tokens of pictures, depth maps or clips.

    Args:
        values: (B, cells, p, p, 3) of 0 to 255; (B, cells, p, p) of 0 to 65535; or (B, times * cells, t, p, p, 3) of 0
            to 255, of which each frame becomes a picture: N is B * times * t.
    """
    if values.ndim == 4:
        values = (values / _DEPTH_TO_GREY)[..., None].expand(*values.shape, 3)
    if values.ndim == 5:
        values = values[:, :, None]
    patch = values.shape[3]
    cut = values.float().unflatten(1, (-1, rows, columns)).permute(0, 1, 4, 7, 2, 5, 3, 6)
    return cut.reshape(-1, 3, rows * patch, columns * patch)


class SoundEncoder(MediaEncoder):
    """Whisper's encoder on a short window, arXiv 2212.04356: its table of positions is cut there.

    Args:
        config: Whisper's, with the window's number of positions: 50 for a second.
        pool: positions of 20 ms that are averaged to one feature.
    """

    is_frozen = True

    def __init__(self, config: WhisperConfig, pool: int) -> None:
        super().__init__()
        self.network = WhisperEncoder(config)
        self.features = config.d_model
        self._pool = pool

    def forward(self, tokens: PackedTokens) -> PackedTokens:
        window = 2 * self.network.config.max_source_positions
        frames = (tokens.grids[:, -1] * tokens.values.shape[-1]).max()
        if tokens.values.ndim != 3 or tokens.grids.shape[1] != 2 or frames != window:
            raise ValueError(f"sounds are spectrograms of {window} frames in patches (bins, frames), got {int(frames)}")
        return whole_grids(tokens, self._of_one_grid, fill=_SILENCE)

    def _of_one_grid(self, values: Tensor, kept: Tensor, grid: tuple[int, ...]) -> Encoded:
        spectrogram = values.float().unflatten(1, grid).transpose(2, 3).flatten(3).flatten(1, 2)
        states = self.network(spectrogram).last_hidden_state.transpose(1, 2)
        pooled = F.avg_pool1d(states, self._pool, ceil_mode=True).transpose(1, 2)
        heard = kept.view(-1, *grid).any(1, keepdim=True).float()
        return pooled, F.adaptive_max_pool1d(heard, pooled.shape[1])[:, 0].bool(), (pooled.shape[1],)


class PointEncoder(MediaEncoder):
    """A small PointNet (arXiv 1612.00593) on each group of points, beside what is largest in all groups. It trains.

    Args:
        features: width of what a group becomes.
    """

    is_frozen = False

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features
        self.points = nn.Sequential(nn.Linear(6, 64), nn.GELU(), nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 256))
        self.out = nn.Sequential(nn.Linear(512, features), nn.GELU(), nn.Linear(features, features))

    def forward(self, tokens: PackedTokens) -> PackedTokens:
        if tokens.values.ndim != 3 or tokens.values.shape[2] != 3 or tokens.values.shape[1] < 2:
            raise ValueError(f"tokens {tuple(tokens.values.shape[1:])} are no groups of points (1 + g, 3)")
        groups = tokens.values.float()
        centre, relative = groups[:, :1], groups[:, 1:]
        shape = self.points(torch.cat([relative, centre.expand_as(relative)], 2)).amax(1)
        largest = shape.new_full((len(tokens.grids), shape.shape[1]), -torch.inf)
        whole = largest.scatter_reduce(0, tokens.sample[:, None].expand_as(shape), shape, "amax")
        values = self.out(torch.cat([shape, whole[tokens.sample]], 1))
        return PackedTokens(values, tokens.positions, tokens.sample, tokens.grids)


class VectorEncoder(MediaEncoder):
    """Vectors as they are.

    Args:
        features: their width.
    """

    is_frozen = True

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    def forward(self, tokens: PackedTokens) -> PackedTokens:
        if tokens.values.ndim != 2 or tokens.values.shape[1] != self.features:
            raise ValueError(f"tokens {tuple(tokens.values.shape[1:])} are no vectors of width {self.features}")
        return tokens


def whole_pictures(tokens: PackedTokens, encode: Encode) -> PackedTokens:
    """Encode pictures, depth maps or clips whole, as `whole_grids`; grey where there is no token, no depth measured.

    Raises:
        ValueError: tokens of something else.
    """
    values = tokens.values
    if values.ndim not in (3, 4, 5) or values.dtype not in (torch.uint8, torch.uint16):
        raise ValueError(f"tokens {values.dtype} {tuple(values.shape[1:])} are of no picture, depth map or clip")
    if values.dtype == torch.uint8:
        return whole_grids(tokens, encode, fill=127)
    # As another type, since torch has hardly any operations for uint16.
    return whole_grids(replace(tokens, values=values.int()), encode, fill=0)


def whole_grids(tokens: PackedTokens, encode: Encode, fill: float) -> PackedTokens:
    """Encode samples whole, those of one grid together, and keep what lies where tokens are.

    Args:
        fill: value where there is no token.
    """
    parts = [(rows, *encode(*canvas)) for rows, canvas in _canvases(tokens, fill)]
    values = torch.cat([features[kept] for _, features, kept, _ in parts])
    sample = torch.cat([rows[kept.nonzero()[:, 0]] for rows, _, kept, _ in parts])
    positions = torch.cat([kept.nonzero()[:, 1] for _, _, kept, _ in parts])
    grids = tokens.grids.new_zeros(len(tokens.grids), len(parts[0][3]))
    for rows, _, _, grid in parts:
        grids[rows] = grids.new_tensor(grid)
    order = sample.argsort(stable=True)
    return PackedTokens(values[order], positions[order], sample[order], grids)


def _canvases(tokens: PackedTokens, fill: float) -> Iterator[tuple[Tensor, tuple[Tensor, Tensor, tuple[int, ...]]]]:
    """The samples (rows of the batch) of each distinct grid."""
    for grid in tokens.grids.unique(dim=0).tolist():
        if not prod(grid):  # samples without the modality
            continue
        is_here = (tokens.grids == tokens.grids.new_tensor(grid)).all(1)
        mine = is_here[tokens.sample]
        places = (is_here.cumsum(0) - 1)[tokens.sample[mine]], tokens.positions[mine]
        shape = int(is_here.sum()), prod(grid)
        values = tokens.values.new_full((*shape, *tokens.values.shape[1:]), fill)
        values[places] = tokens.values[mine]
        kept = torch.zeros(shape, dtype=torch.bool, device=values.device)
        kept[places] = True
        yield is_here.nonzero()[:, 0], (values, kept, tuple(grid))
