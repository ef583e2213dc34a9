import numpy as np
from PIL import Image, ImageDraw

from dist_mcl.modalities.image import patch_coverage
from dist_mcl.scenario.scenes import LARGEST, SMALLEST, photo_scene, plain_scene


def disc() -> Image.Image:
    drawing = Image.new("RGBA", (96, 96))
    ImageDraw.Draw(drawing).ellipse((0, 0, 95, 95), fill=(255, 0, 0, 255))
    return drawing


def photographs() -> list[Image.Image]:
    noise = np.random.default_rng(0).integers(0, 200, (2, 150, 300, 1), dtype=np.uint8)
    # No red: whatever is red in a scene is the object.
    return [Image.fromarray(np.concatenate([0 * pixels, pixels, pixels], axis=2)) for pixels in noise]


def test_plain_scene_is_the_object_on_white() -> None:
    scene = plain_scene(disc())
    assert scene.picture.shape == (96, 96, 3) and scene.picture.dtype == np.uint8
    assert scene.picture[48, 48].tolist() == [255, 0, 0] and scene.mask[48, 48]
    assert scene.picture[0, 0].tolist() == [255, 255, 255] and not scene.mask[0, 0]


def test_mask_is_the_object_outline() -> None:
    for sample_id in range(30):
        scene = photo_scene(disc(), photographs(), 0, sample_id)
        red = scene.picture[..., 0]
        assert red[scene.mask].min() >= 128 and red[~scene.mask].max() < 128


def test_places_and_sizes_spread_over_the_allowed_range() -> None:
    boxes = []
    for sample_id in range(200):
        rows, columns = np.nonzero(photo_scene(disc(), photographs(), 0, sample_id).mask)
        boxes.append((rows.min(), columns.min(), rows.max() + 1 - rows.min()))
    top, left, size = np.array(boxes).T
    assert size.min() >= SMALLEST * 96 - 2 and size.max() <= LARGEST * 96 + 1
    assert size.min() < 45 and size.max() > 66
    assert top.max() > 30 and left.max() > 30 and top.min() < 5 and left.min() < 5


def test_same_seed_and_sample_same_pixels() -> None:
    one = photo_scene(disc(), photographs(), 5, 17)
    again = photo_scene(disc(), photographs(), 5, 17)
    np.testing.assert_array_equal(one.picture, again.picture)
    np.testing.assert_array_equal(one.mask, again.mask)
    for seed, sample_id in ((6, 17), (5, 18)):
        assert (photo_scene(disc(), photographs(), seed, sample_id).picture != one.picture).any()


def test_photographs_are_left_as_they_are() -> None:
    pictures = photographs()
    before = [picture.tobytes() for picture in pictures]
    for sample_id in range(20):
        photo_scene(disc(), pictures, 0, sample_id)
    assert [picture.tobytes() for picture in pictures] == before


def test_a_photograph_as_small_as_the_scene_will_do() -> None:
    scene = photo_scene(disc(), [Image.new("RGB", (96, 96), "blue")], 0, 0)
    assert patch_coverage(~scene.mask).max() == 1.0
