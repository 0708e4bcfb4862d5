"""Derivatives through the loop agree with finite differences, and keep little."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.config import ScheduleConfig
from jaxsd.sampling import sample
from jaxsd.sampling.gradients import differentiable
from jaxsd.schedulers import NoiseSchedule, build
from jaxsd.types import Array

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
KEYS = jax.vmap(lambda seed: jax.random.key(seed, impl="unsafe_rbg"))(jnp.arange(3))
"""Of a generator that is quick to compile."""
SIZE = 6


def made_from() -> dict[str, Any]:
    """What a drawing of a tiny network is made of: noise, words, guidance, LoRA, table."""
    rng = np.random.default_rng(0)
    shapes = {"noise": (3, SIZE), "words": (2, SIZE), "guidance": (), "weights": (SIZE, 32)}
    arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
    lora = {"up": rng.standard_normal((SIZE, 2)), "down": rng.standard_normal((2, 32))}
    table = build("dpm++_2m", SCHEDULE, 5, "sample")
    return arrays | {"lora": lora, "table": table}


def drawn(made: dict[str, Any], **options: Any) -> Array:
    """Samples [3, 6] of a network of one hidden layer, guided, with noise in each row."""
    kernel = made["weights"] + 0.1 * made["lora"]["up"] @ made["lora"]["down"]

    def network(x: Array, timestep: Array) -> Array:
        def branch(words: Array) -> Array:
            inner = (x + words[None]) @ kernel
            return jnp.sin(inner + timestep / 1000) @ kernel.T / 32

        first, second = map(branch, made["words"])
        return first + made["guidance"] * (second - first)

    return sample(made["table"], network, made["noise"], KEYS, **options)


def loss(made: dict[str, Any], **options: Any) -> Array:
    return jnp.square(drawn(made, **options) - 0.5).mean()


def slopes(dtype: str, **options: Any) -> dict[str, Any]:
    """Derivatives of `loss` by everything."""
    made = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), made_from())
    return jax.jit(jax.grad(lambda made: loss(made, **options)))(made)


@pytest.fixture(scope="module")
def single() -> dict[str, Any]:
    return slopes("float32", remat=True)


def leaves_of(made: dict[str, Any]) -> dict[str, Array]:
    table = made["table"]._asdict()
    tables = {name: table[name] for name in ("timestep", "history", "samples")}
    return {name: made[name] for name in made if name != "table"} | tables


def test_derivatives_by_everything_agree_with_finite_differences(single: dict[str, Any]) -> None:
    with jax.enable_x64(True):
        made, double = jax.tree.map(np.float64, made_from()), slopes("float64", remat=True)
        run, rng = jax.jit(loss), np.random.default_rng(1)
        for name, part in leaves_of(made).items():
            along = jax.tree.map(lambda leaf: rng.standard_normal(np.shape(leaf)), part)
            step = 1e-2 if name == "timestep" else 1e-5
            ends = []
            for by in (step, -step):
                moved = jax.tree.map(lambda leaf, way, by=by: leaf + by * way, part, along)
                own = (
                    {name: moved}
                    if name in made
                    else {"table": made["table"]._replace(**{name: moved})}
                )
                ends.append(float(run(made | own)))
            wanted = (ends[0] - ends[1]) / (2 * step)
            for found, tolerance in ((double, 1e-6), (single, 1e-2)):
                pairs = zip(
                    jax.tree.leaves(leaves_of(found)[name]), jax.tree.leaves(along), strict=True
                )
                got = sum(float((np.float64(a) * b).sum()) for a, b in pairs)
                assert got == pytest.approx(wanted, rel=tolerance), name


def test_rows_before_the_last_ones_are_constant(single: dict[str, Any]) -> None:
    cut = slopes("float32", last=2)
    np.testing.assert_array_equal(cut["noise"], 0)
    for name in ("history", "samples", "timestep", "c_out"):
        got, want = (getattr(found["table"], name) for found in (cut, single))
        np.testing.assert_array_equal(got[:3], 0)
        np.testing.assert_allclose(got[3:], want[3:], rtol=1e-3, atol=1e-5, err_msg=name)
    with pytest.raises(ValueError, match="last 6 is out of range; allowed are 1 to 5, the rows"):
        loss(made_from(), last=6)


@pytest.mark.release
def test_a_derivative_with_remat_keeps_the_states_between_rows_alone() -> None:
    """By XLA's own count; inside of the network are 32 numbers for 6, several times."""
    rows, count = 40, 512
    kernel, table = np.float32(made_from()["weights"]), build("ddim", SCHEDULE, rows, "epsilon")
    keys = jax.vmap(lambda seed: jax.random.key(seed, impl="unsafe_rbg"))(jnp.arange(count))

    def kept(remat: bool) -> float:
        def run(noise: Array) -> Array:
            network = lambda x, t: jnp.tanh(jnp.sin(x @ kernel) + t) @ kernel.T  # noqa: E731
            return sample(table, network, noise, keys, remat=remat).sum()

        compiled = jax.jit(jax.grad(run)).lower(np.zeros((count, SIZE), np.float32)).compile()
        return compiled.memory_analysis().temp_size_in_bytes / rows

    state = count * SIZE * 4 * 8  # 2 samples, 5 predictions, x0
    assert kept(True) < 1.5 * state < kept(False)


