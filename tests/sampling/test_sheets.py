"""The sheet of docs/sheets.md: each cell is what is drawn alone."""

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

PAGE = (Path(__file__).parents[2] / "docs/sheets.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_cells_are_what_strength_curve_and_noise_draw_alone() -> None:
    names: dict[str, Any] = {"jax": jax, "jnp": jnp}
    block, _ = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(block, names)
    pipe = pipeline(SMALLEST)
    told = {"steps": 2, "guidance_scale": 3.0, "height": 4, "width": 4}
    orders = [pipe.order("a", sampler=name, **told) for name in ("ddim", "dpm++_2m")]
    lora = initial_lora(pipe.params, ["conv1"], rank=2, alpha=2, key=jax.random.key(0))
    for path, factors in lora.items():
        factors["up"] = jnp.asarray(uniform(path, factors["up"].shape))
    strengths, curves = np.float32([0, 1]), np.float32([[3, 3], [1, 5]])
    noises = uniform("noise", (2, *orders[0].given.noise.shape))
    sheet = names["sheet_of"](pipe, orders, lora, strengths, curves, noises)
    assert sheet.shape[:5] == (2, 2, 2, 2, 1)

    def alone(strength: float, sampler: int) -> np.ndarray:
        params, order = merged(pipe.params, lora, strength), orders[sampler]
        given = order.given._replace(noise=jnp.asarray(noises[1]))
        return np.asarray(draw(pipe.networks, params, given, order.runs).images)

    for strength, sampler in ((0, 0), (1, 0), (1, 1)):
        cell = sheet[strength, sampler, 0, 1]
        np.testing.assert_allclose(cell, alone(strength, sampler), atol=1e-5)
    assert np.abs(sheet[0, 0] - sheet[1, 0]).max() > 1e-2
    assert np.abs(sheet[0, 0] - sheet[0, 1]).max() > 1e-2
    assert np.abs(sheet[0, 0, 0] - sheet[0, 0, 1]).max() > 1e-2


@pytest.mark.release
def test_the_page_draws_what_the_pipeline_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The built-in model: no LoRA and no guidance, and the whole LoRA and no guidance."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(block, names)
    told = {"seed": 2, "steps": 8, "sampler": "dpm++_2m", "guidance_scale": 1.0}
    for strength, lora in ((0, ()), (2, ("emoji-neon",))):
        alone = names["pipe"].draw(names["prompt"], lora=lora, **told).images
        np.testing.assert_allclose(names["images"][strength, 1, 0, 1], alone, atol=2e-3)
    assert (tmp_path / "sheets.png").stat().st_size > 100_000
