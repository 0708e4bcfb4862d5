"""Masks of regions weigh as boxes do, wherever they come from."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_models import TINY, uniform
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.bulk.rows import pictures_of
from jaxsd.canvases import canvas_of, read_pictures
from jaxsd.images import middles
from jaxsd.pipeline.given_features import features_of
from jaxsd.settings import Region, Settings, checked

SD1 = TINY["sd1"]
HEIGHT, WIDTH = 64, 96
BOXES = [Region(0.0, 0.0, 0.5, 1.0, "b", 3.0), Region(0.26, 0.3, 0.69, 0.41, "c")]


def picture_of(box: Region, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """White where a box is."""
    mask = np.zeros((height, width), np.uint8)
    rows = slice(round(box.y * height), round((box.y + box.height) * height))
    mask[rows, round(box.x * width) : round((box.x + box.width) * width)] = 255
    return mask


def shares(folder: Path, *regions: Region) -> np.ndarray:
    """What the feature is given, [parts, h, w]."""
    settings = checked(Settings("a", height=HEIGHT, width=WIDTH, region=regions), SD1)
    canvas = canvas_of(settings, read_pictures(settings, folder)[0])
    return features_of(SD1, settings, [canvas])["region"][0, ..., 0]


def test_a_box_as_a_picture_is_that_box(tmp_path: Path) -> None:
    files = []
    for i, box in enumerate(BOXES):
        Image.fromarray(picture_of(box)).save(tmp_path / f"box, {i}.png")
        files.append(Region.parse(f"box, {i}.png,{box.strength}:{box.text}"))
    want = shares(tmp_path, *BOXES)
    np.testing.assert_array_equal(shares(tmp_path, *files), want)
    np.testing.assert_array_equal(shares(tmp_path, files[0], BOXES[1]), want)


def test_any_size_and_greys(tmp_path: Path) -> None:
    Image.fromarray(np.full((2 * HEIGHT, 3 * WIDTH), 102, np.uint8)).save(tmp_path / "grey.png")
    got = shares(tmp_path, Region(text="b", strength=5.0, mask="grey.png"))
    np.testing.assert_allclose(got, np.stack([np.full(got[0].shape, w / 3) for w in (1, 2)]))


@pytest.mark.parity
@pytest.mark.parametrize("unit", [1, 2, 8])
def test_as_comfyui_scales_masks(unit: int) -> None:
    torch = pytest.importorskip("torch")
    mask = (127 * uniform("mask", (5 * unit, 3 * unit)) / 3**0.5 + 127).astype(np.uint8)
    want = torch.nn.functional.interpolate(
        torch.from_numpy(mask)[None, None].double() / 255, size=(5, 3), mode="bilinear"
    )
    np.testing.assert_allclose(middles(mask, 5, 3), want[0, 0], atol=1e-12)


def test_masks_are_given_in_python_as_well() -> None:
    boxes = [Region(0.0, 0.0, 0.5, 1.0, "b")]
    pipe, told = pipeline(SMALLEST), {"height": 16, "width": 16, "steps": 2}
    by_box = pipe.order(["a", "z"], region=boxes, **told)
    masks = [picture_of(boxes[0], 16, 16)]
    by_mask = pipe.order(
        ["a", "z"], region=[Region(text="b", mask="given")], region_masks=masks, **told
    )
    for got, want in zip(by_mask.given.features, by_box.given.features, strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_bulk_run_knows_the_file() -> None:
    assert pictures_of(Settings(region=(BOXES[0], Region(text="b", mask="m.png")))) == ("m.png",)


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("m.png:a: b", Region(text="a: b", mask="m.png")),
        ("a,b.png,2:c", Region(text="c", strength=2.0, mask="a,b.png")),
        ("0,0,0.5,1:b", Region(0.0, 0.0, 0.5, 1.0, "b")),
    ],
)
def test_forms(text: str, region: Region) -> None:
    assert Region.parse(text) == region


@pytest.mark.parametrize("text", ["m.png", ":b", ",1:b", "0,0,0.5:b", "1:b", "1,2,3,4,5,6:b"])
def test_what_is_no_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not X,Y,WIDTH,HEIGHT.* or FILE.*STRENGTH.:TEXT"):
        Region.parse(text)


def test_what_does_not_fit_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"picture 'm\.png': No such file"):
        shares(tmp_path, Region(text="b", mask="m.png"))
    with pytest.raises(ValueError, match="has a mask and a box; give one of them"):
        shares(tmp_path, Region(0.5, 0.0, 0.5, 1.0, "b", mask="m.png"))
    with pytest.raises(ValueError, match="region names 1 masks, and there are 0 pictures for them"):
        pipeline(SMALLEST).order("a", region=[Region(text="b", mask="m.png")])
