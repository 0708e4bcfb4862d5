"""U-Nets whose self-attention sees tiles, or whose maps shrink."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import TINY, abstract_unet, uniform

from jaxsd.convert.original.modules import unet_modules
from jaxsd.executables import Executables
from jaxsd.models import UNet
from jaxsd.models.openings import Path
from jaxsd.nn.convolution import Upsample
from jaxsd.types import Params
from jaxsd.workflow.forms import DeepShrink, HyperTile, block_ends, smallest_divisor
from jaxsd.workflow.levels import NAMED, scheduled, sigma_at, table_of
from jaxsd.workflow.networks import programs_of, with_forms
from jaxsd.workflow.nodes import hyper_tile, patch_model_add_downscale, tome_patch_model
from jaxsd.workflow.token_merging import TokenMerging, divided
from jaxsd.workflow.values import Model

SPEC = TINY["sd1"]
MODEL = Model(SPEC, {}, Executables(), "float32")
UNET = UNet(SPEC.unet)


def attend(q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
    logits = np.einsum("blhd,bmhd->bhlm", q, k)
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.einsum("bhlm,bmhd->blhd", weights / weights.sum(-1, keepdims=True), v)


def test_tiles_of_queries_see_as_many_tokens_in_turn() -> None:
    """A map of 8 x 12 is taken for one of 12 x 8, as ComfyUI does, in tiles of 4 x 4."""
    q, k, v = (uniform(name, (2, 96, 2, 3)) for name in "qkv")
    form = HyperTile(UNET, side=4, depth=0, grows=False)
    out = form._attended(8, 12, ("down_blocks_0", "attn1"), attend, q, k, v)
    for row in range(12):
        for column in range(8):
            tile = row // 4 * 2 + column // 4
            part = slice(tile * 16, tile * 16 + 16)
            token = row * 8 + column
            own = attend(q[:, token : token + 1], k[:, part], v[:, part])
            np.testing.assert_allclose(out[:, token : token + 1], own, rtol=1e-5)


@pytest.mark.parametrize(
    ("form", "path", "count"),
    [
        ({"depth": 0}, "attn2", 96),  # attention to a text
        ({"depth": 0}, "attn1", 24),  # a lower level
        ({"depth": 1, "side": 6}, "attn1", 24),  # tiles that are the whole
        ({"depth": 1, "grows": True}, "attn1", 24),
    ],
)
def test_what_is_not_divided(form: dict, path: str, count: int) -> None:
    q, k, v = (uniform(name, (1, count, 2, 3)) for name in "qkv")
    made = HyperTile(UNET, **({"side": 4, "grows": False} | form))
    np.testing.assert_array_equal(made._attended(8, 12, (path,), attend, q, k, v), attend(q, k, v))


def merging_slowly(x: np.ndarray, ratio: float, height: int, width: int) -> np.ndarray:
    """Means of tokens with those that are like them, times their number; by loops."""
    others, into = divided(height, width)
    unit = x / np.linalg.norm(x, axis=-1, keepdims=True)
    best = {
        s: max((float(unit[s] @ unit[t]), -k) for k, t in enumerate(into)) for s in others.tolist()
    }
    merged = sorted(best, key=lambda s: -best[s][0])[: int(len(x) * ratio)]
    groups = {t: [t] for t in into.tolist()}
    for s in merged:
        groups[int(into[-best[s][1]])].append(s)
    out = 2 * x.copy()
    for group in groups.values():
        out[group] = 2 * x[group].mean(axis=0)
    return out


def test_tokens_merge_with_those_that_are_like_them() -> None:
    """Attention doubles what it is given; odd sides keep their last tokens."""
    height, width, ratio = 5, 7, 0.4
    x, given = uniform("x", (2, height * width, 5)), []

    def run(x: jax.Array, context: jax.Array | None = None) -> jax.Array:
        given.append((x.shape[1], None if context is None else context.shape[1]))
        return 2 * x

    form = TokenMerging(UNET, ratio)
    attended = jax.jit(partial(form._attended, height, width, ("attn1",), run))
    out = attended(x)
    others, into = divided(height, width)
    assert len(into) == (height // 2) * (width // 2)
    assert len(into) + len(others) == height * width
    assert given == [(height * width - int(height * width * ratio), height * width)]
    for own, made in zip(x, np.asarray(out), strict=True):
        want = merging_slowly(own.astype(float), ratio, height, width)
        np.testing.assert_allclose(made, want, rtol=1e-5, atol=1e-6)
    attended(x[:, :12])
    assert given[1:] == [(12, None)], "other levels stay as they are"


def test_divisors() -> None:
    assert [smallest_divisor(*one) for one in ((96, 32), (64, 32), (72, 32), (20, 32))] == [
        32,
        32,
        36,
        20,
    ]


def test_blocks_are_those_of_the_original_code() -> None:
    for spec in (SPEC, TINY["sdxl"]):
        names = unet_modules(spec.unet)
        *ends, middle = block_ends(spec.unet)
        for number, (first, last) in enumerate(ends):
            found = {
                name
                for name, original in names.items()
                if original.startswith(f"input_blocks.{number}.")
            }
            for path in (first, last):
                dotted = ".".join(part[::-1].replace("_", ".", 1)[::-1] for part in path)
                name = "conv_in" if number == 0 else dotted
                assert name in found or f"{name}.conv" in found
        assert middle[0] == ("mid_block", "resnets_0")


def test_maps_grow_to_any_size_by_the_nearest_pixel() -> None:
    layer, x = Upsample(3, jnp.float32), uniform("x", (1, 3, 5, 3))
    kernel = np.zeros((3, 3, 3, 3), np.float32)
    kernel[1, 1] = np.eye(3)
    params = {"params": {"conv": {"kernel": kernel, "bias": np.zeros(3, np.float32)}}}
    for size in ((5, 9), (8, 7)):
        rows, columns = (
            np.floor(np.arange(new) * old / new).astype(int)
            for old, new in zip((3, 5), size, strict=True)
        )
        np.testing.assert_allclose(layer.apply(params, x, size), x[:, rows][:, :, columns])


def test_maps_shrink_behind_a_block_and_grow_again() -> None:
    """Behind block 2, the last of the first level; the last skip is that of `conv_in`."""
    seen: list[int] = []

    class Watched(DeepShrink):
        def _joined(self, path: Path, join: object, x: jax.Array, skip: jax.Array) -> jax.Array:
            seen.append(skip.shape[1])
            return super()._joined(path, join, x, skip)

    form = Watched(UNET, 2, 1.5, False, "bicubic", "area", (0.0, 0.0))
    told = (np.zeros((1, 12, 12, 4)), np.zeros(1), np.zeros((1, 7, SPEC.unet.context_dim)))

    def run(params: Params, *inputs: jax.Array) -> jax.Array:
        return form.apply({"params": params}, None, *inputs, method=UNet.around)[0]

    params = abstract_unet(SPEC.unet)
    assert jax.eval_shape(run, params, *map(np.float32, told)).shape == (1, 12, 12, 4)
    assert seen == [4, 4, 4, 8, 12, 12]


def test_rows_in_which_maps_shrink() -> None:
    model = patch_model_add_downscale(model=MODEL, start_percent=0.1, end_percent=0.5)
    table = table_of(MODEL, NAMED["euler"], scheduled(MODEL, "karras", 12))
    programs = programs_of(SPEC, {"unet": {}}, "float32", MODEL.run)
    form = with_forms(programs, model, table).networks.unet
    levels = table.sigma[:-1] / table.alpha[:-1]
    told = (table.timestep >= form.timesteps[0]) & (table.timestep <= form.timesteps[1])
    want = (levels <= sigma_at(MODEL, 0.1)) & (levels >= sigma_at(MODEL, 0.5))
    assert told.tolist() == want.tolist()
    assert 0 < want.sum() < 12
    never = replace(model, shrink=replace(model.shrink, start=0.5, end=0.5))
    assert with_forms(programs, never, table).networks.unet is programs.networks.unet
    tiled = hyper_tile(model=MODEL, tile_size=100, max_depth=2, scale_depth=True)
    made = with_forms(programs, tiled, table).networks.unet
    assert made == HyperTile(programs.networks.unet, 12, 2, True)


def test_what_forms_do_not_have() -> None:
    with pytest.raises(ValueError, match="swap_size 3 draws the sizes of tiles; give 1 or 2"):
        hyper_tile(model=MODEL, swap_size=3)
    for node in (hyper_tile, tome_patch_model, patch_model_add_downscale):
        with pytest.raises(ValueError, match="already; bypass one"):
            node(model=node(model=MODEL))
    with pytest.raises(ValueError, match="merges or divides tokens already"):
        tome_patch_model(model=hyper_tile(model=MODEL))
