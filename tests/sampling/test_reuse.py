"""Deep features used again: the slow loop's numbers, in one loop that leaves out what it says."""

from collections.abc import Iterator
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
from jaxsd.sampling import advance_recalling, begin, sample
from jaxsd.sampling.loop import fresh_noise
from jaxsd.sampling.networks import (
    Conditions,
    Networks,
    guided_network,
    no_features,
    reusing_network,
)
from jaxsd.sampling.program import Request, draw
from jaxsd.schedulers import NoiseSchedule, Tableau, build, renewed_rows

CONFIG = TINY["sd1-inpainting"].unet
ROWS, SCALE = 5, 3.0
STEPS = {"ddim": 5, "euler_a": 5, "heun": 3, "dpm++_2m": 5, "dpm++_2s": 5, "pndm": 4}
SCHEDULE = NoiseSchedule.from_config(TINY["lcm"].schedule)
NETWORKS = Networks(UNet(CONFIG), None, ())
PARAMS = {"unet": random_params(abstract_unet(CONFIG))}
X = uniform("noise", (2, 4, 4, 4))
MASKED = uniform("masked", (2, 4, 4, 5))
CONTEXT = uniform("context", (4, 7, CONFIG.context_dim))
KEYS = jax.vmap(jax.random.key)(np.arange(2, dtype=np.uint32))


def conditions() -> Conditions:
    return Conditions(
        jnp.asarray(CONTEXT), None, None, jnp.full(2, SCALE, jnp.float32), jnp.asarray(MASKED)
    )


@jax.jit
def run(tableau: Tableau, anew: np.ndarray) -> jax.Array:
    network = reusing_network(NETWORKS, PARAMS, conditions(), guided=True)
    memory = no_features(NETWORKS, X, guided=True)
    state, _, _ = advance_recalling(tableau, network, begin(tableau, X), memory, anew, KEYS)
    return state.samples[0]


def slowly(tableau: Tableau, anew: np.ndarray) -> np.ndarray:
    """The same by hand: a call a row, and what it left behind in a list."""
    rows, kept = iter(anew), []

    def network(x: np.ndarray, timestep: float) -> np.ndarray:
        if next(rows):
            kept.clear()
        x = np.concatenate([x, MASKED], -1).astype(np.float32)
        inputs = {"x": np.repeat(x, 2, axis=0), "timestep": np.float32(timestep)}
        deep = kept[0] if kept else None
        output, deep = apply(
            UNet(CONFIG), PARAMS["unet"], "around", deep=deep, context=CONTEXT, **inputs
        )
        kept[:] = [deep]
        output = np.asarray(output, np.float64)
        return output[::2] + SCALE * (output[1::2] - output[::2])

    noises = np.stack([fresh_noise(KEYS, jnp.int32(row), X) for row in range(tableau.rows)])
    return run_table(tableau, X.astype(np.float64), noises.astype(np.float64), network)


@pytest.mark.parametrize("sampler", STEPS)
def test_agrees_with_the_slow_loop(sampler: str) -> None:
    tableau = build(sampler, SCHEDULE, STEPS[sampler], "epsilon")
    assert tableau.rows == ROWS
    for reuse in (2, 3):
        anew = renewed_rows(reuse, (0, ROWS), ROWS)
        # float32 against float64, and five rows of random weights amplify it.
        assert relative_error(np.asarray(run(tableau, anew)), slowly(tableau, anew)) < 2e-5
    assert run._cache_size() == 1, "another sampler or plan was compiled again"


def test_a_plan_of_whole_rows_changes_rounding_alone() -> None:
    @jax.jit
    def plain(tableau: Tableau) -> jax.Array:
        network = guided_network(NETWORKS, PARAMS, conditions(), guided=True)
        return sample(tableau, network, X, KEYS)

    tableau = build("ddim", SCHEDULE, ROWS, "epsilon")
    want = np.asarray(plain(tableau))
    whole, reused = np.ones(ROWS, bool), renewed_rows(2, (0, ROWS), ROWS)
    assert relative_error(np.asarray(run(tableau, whole)), want) < 2e-5
    assert relative_error(np.asarray(run(tableau, reused)), want) > 1e-3


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
    count = 4  # a negative beside each prompt
    request = Request(
        ids=(np.zeros((count, spec.text[0].max_length), np.int32),),
        keep=np.ones(count, np.float32),
        time_ids=None,
        guidance=np.full(2, SCALE, np.float32),
        noise=np.zeros((2, 8, 8, 4), np.float32),
        keys=KEYS,
    )
    tableau = build("ddim", SCHEDULE, ROWS, "epsilon")
    anew = renewed_rows(2, (0, ROWS), ROWS)
    traced = draw.trace(networks, shapes, tableau, request, anew, guided=True)
    [loop] = [scan for scan in loops(traced.jaxpr.jaxpr) if scan.params["length"] == ROWS]
    [fork] = [e for e in loop.params["jaxpr"].jaxpr.eqns if e.primitive.name == "cond"]
    outermost, whole = map(operations, fork.params["branches"])

    inputs = {
        "x": request.noise[[0] * count],
        "timestep": np.float32(1),
        "context": np.zeros((count, spec.text[0].max_length, spec.unet.context_dim), np.float32),
    }

    def around(params: Any, deep: Any, inputs: Any) -> Any:
        return networks.unet.apply({"params": params}, deep, **inputs, method="around")

    deep = np.zeros((count, 8, 8, spec.unet.deep_channels), np.float32)
    assert whole == count_flops(around, shapes["unet"], None, inputs)
    assert outermost == count_flops(around, shapes["unet"], deep, inputs) < 0.6 * whole
    # On a CPU random bits are loops too.
    lowered = traced.lower(lowering_platforms=("tpu",)).as_text()
    assert lowered.count("stablehlo.while") == 1
