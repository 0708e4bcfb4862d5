"""Two passes: what was drawn, enlarged and drawn over."""

import numpy as np
import pytest
from PIL import Image
from tiny_pipelines import SMALLEST, LetterTokenizer, pipeline

from jaxsd.settings import Settings, bucket_of, checked, passes_of, rows_of

OPTIONS = {"steps": 2, "height": 8, "width": 12, "seed": 4, "sampler": "euler", "guidance_scale": 1}
TOKENIZERS = [LetterTokenizer(config) for config in SMALLEST.text]
HIRES = {"hires": 2.0, "hires_strength": 0.75, "hires_steps": 4}


def test_the_second_pass_is_a_drawing_from_a_picture() -> None:
    settings = checked(Settings("a", **OPTIONS, **HIRES), SMALLEST)
    first, second = passes_of(settings)
    assert first is settings
    assert (second.height, second.width, second.steps) == (16, 24, 4)
    assert (second.strength, second.hires, bool(second.image)) == (0.75, 1.0, True)
    assert settings.final_size == second.final_size == (16, 24)
    assert rows_of(settings, SMALLEST) == 2 + 3
    assert [run[:2] for run in bucket_of(settings, SMALLEST, TOKENIZERS).runs] == [(0, 2), (0, 3)]
    plain = checked(Settings("a", **OPTIONS), SMALLEST)
    assert passes_of(plain) == (plain,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hires": 0.5}, "hires 0.5 is out of range; allowed is 1 to 8"),
        ({"hires": 1.3}, "hires 1.3 makes 15.6 of width 12, which is not a multiple of 2 pixels"),
        ({"hires": 2, "hires_strength": 0.0}, "hires_strength 0 draws nothing"),
        ({"hires": 2, "hires_upscaler": "esrgan"}, "'esrgan' is not one of latent, lanczos"),
        ({"hires": 2, "image": "a.png"}, "hires 2 enlarges what was drawn of a prompt, and there"),
    ],
)
def test_mistakes_are_named(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(Settings("a", **{**OPTIONS, **options}), SMALLEST)


def test_pictures_are_enlarged_by_lanczos_and_drawn_over() -> None:
    pipe, rows = pipeline(SMALLEST), []

    def progress(done: int, total: int) -> None:
        rows.append((done, total))

    small = pipe.text_to_image("a", **OPTIONS, progress=progress)
    drawn = pipe.text_to_image("a", **OPTIONS, **HIRES, hires_upscaler="lanczos", progress=progress)
    assert rows == [(1, 2), (2, 2), *((i, 5) for i in range(1, 6))]
    large = np.asarray(Image.fromarray(small[0]).resize((24, 16), Image.Resampling.LANCZOS))
    size = {"height": 16, "width": 24, "steps": 4, "strength": 0.75}
    want = pipe.image_to_image(large, "a", **OPTIONS | size, progress=progress)
    # Pillow rounds to bytes on its way, which programs do not.
    difference = np.abs(drawn.astype(int) - want)
    assert drawn.shape == (1, 16, 24, 3)
    assert difference.max() <= 4
    assert difference.mean() < 0.5
    assert pipe.order("a", **OPTIONS).later is None
