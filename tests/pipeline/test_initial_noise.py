"""Initial noise of variation seeds and of other sizes, as webui makes it."""

from collections.abc import Sequence

import numpy as np
import pytest
from tiny_models import uniform
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.pipeline.noise import centred, is_varied, slerp, varied
from jaxsd.settings import Settings, checked

LOW, HIGH = (uniform(name, (6, 5, 4)) for name in ("low", "high"))


def test_slerp_turns_each_column_at_an_even_speed() -> None:
    np.testing.assert_allclose(slerp(0.0, LOW, HIGH), LOW, atol=1e-6)
    np.testing.assert_allclose(slerp(1.0, LOW, HIGH), HIGH, atol=1e-6)
    low, high = (one / np.linalg.norm(one, axis=0) for one in (LOW, HIGH))
    angle = np.arccos((low * high).sum(0))
    turned = slerp(0.3, low, high)
    np.testing.assert_allclose(np.linalg.norm(turned, axis=0), 1, atol=1e-6)
    np.testing.assert_allclose(np.arccos((low * turned).sum(0)), 0.3 * angle, atol=1e-5)


def test_slerp_of_one_direction_is_straight() -> None:
    np.testing.assert_allclose(slerp(0.25, LOW, LOW), LOW, atol=1e-6)
    # Latents of one row have no angle but 0 and a half turn.
    row = slerp(0.25, LOW[:1], HIGH[:1])
    np.testing.assert_allclose(row[np.isfinite(row)], row.ravel())


@pytest.mark.parametrize("shape", [(6, 5), (8, 9), (3, 2), (9, 2), (5, 4)])
def test_noise_of_another_size_stays_in_the_middle(shape: Sequence[int]) -> None:
    around = uniform("around", (*shape, 4))
    filled = centred(LOW, around)
    # By webui's own indices, one pixel after the other.
    down, along = (shape[0] - 6) // 2, (shape[1] - 5) // 2
    height = 6 if down >= 0 else 6 + 2 * down
    width = 5 if along >= 0 else 5 + 2 * along
    want = around.copy()
    for y in range(height):
        for x in range(width):
            want[max(down, 0) + y, max(along, 0) + x] = LOW[max(-down, 0) + y, max(-along, 0) + x]
    np.testing.assert_array_equal(filled, want)


def test_what_an_image_begins_with() -> None:
    drawn = []

    def draw(seed: int, shape: tuple[int, int, int]) -> np.ndarray:
        drawn.append((seed, shape))
        return uniform(f"{seed}", shape)

    own = Settings(seed=3, variation_seed=8, variation_strength=0.4, seed_resize=(12, 16))
    noise = varied(own, (6, 8, 4), 2, draw)
    assert drawn == [(3, (8, 6, 4)), (8, (8, 6, 4)), (3, (6, 8, 4))]
    inner = slerp(0.4, uniform("3", (8, 6, 4)), uniform("8", (8, 6, 4)))
    np.testing.assert_array_equal(noise[:, 1:7], inner[1:7])
    np.testing.assert_array_equal(noise[:, [0, 7]], uniform("3", (6, 8, 4))[:, [0, 7]])
    assert is_varied(own)
    assert not is_varied(Settings(seed=3, variation_seed=8))


def test_a_pipeline_counts_variation_seeds_and_keeps_the_seed() -> None:
    pipe = pipeline(SMALLEST)
    options = {"seed": 5, "steps": 2, "height": 16, "width": 16}
    plain = pipe.order("a", **options).given.noise
    other = pipe.order("a", **options | {"seed": 10}).given.noise
    more = {"num_images": 2, "variation_seed": 9, "variation_strength": 0.3}
    order = pipe.order("a", **options | more)
    assert [one.seed for one in order.settings] == [5, 5]
    assert [one.variation_seed for one in order.settings] == [9, 10]
    want = slerp(0.3, np.asarray(plain[0]), np.asarray(other[0]))
    np.testing.assert_allclose(order.given.noise[1], want, atol=1e-6)
    with pytest.raises(ValueError, match=r"seed_resize \(16, 0\) has a 0; give a width and a"):
        checked(Settings(seed_resize=(16, 0)), SMALLEST)
    with pytest.raises(ValueError, match="seed_resize 17 is not a multiple of 2 pixels"):
        checked(Settings(seed_resize=(17, 16)), SMALLEST)
