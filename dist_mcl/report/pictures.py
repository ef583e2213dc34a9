"""A masked picture as PNG."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from dist_mcl.report.data import ExemplarPicture


def masked_png(exemplar: ExemplarPicture) -> bytes:
    """PNG (RGBA) of the picture with dropped patches transparent, so the page's hatching shows through them."""
    height, width = exemplar.picture.shape[:2]
    rows, columns = exemplar.kept.shape
    kept = np.kron(exemplar.kept, np.ones((height // rows, width // columns), np.bool_))
    pixels = np.dstack([exemplar.picture, np.full((height, width), 255, np.uint8)])
    pixels[~kept] = 0  # also hides and compresses away whatever the caller left in the dropped places
    buffer = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
