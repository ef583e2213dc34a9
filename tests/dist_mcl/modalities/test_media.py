import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dist_mcl.errors import UserError
from dist_mcl.modalities.media import MediaError, open_media_tokenizer
from dist_mcl.modality_config import (
    AudioTokens,
    CustomTokens,
    DepthTokens,
    FeatureTokens,
    ImageTokens,
    PointTokens,
    VideoTokens,
)

MEDIA = {
    "image": (ImageTokens(side=32), np.zeros((20, 30, 3), np.uint8), (2, 2)),
    "video": (VideoTokens(side=32), np.zeros((5, 20, 30, 3), np.uint8), (4, 2, 2)),
    "audio": (AudioTokens(), np.zeros(8000, np.float32), (5, 10)),
    "depth": (DepthTokens(side=32), np.zeros((20, 30), np.uint16), (2, 2)),
    "point_cloud": (PointTokens(), np.ones((99, 3), np.float32), (64,)),
    "features": (FeatureTokens(), np.zeros((7, 3), np.float32), (7,)),
    "features in units": (FeatureTokens(units=2), np.zeros((8, 3), np.float32), (2, 4)),
}


@pytest.mark.parametrize("modality", MEDIA)
def test_every_modality_has_a_tokenizer(modality: str) -> None:
    config, media, grid = MEDIA[modality]
    tokenizer = open_media_tokenizer(config)
    tokens = tokenizer.encode(media)
    assert tokens.grid == grid
    assert tokenizer.encode(tokenizer.decode(tokens)) == tokens if modality in ("image", "video", "depth") else True


def test_a_picture_file_is_read_in_rgb() -> None:
    file = io.BytesIO()
    Image.new("L", (6, 4), 9).save(file, "PNG")
    file.seek(0)
    tokenizer = open_media_tokenizer(ImageTokens())
    assert tokenizer.read(file).tolist() == np.full((4, 6, 3), 9).tolist()
    with pytest.raises(MediaError, match="the picture cannot be read"):
        tokenizer.read(io.BytesIO(b"no picture"))


OWN = """
import numpy as np
from dist_mcl.tokens import Tokens

class Mine:
    def __init__(self, scale=1):
        if scale < 0:
            raise ValueError("scale is negative")
        self.scale = scale
    def read(self, file):
        return np.frombuffer(file.read(), np.uint8)
    def encode(self, media):
        return Tokens.full(media.astype(np.float16)[:, None] * self.scale, media.shape)
    def decode(self, tokens):
        return tokens.values[:, 0]

class Half:
    read = encode = len
"""


def test_a_tokenizer_of_ones_own_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    tokenizer = open_media_tokenizer(CustomTokens(path=f"{file}:Mine", options={"scale": 2}))
    assert tokenizer.encode(tokenizer.read(io.BytesIO(b"\1\2"))).values.tolist() == [[2], [4]]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("Mine", {"size": 2}, "cannot be made with options {'size': 2}"),
        ("Mine", {"scale": -1}, "scale is negative"),
        ("Half", {}, "has no method 'decode'"),
        ("Other", {}, "has no 'Other'"),
    ],
)
def test_a_tokenizer_that_does_not_fit_is_refused(
    tmp_path: Path, name: str, options: dict[str, int], message: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    with pytest.raises(UserError, match=message):
        open_media_tokenizer(CustomTokens(path=f"{file}:{name}", options=options))


def test_a_file_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("def")
    for file in ("broken.py", "missing.py"):
        with pytest.raises(UserError, match=rf"{file}:Mine: cannot be imported"):
            open_media_tokenizer(CustomTokens(path=f"{tmp_path / file}:Mine"))
    with pytest.raises(UserError, match="no_such_module:Mine: cannot be imported"):
        open_media_tokenizer(CustomTokens(path="no_such_module:Mine"))
