"""Learning a table: nearer to an exact solution than any other sampler of as many rows."""

import re
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.config import ScheduleConfig
from jaxsd.families import EMOJI
from jaxsd.sampling import sample
from jaxsd.schedulers import NoiseSchedule, Tableau, as_learnt, build
from jaxsd.settings import Settings, checked
from jaxsd.training.learnt_tables import changed_table, learn, unchanged
from jaxsd.training.sampler_learning import Learning, learn_sampler, nearest, trial_calls
from jaxsd.types import Array

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
TIMES = np.arange(1000)
WIDTHS = np.float32([0.05, 0.2, 0.6, 1.5])
"""Of a Gaussian with one of these in each of four dimensions."""


def network(x: Array, timestep: Array) -> Array:
    """The mean of x0."""
    alpha, sigma = (jnp.interp(timestep, TIMES, at) for at in (SCHEDULE.alpha, SCHEDULE.sigma))
    return (alpha * WIDTHS**2 / (alpha**2 * WIDTHS**2 + sigma**2))[None] * x


def exact(noise: Array, table: Tableau) -> Array:
    """Where the probability flow ends: it scales a Gaussian by the ratio of its widths."""
    first = np.hypot(table.alpha[0] * WIDTHS, table.sigma[0])
    return noise * (WIDTHS / first)[None]


@jax.jit
def draw(table: Tableau, noise: Array) -> Array:
    keys = jax.random.key(0, impl="unsafe_rbg")  # quick to compile, and no row adds noise
    return sample(table, network, noise, jnp.repeat(keys, len(noise)))


@pytest.mark.release
def test_a_learnt_table_ends_nearer_to_the_exact_solution_than_all_others() -> None:
    rows, noise = 4, np.random.default_rng(0).standard_normal((64, 4), np.float32)
    begun = build("dpm++_2m_karras", SCHEDULE, rows, "sample")
    seen, held = noise[:32], noise[32:]
    options = {"updates": 60, "order": 4, "rate": 0.03}
    batches = [(seen, exact(seen, begun))] * 60
    learnt = learn(as_learnt(begun), draw, batches, SCHEDULE, "sample", **options)

    def error(table: Tableau) -> float:
        return float(jnp.sqrt(jnp.square(draw(table, held) - exact(held, table)).mean()))

    names = ("ddim", "dpm++_2m", "unipc", "deis", "ipndm", "res_multistep", "lms")
    grids = ("", "_karras", "_gits", "_align_your_steps")
    others = {
        name + grid: error(build(name + grid, SCHEDULE, rows, "sample"))
        for name in names
        for grid in (grids if name != "ddim" else ("",))
    }
    table = changed_table(learnt, unchanged(rows), SCHEDULE, "sample", 4)
    assert error(table) < 0.8 * min(others.values()), (error(table), others)


class Ends:
    """In place of a pipeline: where it ends depends on the sampler and the seed."""

    spec = EMOJI
    places = types.MappingProxyType({"dpm++_2m": 3.0, "dpm++_2m_gits": -1.0, "euler": 2.0})

    def order(self, settings: list[Settings], batch: int) -> Any:
        return types.SimpleNamespace(settings=settings, rows=settings[0].steps)

    def drawn(self, order: Any, done: Any) -> Any:
        done(order.rows, order.rows)
        ends = [[[[self.places[one.sampler] + one.seed]]] for one in order.settings]
        return types.SimpleNamespace(latents=np.float32(ends))


def test_what_is_learnt_from_is_what_ends_nearest() -> None:
    settings = [checked(Settings(prompt="a", seed=i, steps=4), EMOJI) for i in range(11)]
    wanted, calls = np.arange(11, dtype=np.float32)[:, None, None, None], []
    told = (settings, wanted, list(Ends.places), 3, lambda done, _: calls.append(done))
    found = nearest(Ends(), *told)
    assert {one.sampler for one in found} == {"dpm++_2m_gits"}
    assert [one.seed for one in found] == list(range(11))
    assert calls == list(range(4, 40, 4)), "three samplers, three calls of four rows each"
    assert trial_calls(4, 11, 3) == 12


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample"])
def test_what_is_not_changed_is_the_sampler_itself(prediction: str) -> None:
    begun = build("dpm++_2m", SCHEDULE, 5, prediction)
    table = changed_table(as_learnt(begun), unchanged(5), SCHEDULE, prediction, 3)
    for name, got, want in zip(begun._fields, table, begun, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-5, err_msg=name)


@pytest.mark.slow
def test_the_page_learns_a_sampler_of_four_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a third of its updates, and for one number of calls: nearer than all that it names."""
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs/few_steps.md").read_text(encoding="utf-8")
    [block] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    less = block.replace("for part in parts] * 6", "for part in parts] * 2")
    less = less.replace("for rows in (4, 6, 8, 12)", "for rows in (4,)")
    assert len(block) - len(less) == len(" 6, 8, 12")
    names: dict[str, Any] = {}
    exec(less, names)
    errors = names["errors"]
    learnt = errors.pop(("moons.json", 4))
    assert learnt < 0.6 * min(errors.values()), (learnt, errors)


@pytest.mark.release
def test_what_is_learnt_from_is_what_the_pipeline_draws() -> None:
    pipe = pipeline(SMALLEST)
    base = Settings(width=4, height=4, sampler="dpm++_2m", steps=2, guidance_scale=3.0)
    prompts = ("an apple", "a star")
    settings = [
        checked(replace(base, prompt=prompt, seed=i), pipe.spec) for i, prompt in enumerate(prompts)
    ]
    drawn = np.asarray(pipe.drawn(pipe.order(settings)).latents)
    wanted, errors = drawn + 0.5, []
    how = Learning(updates=1, batch=2)
    learnt = learn_sampler(pipe, settings, wanted, how, lambda done, error: errors.append(error))
    assert errors == pytest.approx([0.25], rel=1e-3)
    assert learnt.steps == 2
