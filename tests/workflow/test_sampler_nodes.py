"""Samplers by themselves against slow loops in float64; levels backwards; continuous noise."""

from dataclasses import replace

import numpy as np
import pytest
from slow_loop import relative_error, run_table, toy_network
from tiny_models import TINY, uniform

from jaxsd.config import EDMConfig, ScheduleConfig
from jaxsd.executables import Executables
from jaxsd.workflow.levels import NAMED, scheduled, sigma_at, table_of, timesteps_of
from jaxsd.workflow.networks import unet_of
from jaxsd.workflow.nodes import (
    flip_sigmas,
    gits_scheduler,
    model_sampling_continuous_edm,
    model_sampling_continuous_v,
    model_sampling_discrete,
    sampler_er_sde,
    sampler_sa_solver,
)
from jaxsd.workflow.values import Model

MODEL = Model(TINY["sd1"], {}, Executables(), "float32")
SHAPE = (3, 4)
FIRST, NOISES = uniform("first", SHAPE), uniform("noises", (9, *SHAPE))
ROUNDING = 2e-5
"""Tables are float32."""


def x0(x: np.ndarray, sigma: float) -> np.ndarray:
    """Of a network that is told the trained timestep next to a level."""
    timestep = timesteps_of(MODEL, np.array([sigma]))[0]
    return x - sigma * toy_network(x / np.sqrt(1 + sigma**2), timestep)


def begun(sigmas: np.ndarray) -> np.ndarray:
    return np.hypot(1, sigmas[0]) * FIRST.astype(float)


def adams(levels: np.ndarray, first: float, last: float, q: float) -> np.ndarray:
    """q times the integrals of exp(q*(l - last)) and each Lagrange polynomial through levels."""
    points, weights = np.polynomial.legendre.leggauss(60)
    places = first + (last - first) * (points + 1) / 2
    found = []
    for k, own in enumerate(levels):
        others = np.delete(levels, k)
        polynomial = np.prod([(places - one) / (own - one) for one in others], axis=0)
        found.append((weights * np.exp(q * (places - last)) * polynomial).sum())
    return q * np.array(found) * (last - first) / 2


def slow_adams(
    sigmas: np.ndarray, eta: float, noisy: tuple[float, float], orders: tuple[int, int]
) -> np.ndarray:
    """Predictions and corrections one by one."""
    steps, known = len(sigmas) - 1, []
    predicted = x = begun(sigmas)
    tau = h = noise = 0.0
    for i in range(steps):
        now, after = sigmas[i], sigmas[i + 1]
        known = [*known, x0(predicted, now)]
        ends = sigmas[-1] == 0
        order = min(orders[1], len(known), steps - i if ends else 99)
        if i == 0 or after == 0 or order == 0:
            x = predicted
        else:
            own = -np.log(sigmas[i - order + 1 : i + 1])
            b = adams(own, -np.log(sigmas[i - 1]), -np.log(now), 1 + tau**2)
            total = sum(w * m for w, m in zip(b, known[-order:], strict=True))
            x = now / sigmas[i - 1] * np.exp(-(tau**2) * h) * x + total + noise
        if after == 0:
            return known[-1]
        order = min(orders[0], len(known), steps - 1 - i if ends else 99)
        tau = eta if noisy[0] >= after > noisy[1] else 0.0
        h = np.log(now / after)
        b = adams(-np.log(sigmas[i - order + 1 : i + 1]), -np.log(now), -np.log(after), 1 + tau**2)
        total = sum(w * m for w, m in zip(b, known[-order:], strict=True))
        noise = NOISES[i] * after * np.sqrt(1 - np.exp(-2 * tau**2 * h))
        predicted = after / now * np.exp(-(tau**2) * h) * x + total + noise
    return predicted


@pytest.mark.parametrize("ends_at_zero", [True, False])
@pytest.mark.parametrize(("orders", "eta"), [((3, 4), 1.0), ((2, 1), 0.6), ((4, 0), 1.3)])
def test_sa_solver_is_that_of_comfyui(
    orders: tuple[int, int], eta: float, ends_at_zero: bool
) -> None:
    sigmas = scheduled(MODEL, "karras", 8)[: None if ends_at_zero else -2]
    sampler = sampler_sa_solver(
        model=MODEL,
        eta=eta,
        sde_start_percent=0.1,
        sde_end_percent=0.7,
        predictor_order=orders[0],
        corrector_order=orders[1],
    )
    noisy = sigma_at(MODEL, 0.1), sigma_at(MODEL, 0.7)
    want = slow_adams(sigmas, eta, noisy, orders)
    assert relative_error(run_table(table_of(MODEL, sampler, sigmas), FIRST, NOISES), want) < 1e-4


