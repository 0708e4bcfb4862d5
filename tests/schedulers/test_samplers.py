"""What every sampler of the table promises, and how `build` answers mistakes."""

import numpy as np
import pytest
from slow_loop import run_table

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import SAMPLERS, NoiseSchedule, Tableau, build, check, check_point_mass

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
ZERO_SNR = NoiseSchedule.from_config(ScheduleConfig(zero_terminal_snr=True))
COSINE = NoiseSchedule.from_config(ScheduleConfig(beta_schedule="squaredcos_cap_v2"))
TWO_CALLS = ("heun", "dpm2", "dpm2_a", "dpm++_sde", "dpm++_2s_a", "restart")
PREDICTIONS = ("epsilon", "v", "sample")
rng = np.random.default_rng(0)
X, NOISES = rng.standard_normal((1, 3, 3, 2)), rng.standard_normal((110, 1, 3, 3, 2))


def float64(tableau):
    return Tableau(*(np.asarray(field, np.float64) for field in tableau))


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 20, 50])
@pytest.mark.parametrize("name", SAMPLERS)
def test_point_mass(name, steps, prediction):
    """If the data were one point, every method ends on it with exactly the noise it claims, but for
    LCM, whose boundary condition mixes in a 1e-5th of the noisy sample. In float64, before `build`
    rounds: sigmas go up to 20,000 here.
    """
    sampler = SAMPLERS[name]
    for schedule in (SCHEDULE, ZERO_SNR, COSINE):
        if schedule is ZERO_SNR and prediction == "epsilon":
            continue
        options = {"blend": "noise"} if name == "pndm" else {}
        cannot_begin = name == "pndm" and schedule is ZERO_SNR
        grid = sampler.grid(schedule, steps, **{"spacing": "leading"} if cannot_begin else {})
        table = sampler.builder(schedule, grid, prediction, **options)
        check(table)
        check_point_mass(table, prediction, 1e-4 if name == "lcm" else 1e-9)


@pytest.mark.parametrize("sigmas", ["karras", "exponential", "beta", "normal", "align_your_steps"])
@pytest.mark.parametrize("name", ["lms", "euler", "euler_a", "heun", "dpm++_2m", "dpm++_2m_sde",
                                  "dpm++_2s", "unipc", "deis"])  # fmt: skip
def test_point_mass_on_named_sigmas(name, sigmas):
    for steps in (1, 2, 20):
        table = build(name, SCHEDULE, steps, "v", sigmas=sigmas)
        check_point_mass(float64(table), "v", tolerance=1e-5)


@pytest.mark.parametrize(
    ("name", "option", "values"),
    [
        ("ddim", "eta", (0.3, 1.0)),
        ("tcd", "eta", (0.0, 1.0)),
        ("lms", "order", (1, 2, 3)),
        ("deis", "order", (1, 2, 3)),
        ("unipc", "order", (1, 2, 3)),
        ("unipc", "variant", ("bh1",)),
        ("er_sde", "order", (1, 2)),
        ("ipndm", "order", (1, 2, 3)),
        ("sa_solver", "order", (1, 3)),
        ("sa_solver", "tau", (0.0, 0.5)),
        ("dpm++_sde", "eta", (0.0, 0.5)),
        ("res_multistep", "eta", (0.5, 1.0)),
        ("gradient_estimation", "gamma", (1.0, 3.0)),
        ("bdia", "gamma", (0.5, 0.9)),
    ],
)
def test_point_mass_with_options(name, option, values):
    for value in values:
        table = build(name, SCHEDULE, 20, "v", **{option: value})
        check_point_mass(float64(table), "v", tolerance=1e-5)


def test_pndm_blending_outputs_is_not_exact():
    """What diffusers does with v, and why the consistent form exists."""
    table = float64(build("pndm", SCHEDULE, 20, "v"))
    with pytest.raises(ValueError, match="turns a point into"):
        check_point_mass(table, "v", tolerance=1e-3)
    same = [build("pndm", SCHEDULE, 20, "epsilon", blend=blend) for blend in ("output", "noise")]
    np.testing.assert_array_equal(same[0].history, same[1].history)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize("name", SAMPLERS)
def test_one_step(name, prediction):
    """One row, finite, from the noisiest level; on leading grids too, which begin at the offset."""
    table = build(name, SCHEDULE, 1, prediction)
    assert table.rows == 1
    assert np.isfinite(run_table(table, X, NOISES)).all()