@pytest.mark.slow
def test_the_page_leads_noise_of_a_gaussian_to_a_point() -> None:
    """The exact flow scales noise by the width, and so does its derivative."""
    text = Path("docs/gradients.md").read_text()
    page: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", text, re.DOTALL)[0], page)
    np.testing.assert_allclose(page["gains"], 0.5 * np.eye(2), atol=0.02)
    assert page["apart"](page["table"], page["noise"]) < 1e-3


@pytest.mark.release
def test_the_page_changes_noise_and_prompts_as_it_says() -> None:
    text = Path("docs/gradients.md").read_text()
    _, code, *_ = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    page: dict[str, Any] = {}
    exec(code, page)
    pipe, colour = pipeline(SMALLEST), jnp.float32([0.9, 0.5, 0.1])

    def apart(updates: int) -> float:
        noise = page["coloured"](pipe, "a red apple", colour, updates)
        _, context, pictures = page["made_from"](pipe, pipe.order("a red apple", **page["HOW"]))
        return float(jnp.square(pictures(noise, context).mean((1, 2)) - colour).mean())

    assert apart(4) < 0.95 * apart(0)
    noise, context, pictures = page["made_from"](pipe, pipe.order("a red apple", **page["HOW"]))
    wanted = pictures(noise, context)
    noise, _, pictures = page["made_from"](pipe, pipe.order("", seed=1, **page["HOW"]))
    errors = [
        float(jnp.square(pictures(noise, page["inverted"](pipe, wanted, updates)) - wanted).mean())
        for updates in (0, 4)
    ]
    assert errors[1] < 0.95 * errors[0]


@pytest.mark.release
def test_a_drawing_has_the_derivatives_of_its_pictures() -> None:
    pipe = pipeline(SMALLEST)
    options = {"width": 4, "height": 4, "steps": 3, "guidance_scale": 3.0, "sampler": "dpm++_2m"}
    order = pipe.order("a red apple", **options)
    programs = pipe.programs_of(order)

    def run(noise: Array, weight: Array, words: Array) -> Array:
        (steps,) = order.runs
        runs = (steps._replace(columns=steps.columns | {"weight": weight}),)
        text = programs.params["text"][0]
        table = text["embeddings"]["token_embedding"] | {"embedding": words}
        text = text | {"embeddings": text["embeddings"] | {"token_embedding": table}}
        params = programs.params | {"text": [text]}
        given = order.given._replace(noise=noise)
        return jnp.square(differentiable(programs.networks, params, given, runs).images).mean()

    words = programs.params["text"][0]["embeddings"]["token_embedding"]["embedding"]
    inputs = (order.given.noise, jnp.asarray(order.runs[0].columns["weight"]), words)
    wanted = jnp.square(pipe.drawn(order).images).mean()
    value, slopes = jax.value_and_grad(run, argnums=(0, 1, 2))(*inputs)
    assert float(value) == pytest.approx(float(wanted), rel=1e-5)
    rng = np.random.default_rng(0)
    for place, (at, slope) in enumerate(zip(inputs, slopes, strict=True)):
        along = np.float32(rng.standard_normal(at.shape))
        ends = []
        for by in (0.004, -0.004):
            moved = list(inputs)
            moved[place] = at + by * along
            ends.append(float(run(*moved)))
        assert float((slope * along).sum()) == pytest.approx((ends[0] - ends[1]) / 0.008, rel=1e-2)
