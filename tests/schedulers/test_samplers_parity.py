"""Every sampler against diffusers' own class: each number of steps, spacing, sigmas and prediction.

Our tables are float32, as `build` returns them, run in float64; diffusers keeps its sigmas and most
of its steps in float32. Where that is too coarse both are run in float64. Where the two part on
purpose, the test says which is right and why, and compares with diffusers put right.
"""

import numpy as np
import pytest
from slow_loop import relative_error, run_table

from jaxsd.config import ScheduleConfig
from jaxsd.convert.diffusers.schedule_settings import schedule_config
from jaxsd.families import SD1, SDXL
from jaxsd.schedulers import NoiseSchedule, build

runs = pytest.importorskip("diffusers_runs")  # without diffusers, skips
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

TOLERANCE = 1e-5  # float32 rounding over 50 steps, mostly in diffusers; 1e-6 is usual
IN_FLOAT64 = 1e-9  # rounding, amplified by differences of close logarithms in diffusers
STEPS = (1, 2, 5, 20, 50)
SPACINGS = ("leading", "linspace", "trailing")
SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
ZERO_SNR = NoiseSchedule.from_config(ScheduleConfig(zero_terminal_snr=True))
COSINE = NoiseSchedule.from_config(ScheduleConfig(beta_schedule="squaredcos_cap_v2"))

rng = np.random.default_rng(0)
X, NOISES = rng.standard_normal((2, 4, 3, 3)), rng.standard_normal((100, 2, 4, 3, 3))


NEWER = ("dpm2", "dpm2_a", "sa_solver")
NEWER_STEPS = (1, 20)
"""With the steps that are enough for them."""


def predictions_of(name: str) -> tuple[str, ...]:
    """What diffusers' class takes; PNDM, Euler ancestral and DPM2 have no sample prediction."""
    return (
        ("epsilon", "v")
        if name in ("pndm", "euler_a", "dpm2", "dpm2_a")
        else ("epsilon", "v", "sample")
    )


def spacings_of(name: str) -> tuple[str | None, ...]:
    """What diffusers' class takes; None is a class without the setting."""
    return (None,) if name in ("dpm++_2s", "lcm", "tcd") else SPACINGS


def differs_on_purpose(name: str, spacing: str | None, steps: int, prediction: str) -> bool:
    """Cases that have a test of their own below."""
    if name == "heun" and (spacing, prediction) == ("linspace", "sample"):
        return True
    if spacing != "linspace" or name.startswith(("dpm+", "unipc", "deis", "sa")):
        return False
    return steps == 1 or name in ("ddim", "pndm")