def test_rows_of_steps():
    more = {"pndm": 21} | dict.fromkeys(TWO_CALLS, 39)
    for name in SAMPLERS:
        assert build(name, SCHEDULE, 20, "v").rows == more.get(name, 20)


@pytest.mark.parametrize("name", SAMPLERS)
def test_strength_takes_the_last_steps(name):
    """From 20 steps on `restart` lays a grid of its own between the ends of what is left."""
    whole, part = (build(name, SCHEDULE, 18, "v", strength=s) for s in (1.0, 0.5))
    assert part.alpha[-1] == whole.alpha[-1]
    first = np.searchsorted(-whole.sigma, -part.sigma[0])
    assert whole.sigma[first] == part.sigma[0]
    assert build(name, SCHEDULE, 9, "v").rows == part.rows


def test_ddpm_is_ddim_with_eta_1():
    """Song et al. 2021, section 4.1; two formulas, one table."""
    ddpm = build("ddpm", SCHEDULE, 20, "v")
    ddim = build("ddim", SCHEDULE, 20, "v", eta=1.0, set_alpha_to_one=True)
    for got, want in zip(ddpm, ddim, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=1e-7)


def test_first_order_methods_are_one_method():
    """DDIM, Euler and first-order LMS, DEIS are the same step in different coordinates."""
    sigmas = [14.6, 7.0, 3.0, 1.0, 0.3, 0.05]
    results = [
        run_table(build(name, SCHEDULE, 5, "v", sigmas=sigmas, **options), X, NOISES)
        for name, options in [("euler", {}), ("lms", {"order": 1}), ("deis", {"order": 1})]
    ]
    start, end = (1 / np.sqrt(1 + s**2) for s in (sigmas[0], sigmas[-1]))
    results[2] = results[2] / end  # variance preserving -> x0 + sigma*noise
    # deis starts from unit noise, the others from sigma*noise, which is a little less.
    same_start = run_table(
        build("deis", SCHEDULE, 5, "v", sigmas=sigmas, order=1), X * sigmas[0] * start, NOISES
    )
    np.testing.assert_allclose(results[0], results[1], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(results[0], same_start / end, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("alias", "name", "sigmas"),
    [
        ("DDIM", "ddim", None),
        ("PLMS", "pndm", None),
        ("k_euler_a", "euler_a", None),
        ("Euler a", "euler_a", None),
        ("k_lms", "lms", None),
        ("DPM++ 2M", "dpm++_2m", None),
        ("DPM++ 2M Karras", "dpm++_2m", "karras"),
        ("dpm++_2m_karras", "dpm++_2m", "karras"),
        ("DPM++ 2M SDE Exponential", "dpm++_2m_sde", "exponential"),
        ("dpmpp_2m_sde", "dpm++_2m_sde", None),
        ("uni_pc", "unipc", None),
        ("DPM++ 2M SGM Uniform", "dpm++_2m", "sgm_uniform"),
        ("euler_ancestral_ddim_uniform", "euler_a", "ddim_uniform"),
        ("Euler Align Your Steps", "euler", "align_your_steps"),
        ("LMS Polyexponential", "lms", "polyexponential"),
        ("dpmpp_3m_sde_simple", "dpm++_3m_sde", "simple"),
        ("dpm_2_ancestral", "dpm2_a", None),
        ("DPM++ SDE Karras", "dpm++_sde", "karras"),
        ("Heun-beta", "heun", "beta"),
        ("EulerAncestralDiscreteScheduler", "euler_a", None),
        ("DPMSolverMultistepScheduler", "dpm++_2m", None),
        ("UniPCMultistepScheduler", "unipc", None),
    ],
)
def test_other_names(alias, name, sigmas):
    options = {"sigmas": sigmas} if sigmas else {}
    want = build(name, SCHEDULE, 5, "v", **options)
    for got, field in zip(build(alias, SCHEDULE, 5, "v"), want, strict=True):
        np.testing.assert_array_equal(got, field)


@pytest.mark.parametrize(
    ("name", "steps", "prediction", "options", "message"),
    [
        ("eular", 20, "v", {}, "sampler 'eular' is unknown: choose one of ddim, ddpm, pndm, lms"),
        ("ddim", 0, "v", {}, "steps must be 1 to 1000, not 0"),
        ("ddim", -3, "v", {}, "steps must be 1 to 1000, not -3"),
        ("ddim", 1001, "v", {}, "steps must be 1 to 1000, not 1001"),
        ("ddim", 20, "flow", {}, "prediction 'flow' is unknown: choose one of epsilon, v, sample"),
        ("euler", 20, "v", {"eta": 1.0}, "sampler euler has no option 'eta': choose from sigmas, "),
        ("ddim Karras", 20, "v", {}, "sampler ddim has no option 'sigmas': choose from eta, "),
        ("ddim", 20, "v", {"strength": 0.0}, "strength must be above 0 and at most 1, not 0.0"),
        ("ddim", 20, "v", {"eta": 1.5}, "eta must be 0 to 1, not 1.5"),
        ("tcd", 20, "v", {"eta": -1}, "eta must be 0 to 1, not -1"),
        ("lms", 20, "v", {"order": 5}, "lms has orders 1 to 4, not 5"),
        ("unipc", 20, "v", {"order": 0}, "unipc has orders 1 to 3, not 0"),
        ("pndm", 20, "v", {"blend": "x0"}, "blend 'x0' is unknown: choose output or noise"),
        ("deis", 2, "v", {"sigmas": [5.0, 1.0, 0.0]}, "deis cannot end at sigma 0"),
        ("sa_solver", 2, "v", {"sigmas": [5.0, 1.0, 0.0]}, "sa_solver cannot end at sigma 0"),
        ("sa_solver", 2, "v", {"tau": 3}, "tau must be 0 to 2, not 3"),
        ("gradient_estimation", 2, "v", {"gamma": 0.5}, "gamma must be 1 to 5, not 0.5"),
        ("bdia", 2, "v", {"gamma": 0}, "gamma must be above 0 and at most 1, not 0"),
        ("ipndm", 2, "v", {"order": 5}, "ipndm has orders 1 to 4, not 5"),
        ("er_sde", 2, "v", {"order": 4}, "er_sde has orders 1 to 3, not 4"),
        ("dpm++_sde", 2, "v", {"eta": 2}, "eta must be 0 to 1, not 2"),
        ("res_multistep", 2, "v", {"eta": -1}, "eta must be 0 to 1, not -1"),
        ("unipc", 2, "v", {"variant": "bh3"}, "variant 'bh3' is unknown: choose one of bh1, bh2"),
        ("lcm", 4, "v", {"original_steps": 0}, "original_steps must be 1 to 1000, not 0"),
        ("tcd", 4, "v", {"original_steps": 1001}, "original_steps must be 1 to 1000, not 1001"),
        ("lcm", 4, "v", {"original_steps": 50.0}, "original_steps must be 1 to 1000, not 50.0"),
        ("ddim", 4, "v", {"steps_offset": -5}, "steps_offset must be .* 0 or more, not -5"),
        ("euler", 2, "v", {"timesteps": [9, float("nan")]}, "timesteps must be 2 falling numbers"),
        ("euler", 2, "v", {"timesteps": "abc"}, "timesteps must be 2 falling numbers"),
        ("euler", 1, "v", {"sigmas": [float("inf"), 0]}, "sigmas must be 2 falling numbers"),
        ("lcm", 60, "v", {}, "steps must be 1 to 50, the original_steps of a distilled model"),
    ],
)
def test_errors(name, steps, prediction, options, message):
    with pytest.raises(ValueError, match=message) as error:
        build(name, SCHEDULE, steps, prediction, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", SAMPLERS)
def test_epsilon_at_zero_terminal_snr_is_refused(name):
    options = {} if name in ("lcm", "tcd") else {"spacing": "trailing"}
    with pytest.raises(ValueError, match="epsilon-prediction cannot begin at zero terminal SNR"):
        build(name, ZERO_SNR, 5, "epsilon", **options)


def test_pndm_at_zero_terminal_snr_is_refused():
    with pytest.raises(ValueError, match="pndm cannot begin at zero terminal SNR"):
        build("pndm", ZERO_SNR, 5, "v")
    build("pndm", ZERO_SNR, 5, "v", spacing="leading")  # does not begin there


@pytest.mark.parametrize("steps", [1, 20, 50])
@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "pndm"])
def test_zero_terminal_snr_begins_at_the_noisiest_timestep(name, steps):
    """By default, where the files say no spacing; and from noise without a trace of a picture."""
    table = build(name, ZERO_SNR, steps, "v")
    assert table.timestep[0] == 999
    assert table.alpha[0] / table.sigma[0] < 3e-4
    assert table.start[0] == 0
