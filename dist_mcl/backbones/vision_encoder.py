"""Picture encoders in Hugging Face's format, for pictures, depth maps and the frames of clips."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import PreTrainedModel

from dist_mcl.backbones.media_encoders import Encoded, MediaEncoder, as_pictures, whole_pictures
from dist_mcl.tokens import PackedTokens

# By which CLIP's pictures are normalised, and InstructBLIP's.
CLIP_MEAN, CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class VisionEncoder(MediaEncoder):
    """All states that the network gives of a picture, class tokens first; of a clip those of each of its frames.

    Its own grid is (states,), or (frames, states); for masks, patches lie in rows and columns. A dropped patch is
    seen as grey, and its state left out.

    Args:
        network: takes `pixel_values` (n, 3, side, side), gives `last_hidden_state` (n, states, features).
        mean, deviation: of a colour channel, 0 to 1, by which pixels are normalised.
    """

    is_frozen = True
    mean: Tensor
    deviation: Tensor

    def __init__(self, network: PreTrainedModel, mean: Sequence[float], deviation: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.features = int(network.config.hidden_size)
        side, patch = network.config.image_size, network.config.patch_size
        self._side, self._cells = int(side), int(side) // int(patch)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation).view(3, 1, 1), persistent=False)

    def forward(self, tokens: PackedTokens) -> PackedTokens:
        return whole_pictures(tokens, self._of_one_grid)

    def cells(self, positions: Tensor, grid: tuple[int, ...]) -> tuple[Tensor, tuple[int, ...]]:
        *frames, states = grid
        patches = self._cells**2
        patch = positions % states - (states - patches)
        cells = torch.where(patch < 0, -1, positions // states * patches + patch)
        return cells, (*frames, self._cells, self._cells)

    def _of_one_grid(self, values: Tensor, kept: Tensor, grid: tuple[int, ...]) -> Encoded:
        *times, rows, columns = grid
        pictures = as_pictures(values, rows, columns) / 255
        if pictures.shape[-2:] != (self._side, self._side):
            pictures = F.interpolate(pictures, (self._side, self._side), mode="bicubic", antialias=True).clamp(0, 1)
        states = self.network(pixel_values=(pictures - self.mean) / self.deviation).last_hidden_state
        patches = F.adaptive_max_pool2d(kept.view(-1, 1, rows, columns).float(), self._cells).flatten(1).bool()
        seen = F.pad(patches, (states.shape[1] - patches.shape[1], 0), value=True)  # class tokens come first
        frames = len(pictures) // len(values)
        seen = seen.repeat_interleave(len(pictures) // len(seen), 0)  # a tubelet's patch is one of all its frames
        own_grid = (frames, states.shape[1]) if times else (states.shape[1],)
        return states.unflatten(0, (-1, frames)).flatten(1, 2), seen.view(len(values), -1), own_grid
