"""Deep features used again: the slow loop's numbers, in one loop that leaves out what it says."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from slow_loop import relative_error, run_table
from tiny_models import (
    TINY,
    abstract_text,
    abstract_unet,
    abstract_vae,
    apply,
    random_params,
    uniform,
)

from jaxsd.benchmark.flops import count_flops
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.models.times import times_of
from jaxsd.sampling import State, Step, begin, rows_of
from jaxsd.sampling.call import Conditions
from jaxsd.sampling.features.channels import Channels
from jaxsd.sampling.loop import fresh_noise
from jaxsd.sampling.program import Given, Networks, Texts, denoise, draw
from jaxsd.schedulers import NoiseSchedule, Tableau, build
from jaxsd.schedulers.guidance import classifier_free, refreshed_rows, together
from jaxsd.types import Array, Params

CONFIG = TINY["sd1-inpainting"].unet
ROWS, SCALE = 5, 3.0
STEPS = {"ddim": 5, "euler_a": 5, "heun": 3, "dpm++_2m": 5, "dpm++_2s": 5, "pndm": 4}
SCHEDULE = NoiseSchedule.from_config(TINY["lcm"].schedule)
NETWORKS = Networks(UNet(CONFIG), None, ())
PARAMS = {"unet": random_params(abstract_unet(CONFIG))}
X = uniform("noise", (2, 4, 4, 4))
MASKED = uniform("masked", (2, 4, 4, 5))
CONTEXT = uniform("context", (2, 2, 7, CONFIG.context_dim))
KEYS = jax.vmap(jax.random.key)(np.arange(2, dtype=np.uint32))


def steps_of(tableau: Tableau, refresh: np.ndarray | None) -> Step:
    """The rows of two images with guidance, and a plan for the deep features if there is one."""
    columns = together([classifier_free(SCALE, tableau.rows)] * 2)._asdict()
    if refresh is not None:
        columns["reuse"] = np.tile(refresh[:, None], 2)
    return Step(rows_of([tableau] * 2), columns)


@jax.jit
def run(params: Params, steps: Step, state: State) -> Array:
    guidance = jnp.full(2, SCALE, jnp.float32)
    held = {"channels": Channels(None, jnp.asarray(MASKED))}
    conditions = Conditions(jnp.asarray(CONTEXT), None, None, guidance, held)
    state, _ = denoise(NETWORKS, params, steps, conditions, state, KEYS)
    return state.samples[:, 0]


def drawn(tableau: Tableau, refresh: np.ndarray | None) -> np.ndarray:
    state = begin(np.stack([tableau.start] * 2), X)
    return np.asarray(run(PARAMS, steps_of(tableau, refresh), state))


def slowly(tableau: Tableau, refresh: np.ndarray) -> np.ndarray:
    """The same by hand: a call a row, and what it left behind in a list."""
    rows, kept = iter(refresh), []
    context = CONTEXT.reshape(4, *CONTEXT.shape[2:])

    def network(x: np.ndarray, timestep: float) -> np.ndarray:
        if next(rows):
            kept.clear()
        x = np.concatenate([x, MASKED], -1).astype(np.float32)
        inputs = {"x": np.repeat(x, 2, axis=0), "timestep": np.float32(timestep)}
        deep = kept[0] if kept else None
        output, deep = apply(
            UNet(CONFIG), PARAMS["unet"], "around", deep=deep, context=context, **inputs
        )
        kept[:] = [deep]
        output = np.asarray(output, np.float64)
        return output[::2] + SCALE * (output[1::2] - output[::2])

    noises = np.stack(
        [fresh_noise(KEYS, jnp.full(2, row, jnp.int32), X) for row in range(tableau.rows)]
    )
    return run_table(tableau, X.astype(np.float64), noises.astype(np.float64), network)


@pytest.mark.parametrize("sampler", STEPS)
def test_agrees_with_the_slow_loop(sampler: str) -> None:
    tableau = build(sampler, SCHEDULE, STEPS[sampler], "epsilon")
    assert tableau.rows == ROWS
    compiled = run._cache_size()
    for reuse in (2, 3):
        refresh = refreshed_rows(reuse, ROWS)
        # float32 against float64, and five rows of random weights amplify it.
        assert relative_error(drawn(tableau, refresh), slowly(tableau, refresh)) < 2e-5
    assert run._cache_size() in (compiled, 1), "another sampler or plan was compiled again"


def test_a_plan_of_whole_rows_changes_rounding_alone() -> None:
    tableau = build("ddim", SCHEDULE, ROWS, "epsilon")
    want = drawn(tableau, None)
    assert relative_error(drawn(tableau, refreshed_rows(1, ROWS)), want) < 2e-5
    assert relative_error(drawn(tableau, refreshed_rows(2, ROWS)), want) > 1e-3


def loops(jaxpr: Any) -> Iterator[Any]:
    """Every scan in a program, not those inside of a scan."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
            continue
        for value in equation.params.values():
            if isinstance(value, ClosedJaxpr):
                yield from loops(value.jaxpr)
            elif hasattr(value, "eqns"):
                yield from loops(value)


def operations(branch: ClosedJaxpr) -> int:
    return count_flops(jaxpr_as_fun(branch), *branch.in_avals)


def test_one_loop_with_two_branches_of_which_one_is_the_outermost_level() -> None:
    spec = TINY["emoji"]
    networks = Networks(UNet(spec.unet), VAE(spec.vae), tuple(map(TextEncoder, spec.text)))
    shapes = {
        "unet": abstract_unet(spec.unet),
        "vae": abstract_vae(spec.vae),
        "text": [abstract_text(spec.text[0])],
    }
    length = spec.text[0].max_length
    given = Given(
        texts=Texts((np.zeros((2, 2, length), np.int32),), np.ones((2, 2), np.float32)),
        time_ids=None,
        guidance=np.full(2, SCALE, np.float32),
        start=np.ones((2, 2), np.float32),
        noise=np.zeros((2, 8, 8, 4), np.float32),
        keys=KEYS,
        image=None,
        features={},
    )
    tableau = build("ddim", SCHEDULE, ROWS, "epsilon")
    steps = steps_of(tableau, refreshed_rows(2, ROWS))
    traced = draw.trace(networks, shapes, given, (steps,))
    [loop] = [scan for scan in loops(traced.jaxpr.jaxpr) if scan.params["length"] == ROWS]
    [fork] = [e for e in loop.params["jaxpr"].jaxpr.eqns if e.primitive.name == "cond"]
    outermost, whole = map(operations, fork.params["branches"])

    count = 4  # a negative beside each prompt
    inputs = {
        "x": given.noise[[0] * count],
        "timestep": np.ones(count, np.float32),
        "context": np.zeros((count, length, spec.unet.context_dim), np.float32),
    }
    told = inputs["timestep"]
    times = jax.eval_shape(partial(times_of, spec.unet, np.float32), shapes["unet"], told)
    inputs["times"] = {path: np.zeros(own.shape, own.dtype) for path, own in times.items()}

    def around(params: Any, deep: Any, inputs: Any) -> Any:
        return networks.unet.apply({"params": params}, deep, **inputs, method="around")

    deep = np.zeros((count, 8, 8, spec.unet.deep_channels), np.float32)
    assert whole == count_flops(around, shapes["unet"], None, inputs)
    assert outermost == count_flops(around, shapes["unet"], deep, inputs) < 0.6 * whole
    # On a CPU random bits are loops too.
    lowered = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert lowered.count("stablehlo.while") == 1