def test_sa_solver_by_name_has_noise_in_the_middle() -> None:
    sigmas = scheduled(MODEL, "karras", 8)
    named, own = (
        table_of(MODEL, one, sigmas) for one in (NAMED["sa_solver"], sampler_sa_solver(model=MODEL))
    )
    for a, b in zip(named, own, strict=True):
        np.testing.assert_array_equal(a, b)
    assert named.noise.any(axis=1).tolist() == [
        sigma_at(MODEL, 0.2) >= after > sigma_at(MODEL, 0.8) for after in sigmas[1:]
    ]


def test_simple_weights_of_order_two() -> None:
    """Appendix D: b_2 = q*h^2/2/(l_1 - l_0) of a predictor, b_1 = q*h/2 of a corrector."""
    sigmas = scheduled(MODEL, "karras", 8)
    told = {"model": MODEL, "eta": 0.0, "predictor_order": 2, "simple_order_2": True}
    table = table_of(MODEL, sampler_sa_solver(corrector_order=0, **told), sigmas)
    h = np.diff(-np.log(sigmas[:-1]))
    second = h[3] ** 2 / 2 / -h[2]
    want = [1 - np.exp(-h[3]) - second, second]
    np.testing.assert_allclose(table.history[3, 0, :2], want, rtol=1e-5)
    table = table_of(MODEL, sampler_sa_solver(corrector_order=2, **told), sigmas)
    corrected = np.array([h[2] / 2, 1 - np.exp(-h[2]) - h[2] / 2])
    want = np.exp(-h[3]) * corrected + want
    np.testing.assert_allclose(table.history[3, 0, :2], want, rtol=1e-5)


def slow_reverse(sigmas: np.ndarray, scale: object, stages: int, s_noise: float) -> np.ndarray:
    """Euler's stage and Taylor's terms one by one, with sums of 200 points for integrals."""
    x, before, slope_before = begun(sigmas), None, None
    for i in range(len(sigmas) - 1):
        now, after = sigmas[i : i + 2]
        own = x0(x, now)
        if after == 0:
            return own
        r = scale(after) / scale(now)
        x = r * x + (1 - r) * own
        places = after + np.arange(200) * (now - after) / 200
        if i >= 1 and stages >= 2:
            slope = (own - before) / (now - sigmas[i - 1])
            s = (1 / scale(places)).sum() * (now - after) / 200
            x = x + (after - now + s * scale(after)) * slope
            if i >= 2 and stages >= 3:
                bend = (slope - slope_before) / ((now - sigmas[i - 2]) / 2)
                u = ((places - now) / scale(places)).sum() * (now - after) / 200
                x = x + ((after - now) ** 2 / 2 + u * scale(after)) * bend
            slope_before = slope
        x = x + NOISES[i] * s_noise * np.sqrt(max(after**2 - (now * r) ** 2, 0))
        before = own
    return x


@pytest.mark.parametrize(
    ("kind", "eta", "scale"),
    [
        ("ER-SDE", 1.0, lambda x: x * (np.exp(x**0.3) + 10)),
        ("ER-SDE", 0.4, lambda x: x * (np.exp(x**0.3) + 10) ** 0.4),
        ("Reverse-time SDE", 0.7, lambda x: x**1.7),
        ("ODE", 1.0, lambda x: x),
    ],
)
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_er_sde_is_that_of_comfyui(kind: str, eta: float, scale: object, stages: int) -> None:
    sigmas = scheduled(MODEL, "karras", 7)
    sampler = sampler_er_sde(solver_type=kind, max_stage=stages, eta=eta)
    want = slow_reverse(sigmas, scale, stages, float(kind != "ODE"))
    got = run_table(table_of(MODEL, sampler, sigmas), FIRST, NOISES)
    assert relative_error(got, want) < ROUNDING
    if kind == "ER-SDE" and eta == 1 and stages == 3:
        named = run_table(table_of(MODEL, NAMED["er_sde"], sigmas), FIRST, NOISES)
        np.testing.assert_array_equal(got, named)


def test_levels_backwards() -> None:
    sigmas = scheduled(MODEL, "karras", 6)
    back = flip_sigmas(sigmas=sigmas)
    assert back[0] == 1e-4
    np.testing.assert_array_equal(back[1:], sigmas[-2::-1])
    np.testing.assert_array_equal(flip_sigmas(sigmas=sigmas[:-1]), sigmas[-2::-1])
    assert len(flip_sigmas(sigmas=np.zeros(0))) == 0
    assert sigmas[-1] == 0, "the levels of others stay"


@pytest.mark.parametrize("name", ["euler", "heun", "dpm_2", "lms", "dpmpp_2m", "ipndm", "ddim"])
def test_samplers_go_from_a_picture_to_noise(name: str) -> None:
    """With noise that does not depend on the sample a picture gets it, and loses it again."""
    back = flip_sigmas(sigmas=scheduled(MODEL, "karras", 7)[:-1])
    direction = uniform("direction", SHAPE)

    def network(x: np.ndarray, timestep: float) -> np.ndarray:
        return direction

    def run(sigmas: np.ndarray, picture: np.ndarray) -> np.ndarray:
        table = table_of(MODEL, NAMED[name], sigmas)
        one = table._replace(start=table.alpha[0] * np.array([0, 1.0], np.float32))
        return run_table(one, picture, NOISES[:1].repeat(20, axis=0), network) / table.alpha[-1]

    picture = FIRST.astype(float)
    noised = run(back, picture)
    assert relative_error(noised, picture + (back[-1] - back[0]) * direction) < ROUNDING
    assert relative_error(run(back[::-1], noised), picture) < 1e-4


