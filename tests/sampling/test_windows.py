"""Windows are what a plain loop makes of them, and what is told of a place goes to its window."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from feature_cases import NETWORKS, PARAMS, SIDE, TABLEAU, UNET, Asked, controlnet, guiding
from tiny_models import relative_error, uniform
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.pipeline.given_features import windows_of
from jaxsd.sampling import Step, rows_of
from jaxsd.sampling.call import Answer, Call, unet_call
from jaxsd.sampling.features import channels, windows
from jaxsd.sampling.features.channels import Channels
from jaxsd.sampling.features.windows import Windows
from jaxsd.sampling.program import draw
from jaxsd.settings import ImagePrompt, Settings, checked

HEIGHT, WIDTH = 12, 20
SPEC = replace(SMALLEST, unet=UNET)
"""Its U-Net halves once."""


def call_of(x: np.ndarray) -> Call:
    return Call(x, np.zeros(len(x)), np.zeros((len(x), 1, 1)), None, None, None)


def step_of(images: int) -> Step:
    rows = rows_of([TABLEAU] * images)
    return Step(type(rows)(*(field[0] for field in rows)), {})


def network(x: np.ndarray) -> np.ndarray:
    """Answers that depend on all of what is seen, and on where in it a pixel is."""
    height, width = x.shape[1:3]
    place = np.arange(height)[:, None] - 2.0 * np.arange(width)
    return jnp.tanh(x[..., :4] + x.mean((1, 2), keepdims=True)[..., -4:]) * place[None, ..., None]


def unet(call: Call, step: Step, memory: dict) -> tuple[Answer, dict]:
    return Answer(network(call.x), call.x), memory


@pytest.fixture
def grid() -> Windows:
    """Windows of 8 pixels that share 5 or more."""
    settings = Settings("a", height=2 * HEIGHT, width=2 * WIDTH, windows=(16, 10))
    return windows_of(settings, SPEC)


def test_windows_cover_a_picture(grid: Windows) -> None:
    total = np.zeros((HEIGHT, WIDTH))
    for (top, left), down, along in zip(*grid, strict=True):
        total[top : top + 8, left : left + 8] += np.outer(down, along)
    np.testing.assert_allclose(total, 1, rtol=1e-6)
    assert sorted({top for top, _ in grid.corners}) == [0, 2, 4]
    assert sorted({left for _, left in grid.corners}) == [0, 2, 4, 6, 8, 10, 12]


def of_one_image(grid: Windows) -> Windows:
    return jax.tree.map(lambda a: a[None], grid)


def test_a_row_is_a_plain_loop_over_windows(grid: Windows) -> None:
    x = uniform("windows", (2, HEIGHT, WIDTH, 4))
    want = np.zeros(x.shape)
    for (top, left), down, along in zip(*grid, strict=True):
        part = slice(top, top + 8), slice(left, left + 8)
        answer = np.asarray(network(x[:, *part]))
        want[:, *part] += answer * np.outer(down, along)[..., None]
    inside = windows.wrap(NETWORKS, {}, of_one_image(grid), unet)
    answer, _ = inside(call_of(x), step_of(2), {})
    np.testing.assert_allclose(answer.output, want, rtol=1e-5, atol=1e-5)


def test_each_window_sees_its_part_of_maps(grid: Windows) -> None:
    """Of extra channels, and of maps of a deeper level of the U-Net, as T2I-Adapters have."""
    x, map_ = (uniform(name, (1, HEIGHT, WIDTH, 4)) for name in ("windows", "map"))
    seen = []

    def looking(call: Call, step: Step, memory: dict) -> tuple[Answer, dict]:
        deep = call.seen({"deep": map_[:, ::2, ::2]})["deep"]
        seen.append(deep.shape)
        same = call.x[:, ::2, ::2, 4:] - deep
        return Answer(same.repeat(2, 1).repeat(2, 2), call.x), memory

    inside = channels.wrap(NETWORKS, {}, Channels(None, map_), looking)
    answer, _ = windows.wrap(NETWORKS, {}, of_one_image(grid), inside)(call_of(x), step_of(1), {})
    assert seen == [(1, 4, 4, 4)]
    np.testing.assert_array_equal(answer.output, 0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"windows": (16, 16)}, "windows 16 16 is out of range; allowed are 0 0, or SIZE of at"),
        ({"windows": (8, 0)}, "windows 8 0 is out of range; .* at least 16 and OVERLAP below"),
        ({"windows": (0, 8)}, "windows 0 8 is out of range"),
        ({"windows": (18, 8)}, "windows SIZE 18 is not a multiple of 4 pixels, which windows need"),
        ({"windows": (16, 8), "width": 42}, "width 42 is not a multiple of 4 pixels"),
        ({"windows": (16, 8), "reuse": 2}, "windows and reuse do not go together; give one"),
        ({"windows": (16, 8), "sag": 0.7}, "windows and sag do not go together"),
        ({"windows": (16, 8), "seamless": "x"}, "windows and seamless do not go together"),
        ({"windows": (16, 8), "refiner": "x"}, "windows and refiner do not go together"),
        (
            {
                "windows": (16, 8),
                "ip_adapter": (ImagePrompt("a.png", "b.bin"),),
                "ip_adapter_mask": ("c.png",),
            },
            "windows and ip_adapter_mask do not go together",
        ),
    ],
)
def test_what_can_not_be_is_one_line(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked(Settings("a", **{"width": 40, "height": 24} | options), SPEC)


def test_a_picture_of_one_window_is_drawn_at_once() -> None:
    told = {"height": 16, "width": 16, "steps": 2}
    pipe = pipeline(SMALLEST)
    orders = [pipe.order("a", windows=(side, 4), **told) for side in (16, 32)]
    assert not any("windows" in order.given.features for order in orders)
    hires = pipe.order("a", windows=(16, 4), hires=2, **told)
    assert "windows" not in hires.given.features
    assert hires.later.given.features["windows"].corners.shape == (1, 9, 2)


def beside_each_other(asked: Asked, hints: tuple[np.ndarray, ...] = ()) -> Asked:
    """A drawing twice as wide, in two windows that share nothing."""
    count, side, *_ = asked.given.noise.shape
    grid = Windows(np.int32([[0, 0], [0, side]]), *np.ones((2, 2, side), np.float32))
    features = {"windows": jax.tree.map(lambda a: np.stack([a] * count), grid)}
    if hints:
        features["controlnet"] = hints
    noise = np.concatenate([asked.given.noise, uniform("right", asked.given.noise.shape)], axis=2)
    features = asked.given.features | features
    return asked._replace(given=asked.given._replace(noise=noise, features=features))


HALVES = (slice(0, SIDE), slice(SIDE, None))


@pytest.mark.release
def test_windows_that_share_nothing_are_drawings_of_their_own() -> None:
    """With all that changes the U-Net from inside; without fresh noise, which has another shape."""
    asked = guiding(2, pag=(True,), seg=(True,), freeu=(1.3, 1.4, 0.6, 0.2, 2))
    [step] = asked.runs
    still = step._replace(row=step.row._replace(noise=0 * step.row.noise))
    asked = asked._replace(runs=(still,))
    both = draw(*beside_each_other(asked)).latents
    right = asked.given._replace(noise=uniform("right", asked.given.noise.shape))
    for half, one in zip(HALVES, (asked, asked._replace(given=right)), strict=True):
        assert relative_error(both[:, :, half], draw(*one).latents) < 2e-5


@pytest.mark.release
def test_each_window_has_its_part_of_hints() -> None:
    """Of ControlNets and T2I-Adapters, whose convolutions see a little of what is beside it."""
    asked = controlnet(1)
    hints = [np.concatenate([hint, hint], axis=2) for hint in asked.given.features["controlnet"]]
    others = [hint.copy() for hint in hints]
    for hint in others:
        hint[:, :, -2:] = 0.9
    first, second = (draw(*beside_each_other(asked, tuple(own))).latents for own in (hints, others))
    left, right = (relative_error(second[:, :, part], first[:, :, part]) for part in HALVES)
    print(f"{left:.1e}, {right:.1e}")
    assert left < 0.05 * right


@pytest.mark.release
def test_memory_is_that_of_a_window() -> None:
    def memory(side: int) -> int:
        settings = Settings("a", height=128, width=128, windows=(2 * side, side))
        call = call_of(np.zeros((1, 64, 64, 4), np.float32))
        call = call._replace(context=np.zeros((1, 8, UNET.context_dim), np.float32))

        def run(call: Call) -> np.ndarray:
            whole = unet_call(NETWORKS, PARAMS)
            inside = windows.wrap(NETWORKS, PARAMS, of_one_image(windows_of(settings, SPEC)), whole)
            return inside(call, step_of(1), {})[0].output

        return jax.jit(run).lower(call).compile().memory_analysis().temp_size_in_bytes

    whole, window = memory(64), memory(16)
    print(f"{whole / 1e6:.2f} MB, in windows {window / 1e6:.2f} MB")
    assert window < whole / 6
