"""A sheet of docs/your_own_network.md, of a model: each cell is what is drawn alone."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import uniform
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.adapters.lora import initial_lora, merged
from jaxsd.sampling.program import draw

PAGE = (Path(__file__).parents[2] / "docs/your_own_network.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.slow


def test_cells_are_what_strength_curve_and_noise_draw_alone() -> None:
    names: dict[str, Any] = {"jax": jax, "jnp": jnp}
    [block] = [b for b in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "sheet_of" in b]
    exec(block, names)
    pipe = pipeline(SMALLEST)
    order = pipe.order("a", steps=2, sampler="ddim", guidance_scale=3.0, height=4, width=4)
    lora = initial_lora(pipe.params, ["conv1"], rank=2, alpha=2, key=jax.random.key(0))
    for path, factors in lora.items():
        factors["up"] = jnp.asarray(uniform(path, factors["up"].shape))
    strengths, curves = jnp.float32([0, 1]), jnp.float32([[3, 3], [1, 5]])
    noises = jnp.asarray(uniform("noise", (2, *order.given.noise.shape)))
    sheet = np.asarray(names["sheet_of"](pipe, order, lora, strengths, curves, noises))
    plain, changed = (
        np.asarray(
            draw(
                pipe.networks,
                merged(pipe.params, lora, strength),
                order.given._replace(noise=noises[1]),
                order.runs,
            ).images
        )
        for strength in strengths
    )
    np.testing.assert_allclose(sheet[0, 0, 1], plain, atol=1e-5)
    np.testing.assert_allclose(sheet[1, 0, 1], changed, atol=1e-5)
    assert np.abs(plain - changed).max() > 1e-2
    assert np.abs(sheet[0, 1, 1] - plain).max() > 1e-2