def test_levels_of_continuous_noise() -> None:
    edm = model_sampling_continuous_edm(
        model=MODEL, sampling="edm_playground_v2.5", sigma_max=80.0, sigma_min=0.01
    )
    normal = scheduled(edm, "normal", 5)
    np.testing.assert_allclose(normal[:-1], np.geomspace(80, 0.01, 5), rtol=1e-12)
    np.testing.assert_allclose(
        scheduled(edm, "sgm_uniform", 5)[:-1], np.geomspace(80, 0.01, 6)[:-1], rtol=1e-12
    )
    assert sigma_at(edm, 0.25) == pytest.approx(80 * (0.01 / 80) ** 0.25)
    table = table_of(edm, NAMED["euler"], normal)
    np.testing.assert_allclose(table.timestep, np.log(normal[:-1]) / 4, rtol=1e-5)
    spread = np.sqrt(normal[:-1] ** 2 + 0.25)
    np.testing.assert_allclose(table.c_in, 1 / spread, rtol=1e-5)
    np.testing.assert_allclose(table.c_skip, 0.25 / spread**2, rtol=1e-5)
    np.testing.assert_allclose(table.c_out, normal[:-1] * 0.5 / spread, rtol=1e-5)
    assert edm.spec.vae.latents_std[0] == 8.4927
    angle = model_sampling_continuous_v(model=MODEL, sampling="v_prediction")
    times = np.linspace(np.arctan(500), np.arctan(0.03), 4)
    np.testing.assert_allclose(scheduled(angle, "normal", 4)[:-1], np.tan(times), rtol=1e-9)
    table = table_of(angle, NAMED["euler"], scheduled(angle, "normal", 4))
    np.testing.assert_allclose(table.timestep, times * 2 / np.pi, rtol=1e-5)
    again = model_sampling_discrete(model=edm, sampling="eps")
    assert (again.continuous, again.spec.schedule.edm) == (None, None)
    with pytest.raises(ValueError, match="should be rising"):
        model_sampling_continuous_v(model=MODEL, sampling="v_prediction", sigma_max=0.01)


def test_searched_levels_are_those_of_comfyui() -> None:
    """Of its table, of levels in float32: 11 steps, the end of 20, and half of 30 between those."""
    eleven = [14.61464119, 5.85520077, 2.95596409, 1.84880662, 1.24153244, 0.83188516]
    eleven += [0.59516323, 0.41087446, 0.27464288, 0.17026083, 0.09824532, 0]
    np.testing.assert_allclose(gits_scheduler(steps=11), eleven, rtol=5e-5)
    twenty = gits_scheduler(steps=20)
    assert len(twenty) == 21
    end = [0.29807833, 0.25053367, 0.22545385, 0.19894916, 0.17026083, 0.13792117, 0.09824532, 0]
    np.testing.assert_allclose(twenty[-8:], end, rtol=5e-5)
    known = np.log([*twenty[:-1], 0.0291675])
    thirty = np.exp(np.interp(np.linspace(0, 20, 31), np.arange(21), known))
    np.testing.assert_allclose(gits_scheduler(steps=30, denoise=0.5)[:-1], thirty[15:-1], rtol=2e-5)
    with pytest.raises(ValueError, match="coeff 1 is not here"):
        gits_scheduler(coeff=1.0)


def test_checkpoints_of_continuous_noise() -> None:
    """Playground's and CosXL's have what the node gives to others."""
    for edm, prediction, sampling in (
        (EDMConfig(), "epsilon", "edm"),
        (EDMConfig(sigma_data=1.0), "v", "v_prediction"),
    ):
        spec = replace(MODEL.spec, prediction=prediction, schedule=ScheduleConfig(edm=edm))
        loaded = unet_of(spec, {}, MODEL.run, "float32")
        own = model_sampling_continuous_edm(model=MODEL, sampling=sampling, sigma_max=80.0)
        tables = [
            table_of(model, NAMED["dpmpp_2m"], scheduled(model, "karras", 5))
            for model in (loaded, own)
        ]
        for a, b in zip(*tables, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_what_samplers_do_not_have() -> None:
    for options, message in (
        ({"use_pece": True}, "use_pece True is not here; give False"),
        ({"s_noise": 0.5}, "s_noise 0.5 is not here; give 1.0"),
    ):
        with pytest.raises(ValueError, match=message):
            sampler_sa_solver(model=MODEL, **options)
    own = sampler_sa_solver(model=MODEL, predictor_order=6)
    with pytest.raises(ValueError, match="are at most 5 here"):
        table_of(MODEL, own, scheduled(MODEL, "karras", 4))