def spaced(spacing: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """A spacing as our option and as diffusers' setting."""
    return ({}, {}) if spacing is None else ({"spacing": spacing}, {"timestep_spacing": spacing})


@pytest.mark.parametrize(
    ("name", "spacing", "prediction", "steps"),
    [
        (name, spacing, prediction, steps)
        for name in runs.CLASSES
        for spacing in spacings_of(name)
        for prediction in predictions_of(name)
        for steps in (STEPS if name not in NEWER else NEWER_STEPS)
        if not differs_on_purpose(name, spacing, steps, prediction)
    ],
)
def test_spacings(name, spacing, prediction, steps):
    ours, theirs = spaced(spacing)
    reference = runs.scheduler(name, prediction, **theirs)
    reference.set_timesteps(steps)
    want = runs.run_scheduler(reference, X, NOISES)
    got = run_table(build(name, SCHEDULE, steps, prediction, **ours), X, NOISES)
    assert relative_error(got, want) <= TOLERANCE


WITH_SIGMAS = ("euler", "heun", "dpm++_2m", "dpm++_2m_sde", "dpm++_2s", "unipc", "deis")


@pytest.mark.parametrize(
    ("name", "sigmas", "prediction", "steps"),
    [
        (name, sigmas, prediction, steps)
        for name in WITH_SIGMAS
        for sigmas in ("karras", "exponential", "beta")
        for prediction in ("epsilon", "v")
        for steps in STEPS
        if steps > 1 or name not in ("euler", "heun", "deis")  # below
        if (name, sigmas, steps) != ("deis", "beta", 50)  # test_in_float64
    ]
    # diffusers integrates LMS polynomials by quadrature in torch: seconds at 50 steps.
    + [("lms", "karras", "epsilon", 5), ("lms", "karras", "v", 20), ("lms", "beta", "v", 5)]
    + [("sa_solver", "karras", "epsilon", 20), ("sa_solver", "karras", "v", 5)]
    + [("dpm2", "exponential", "v", 20), ("dpm2_a", "beta", "epsilon", 20)],
)
def test_sigmas(name, sigmas, prediction, steps):
    """diffusers cuts the DPM family's exponential and beta timesteps to whole ones, and float32
    makes that 998 for the highest level, 999; with 50 beta steps it then sees 998 twice and fails.
    To round to the nearest, as for Karras, is right: it is given those timesteps here.
    """
    table = build(name, SCHEDULE, steps, prediction, sigmas=sigmas)
    reference = runs.scheduler(name, prediction, **{f"use_{sigmas}_sigmas": True})
    reference.set_timesteps(steps)
    if sigmas != "karras" and name not in ("euler", "heun", "lms", "dpm2", "dpm2_a"):
        theirs = reference.timesteps.numpy()
        assert theirs[0] == 998
        assert np.abs(theirs - table.timestep).max() <= 1
        reference.timesteps = reference.timesteps.new_tensor(table.timestep)
    reference.set_begin_index(0)
    want = runs.run_scheduler(reference, X, NOISES)
    assert relative_error(run_table(table, X, NOISES), want) <= TOLERANCE


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize(
    "name", ["ddim", "ddpm", "dpm++_2m", "dpm++_2m_sde", "unipc", "lcm", "tcd"]
)
def test_zero_terminal_snr_with_v_and_trailing(name, steps):
    """Euler and Euler ancestral, whose first sigma is 4096, are in test_in_float64."""
    ours, theirs = spaced("trailing" if "trailing" in spacings_of(name) else None)
    reference = runs.scheduler(name, "v", rescale_betas_zero_snr=True, **theirs)
    reference.set_timesteps(steps)
    want = runs.run_scheduler(reference, X, NOISES)
    got = run_table(build(name, ZERO_SNR, steps, "v", **ours), X, NOISES)
    assert relative_error(got, want) <= TOLERANCE


def test_heun_at_zero_terminal_snr_multiplies_what_two_predictions_differ_by():
    """Both do: the method goes from sigma 4096 to 7.4 by the mean of two slopes, the second of
    which is divided by 7.4. diffusers' class has no zero terminal SNR but that of given betas.
    """
    with runs.in_float64():
        levels = ZERO_SNR.noise_to_signal
        alphas_cumprod = 1 / (1 + levels**2)
        betas = 1 - alphas_cumprod / np.append(1, alphas_cumprod[:-1])
        given = {"trained_betas": betas.tolist(), "timestep_spacing": "linspace"}
        reference = runs.scheduler("heun", "v", **given)
        reference.set_timesteps(6)
        want = runs.run_scheduler(reference, X, NOISES)
        got = run_table(build("heun", ZERO_SNR, 6, "v", spacing="linspace"), X, NOISES)
        assert relative_error(got, want) <= 1e-6  # of betas that end at 1 - 2**-24
        finer = run_table(build("heun", ZERO_SNR, 50, "v", spacing="linspace"), X, NOISES)
        assert relative_error(got, finer) > 1


@pytest.mark.parametrize("spacing", ["leading", "linspace"])
@pytest.mark.parametrize("name", ["ddpm", "euler_a", "dpm++_2m", "unipc"])
def test_zero_terminal_snr_in_a_folder_that_says_another_spacing(name, spacing):
    """What the folder says is what diffusers does with it, although leading never sees T-1."""
    with runs.in_float64():
        file = {"rescale_betas_zero_snr": True, "timestep_spacing": spacing}
        reference = runs.scheduler(name, "v", **file)
        config, prediction = schedule_config(
            dict(reference.config, _class_name=runs.CLASSES[name]), ""
        )
        reference.set_timesteps(20)
        want = runs.run_scheduler(reference, X, NOISES)
        table = build(name, NoiseSchedule.from_config(config), 20, prediction)
        assert (table.timestep[0] == 999) == (spacing == "linspace")
        assert relative_error(run_table(table, X, NOISES), want) <= IN_FLOAT64


@pytest.mark.parametrize("name", ["ddim", "euler", "dpm++_2m"])
def test_linear_betas(name):
    schedule = NoiseSchedule.from_config(ScheduleConfig(beta_schedule="linear"))
    reference = runs.scheduler(name, "v", beta_schedule="linear")
    reference.set_timesteps(20)
    want = runs.run_scheduler(reference, X, NOISES)
    assert relative_error(run_table(build(name, schedule, 20, "v"), X, NOISES), want) <= TOLERANCE


COARSE_IN_FLOAT32 = [
    # 4096 times the noise is rounded by 2e-4 before it is brought down to sigma 10.
    ("euler", "v", ZERO_SNR, {"spacing": "trailing"}, {"timestep_spacing": "trailing"}),
    ("euler_a", "v", ZERO_SNR, {"spacing": "trailing"}, {"timestep_spacing": "trailing"}),
    # 1 - beta is 1 - 0.999 at the last timestep, known to 6e-5.
    ("ddim", "v", COSINE, {}, {"beta_schedule": "squaredcos_cap_v2"}),
    ("euler", "v", COSINE, {}, {"beta_schedule": "squaredcos_cap_v2"}),
    ("dpm++_2m", "v", COSINE, {}, {"beta_schedule": "squaredcos_cap_v2"}),
    # Quotients of differences of logarithms of sigmas that are close.
    ("deis", "epsilon", SCHEDULE, {"order": 3}, {"solver_order": 3}),
    # The last two levels are 1.4 and 0.03 apart at 2 steps; Heun's second slope multiplies rounding
    # by their difference over 2*0.03, which x0 given directly does not hide.
    ("heun", "sample", SCHEDULE, {}, {}),
]


@pytest.mark.parametrize("steps", STEPS[1:])
@pytest.mark.parametrize(
    ("name", "prediction", "schedule", "ours", "theirs"),
    COARSE_IN_FLOAT32,
    ids=[f"{case[0]}-{i}" for i, case in enumerate(COARSE_IN_FLOAT32)],
)
def test_in_float64(name, prediction, schedule, ours, theirs, steps):
    if schedule is ZERO_SNR:
        theirs = theirs | {"rescale_betas_zero_snr": True}
    with runs.in_float64():
        reference = runs.scheduler(name, prediction, **theirs)
        reference.set_timesteps(steps)
        want = runs.run_scheduler(reference, X, NOISES)
        got = run_table(build(name, schedule, steps, prediction, **ours), X, NOISES)
    assert relative_error(got, want) <= IN_FLOAT64


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", ["unipc", "deis"])
def test_orders(name, steps, order):
    if (name, order, steps) == ("deis", 3, 50):
        pytest.skip("in test_in_float64")
    reference = runs.scheduler(name, "epsilon", solver_order=order)
    reference.set_timesteps(steps)
    want = runs.run_scheduler(reference, X, NOISES)
    got = run_table(build(name, SCHEDULE, steps, "epsilon", order=order), X, NOISES)
    assert relative_error(got, want) <= TOLERANCE


@pytest.mark.parametrize(
    ("name", "option", "value"),
    [
        ("ddim", "eta", 0.5),
        ("ddim", "eta", 1.0),
        ("tcd", "eta", 0.0),
        ("tcd", "eta", 1.0),
        ("lms", "order", 1),
        ("lms", "order", 2),
        ("lms", "order", 3),
    ],
)
def test_options_of_a_step(name, option, value):
    reference = runs.scheduler(name, "v")
    reference.set_timesteps(20)
    want = runs.run_scheduler(reference, X, NOISES, **{option: value})
    got = run_table(build(name, SCHEDULE, 20, "v", **{option: value}), X, NOISES)
    assert relative_error(got, want) <= TOLERANCE


@pytest.mark.parametrize("steps", [5, 20])
@pytest.mark.parametrize("order", [2, 3])
def test_unipc_with_the_other_b(steps, order):
    """With "bh1" diffusers multiplies 0 by infinity at sigma 0, so both end above it."""
    settings = {"solver_order": order, "solver_type": "bh1", "final_sigmas_type": "sigma_min"}
    reference = runs.scheduler("unipc", "v", **settings)
    reference.set_timesteps(steps)
    want = runs.run_scheduler(reference, X, NOISES)
    options = {"order": order, "variant": "bh1", "final_sigma": "smallest"}
    table = build("unipc", SCHEDULE, steps, "v", **options)
    assert relative_error(run_table(table, X, NOISES), want) <= TOLERANCE


@pytest.mark.parametrize("order", [1, 3])
def test_sa_solver_of_other_orders_and_of_another_tau(order):
    settings = {"predictor_order": order, "corrector_order": order, "tau_func": lambda t: 0.4}
    with runs.in_float64():
        reference = runs.scheduler("sa_solver", "v", **settings)
        reference.tau_func = lambda t: 0.4 if 200 <= t <= 800 else 0.0
        reference.set_timesteps(20)
        want = runs.run_scheduler(reference, X, NOISES)
        table = build("sa_solver", SCHEDULE, 20, "v", order=order, tau=0.4)
        assert relative_error(run_table(table, X, NOISES), want) <= 1e-8


@pytest.mark.parametrize("steps", [5, 20])
@pytest.mark.parametrize("name", ["dpm++_2m", "dpm++_2m_sde", "unipc"])
def test_end_above_zero_noise(name, steps):
    reference = runs.scheduler(name, "epsilon", final_sigmas_type="sigma_min")
    reference.set_timesteps(steps)
    want = runs.run_scheduler(reference, X, NOISES)
    got = run_table(build(name, SCHEDULE, steps, "epsilon", final_sigma="smallest"), X, NOISES)
    assert relative_error(got, want) <= TOLERANCE


@pytest.mark.parametrize("name", ["ddpm", "euler", "heun", "dpm++_2m", "lcm"])
def test_given_timesteps(name):
    timesteps = [999, 850, 700, 433, 200, 33]
    reference = runs.scheduler(name, "v")
    reference.set_timesteps(timesteps=timesteps)
    want = runs.run_scheduler(reference, X, NOISES)
    got = run_table(build(name, SCHEDULE, 6, "v", timesteps=timesteps), X, NOISES)
    assert relative_error(got, want) <= TOLERANCE


def test_given_sigmas():
    sigmas = [14.6, 7.0, 3.0, 1.0, 0.3, 0.0]
    reference = runs.scheduler("euler", "v")
    reference.set_timesteps(sigmas=sigmas)
    want = runs.run_scheduler(reference, X, NOISES)
    got = run_table(build("euler", SCHEDULE, 5, "v", sigmas=sigmas), X, NOISES)
    assert relative_error(got, want) <= TOLERANCE


SD15_FILE = runs.SD | {
    "_class_name": "PNDMScheduler",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}
XL_FILE = SD15_FILE | {"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}


@pytest.mark.parametrize(("file", "spec"), [(SD15_FILE, SD1), (XL_FILE, SDXL)], ids=["sd1", "sdxl"])
@pytest.mark.parametrize("name", [name for name in runs.CLASSES if name[:4] != "dpm2"])
def test_defaults_are_those_of_from_config(name, file, spec):
    """A pipeline whose scheduler is replaced by `Class.from_config(pipe.scheduler.config)`.

    DPM2's two begin as Heun's does, and take two seconds each.
    """
    own = getattr(runs.diffusers, file["_class_name"]).from_config(file)
    more = {"algorithm_type": "sde-dpmsolver++"} if name.endswith("sde") else {}
    reference = getattr(runs.diffusers, runs.CLASSES[name]).from_config(own.config, **more)
    reference.set_timesteps(20)
    want = runs.run_scheduler(reference, X, NOISES)
    table = build(name, NoiseSchedule.from_config(spec.schedule), 20, spec.prediction)
    assert relative_error(run_table(table, X, NOISES), want) <= TOLERANCE


# Where diffusers is wrong, or nearly so.


@pytest.mark.parametrize("name", ["ddim", "ddpm", "pndm", "lms", "euler", "euler_a", "heun"])
def test_one_step_of_linspace_begins_at_the_noisiest_level(name):
    """linspace(0, 999, 1) is [0], so diffusers tells the network that noise is a finished image
    and returns noise. One step must begin where two do, at 999; given that, it agrees.
    """
    reference = runs.scheduler(name, "v", timestep_spacing="linspace")
    reference.set_timesteps(1)
    assert reference.timesteps.tolist() == [0]
    if name in ("ddpm", "euler", "heun"):
        reference.set_timesteps(timesteps=[999])
    else:
        reference.timesteps = reference.timesteps.new_tensor([999])
        if name in ("lms", "euler_a"):
            reference.sigmas = reference.sigmas.new_tensor([SCHEDULE.noise_to_signal[-1], 0])
    want = runs.run_scheduler(
        reference, X, NOISES, strides=[1000] if name in ("ddim", "pndm") else None
    )
    got = run_table(build(name, SCHEDULE, 1, "v", spacing="linspace"), X, NOISES)
    assert relative_error(got, want) <= TOLERANCE


@pytest.mark.parametrize(
    ("spacing", "steps"),
    [
        ("linspace", 2),
        ("linspace", 5),
        ("linspace", 20),
        ("linspace", 50),
        ("trailing", 30),
    ],
)
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
@pytest.mark.parametrize("name", ["ddim", "pndm"])
def test_ddim_and_pndm_step_to_the_next_timestep(name, prediction, spacing, steps):
    """diffusers' two classes step by 1000//n whatever the next timestep is. Where the grid's
    strides are not that (linspace, or trailing with an n that does not divide 1000), the sample is
    at one level and the network is told another. Ours steps to the timestep at which it will call;
    diffusers given those strides agrees.
    """
    with runs.in_float64():
        got = run_table(build(name, SCHEDULE, steps, prediction, spacing=spacing), X, NOISES)
        reference = runs.scheduler(name, prediction, timestep_spacing=spacing)
        reference.set_timesteps(steps)
        assert relative_error(got, runs.run_scheduler(reference, X, NOISES)) > 1e-4
        reference.set_timesteps(steps)
        timesteps = np.unique(reference.timesteps.numpy())[::-1]
        strides = [*(timesteps[:-1] - timesteps[1:]).tolist(), 1000]
        if name == "pndm":
            strides.insert(0, strides[0])  # the first interval is crossed twice
        want = runs.run_scheduler(reference, X, NOISES, strides=strides)
    assert relative_error(got, want) <= IN_FLOAT64


@pytest.mark.parametrize("sigmas", ["karras", "exponential", "beta"])
@pytest.mark.parametrize("name", ["euler", "heun"])
def test_one_step_of_named_sigmas(name, sigmas):
    """In k-diffusion's grids they are laid between the ends of the spaced grid, and diffusers' grid
    of one step is timestep 0 (see above). Ours is the largest sigma, as in the DPM family.
    """
    table = build(name, SCHEDULE, 1, "v", sigmas=sigmas)
    assert table.sigma.tolist() == pytest.approx([SCHEDULE.noise_to_signal[-1], 0])


@pytest.mark.parametrize("sigmas", ["karras", "exponential", "beta"])
def test_one_step_of_deis_with_named_sigmas(sigmas):
    """diffusers appends the last sigma again, so one step goes from the largest to the largest and
    returns the noise it was given. Ours goes to the smallest, where more steps end in both.
    """
    reference = runs.scheduler("deis", "v", **{f"use_{sigmas}_sigmas": True})
    reference.set_timesteps(1)
    assert relative_error(runs.run_scheduler(reference, X, NOISES), X) < 1e-6
    table = build("deis", SCHEDULE, 1, "v", sigmas=sigmas)
    reference.sigmas[-1] = SCHEDULE.noise_to_signal[0]
    reference.timesteps[0] = 999
    reference._step_index, reference.lower_order_nums = None, 0
    want = runs.run_scheduler(reference, X, NOISES)
    assert relative_error(run_table(table, X, NOISES), want) <= TOLERANCE


@pytest.mark.parametrize("name", runs.CLASSES)
def test_first_sample_has_the_scale_of_init_noise_sigma(name):
    for spacing in spacings_of(name):
        ours, theirs = spaced(spacing)
        reference = runs.scheduler(name, "v", **theirs)
        reference.set_timesteps(20)
        start = build(name, SCHEDULE, 20, "v", **ours).start[1]
        assert start == pytest.approx(float(reference.init_noise_sigma), rel=1e-6)
