"""What is painted over, kept and added."""

import numpy as np
import pytest

from jaxsd.images import feathered, from_uint8, grown, masked_for_inpainting, pasted

RNG = np.random.default_rng(0)


def noise(*shape: int) -> np.ndarray:
    return RNG.integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pasting_is_exact_where_the_mask_is_0_or_1(dtype: type) -> None:
    drawn, source = noise(2, 20, 30, 3), noise(20, 30, 3)
    mask = (RNG.random((20, 30)) < 0.5).astype(dtype)
    found = pasted(drawn, source, mask)
    assert found.dtype == np.uint8
    for image, one in zip(found, drawn, strict=True):
        np.testing.assert_array_equal(image[mask == 0], source[mask == 0])
        np.testing.assert_array_equal(image[mask == 1], one[mask == 1])


def test_pasting_mixes_in_between() -> None:
    drawn, source = np.full((1, 5, 3), 200, np.uint8), np.full((1, 5, 3), 100, np.uint8)
    mask = np.float32([[0, 0.254, 0.5, 0.757, 1]])
    assert pasted(drawn, source, mask)[0, :, 0].tolist() == [100, 125, 150, 176, 200]


def test_pasting_a_picture_on_itself_changes_nothing() -> None:
    image = noise(20, 30, 3)
    mask = RNG.random((20, 30))
    np.testing.assert_array_equal(pasted(image, image, mask), image)


def test_every_picture_of_a_batch_has_its_own_mask() -> None:
    drawn, source = noise(2, 8, 8, 3), noise(2, 8, 8, 3)
    masks = np.stack([np.zeros((8, 8)), np.ones((8, 8))])
    found = pasted(drawn, source, masks)
    np.testing.assert_array_equal(found, [source[0], drawn[1]])


def test_a_picture_for_inpainting_is_grey_where_it_is_painted() -> None:
    image = noise(16, 24, 3)
    mask = RNG.random((16, 24)).astype(np.float32)
    mask[0, :3] = [0.5, np.nextafter(np.float32(0.5), np.float32(0)), 1]
    found = masked_for_inpainting(image, mask)
    assert found.dtype == np.float32
    assert (found[mask >= 0.5] == 0).all()
    np.testing.assert_array_equal(found[mask < 0.5], from_uint8(image)[mask < 0.5])


GROWTHS = [
    {"left": 24},
    {"top": 8, "right": 16},
    {"left": 5, "top": 40, "right": 3, "bottom": 9},
    {},
]


@pytest.mark.parametrize("sides", GROWTHS)
@pytest.mark.parametrize("overlap", [0, 4])
def test_a_grown_picture_holds_the_old_one(sides: dict[str, int], overlap: int) -> None:
    image = noise(20, 30, 3)
    canvas, mask = grown(image, **sides, overlap=overlap)
    top, left = sides.get("top", 0), sides.get("left", 0)
    bottom, right = sides.get("bottom", 0), sides.get("right", 0)
    assert canvas.shape == (20 + top + bottom, 30 + left + right, 3)
    assert mask.shape == canvas.shape[:2]
    inside = canvas[top : top + 20, left : left + 30]
    np.testing.assert_array_equal(inside, image)
    # Pixel by pixel: painted if it is new, or within the overlap of a side that grew.
    for y, x in np.ndindex(mask.shape):
        kept = y >= top + overlap * (top > 0) and y < top + 20 - overlap * (bottom > 0)
        kept &= x >= left + overlap * (left > 0) and x < left + 30 - overlap * (right > 0)
        assert mask[y, x] == (0 if kept else 255)


@pytest.mark.parametrize("sides", GROWTHS)
def test_a_plain_picture_grows_plain(sides: dict[str, int]) -> None:
    image = np.broadcast_to(np.array([9, 130, 250], np.uint8), (20, 30, 3))
    assert (grown(image, **sides)[0] == image[0, 0]).all()


def test_what_is_added_goes_on_from_the_edge_and_calms_down() -> None:
    image = np.zeros((128, 40, 3), np.uint8)
    image[:64] = 240
    canvas, _ = grown(image, left=32, right=32)
    for columns in (canvas[:, 31::-1], canvas[:, -32:]):
        steepest = np.abs(np.diff(columns[..., 0].astype(int), axis=0)).max(0)
        assert steepest[0] > 150
        assert steepest[-1] < 20
        assert (np.diff(steepest) <= 1).all()  # a byte of rounding
    # The blur ends, and nothing else has a part in it.
    assert (canvas[0] == 240).all()
    assert (canvas[-1] == 0).all()


def test_sides_are_told_apart() -> None:
    image = np.zeros((20, 20, 3), np.uint8)
    image[0], image[-1], image[1:-1, 0], image[1:-1, -1] = 10, 20, 30, 40
    canvas, _ = grown(image, left=6, top=6, right=6, bottom=6)
    middle = canvas[..., 0][[0, -1, 16, 16], [16, 16, 0, -1]]
    assert middle.tolist() == [10, 20, 30, 40]


def test_turned_pictures_grow_alike() -> None:
    image = noise(20, 30, 3)
    canvas, mask = grown(image, left=12, overlap=3)
    turned, turned_mask = grown(np.rot90(image), bottom=12, overlap=3)
    np.testing.assert_array_equal(turned, np.rot90(canvas))
    np.testing.assert_array_equal(turned_mask, np.rot90(mask))


def test_growing_then_pasting_keeps_the_old_picture() -> None:
    image = noise(40, 40, 3)
    canvas, mask = grown(image, right=24, overlap=8)
    found = pasted(noise(*canvas.shape), canvas, feathered(mask, 2))
    np.testing.assert_array_equal(found[:, :24], image[:, :24])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: grown(noise(8, 8, 3), left=-1), "left is -1 pixels; 0 or more"),
        (lambda: grown(noise(8, 8, 3), left=8, overlap=-2), "overlap is -2 pixels"),
        (lambda: grown(noise(8, 8, 3), left=1, right=1, overlap=4), "keeps nothing of .* 8x8"),
        (lambda: grown(noise(8, 8), left=1), r"shape \(8, 8\)"),
        (lambda: grown(np.zeros((8, 8, 3)), left=1), "image is float64"),
        (
            lambda: pasted(noise(8, 8, 3), noise(8, 9, 3), np.zeros((8, 9))),
            r"drawn picture has shape \(8, 8, 3\), the source \(8, 9, 3\)",
        ),
        (
            lambda: pasted(noise(8, 8, 3), noise(8, 8, 3), np.zeros((8, 9))),
            r"mask has shape \(8, 9\)",
        ),
        (
            lambda: masked_for_inpainting(noise(8, 8, 3), noise(8, 8)),
            r"mask is uint8; floats in \[0, 1\]",
        ),
    ],
)
def test_what_is_wrong_is_named(call, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()
