"""A table notices what is wrong with it."""

import numpy as np
import pytest
from slow_loop import run_table

from jaxsd.config import ScheduleConfig
from jaxsd.schedulers import NoiseSchedule, Tableau, build, check, check_point_mass, padded
from jaxsd.schedulers.tableau import HISTORY, SAMPLES, preconditioning

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())


def table(name="dpm++_2m", steps=5):
    built = build(name, SCHEDULE, steps, "epsilon")
    return Tableau(*(np.array(field, np.float64) for field in built))


def test_shapes_and_dtype():
    built = build("unipc", SCHEDULE, 7, "v")
    assert built.rows == 7
    assert built.samples.shape == (7, SAMPLES, SAMPLES)
    assert built.history.shape == (7, SAMPLES, HISTORY)
    assert {field.dtype for field in built} == {np.dtype("float32")}


def test_not_finite():
    wrong = table()
    wrong.samples[2, 0, 0] = np.nan
    with pytest.raises(ValueError, match=r"tableau\.samples has values that are not finite"):
        check(wrong)


def test_wrong_shape():
    with pytest.raises(ValueError, match=r"tableau\.alpha has shape \(5,\), not \(6,\)"):
        check(table()._replace(alpha=np.ones(5)))


def test_history_that_does_not_exist():
    wrong = table()
    wrong.history[1, 0, 2] = 0.1
    with pytest.raises(ValueError, match="row 1 of the tableau reads predictions that do not"):
        check(wrong)


@pytest.mark.parametrize(
    "field", ["c_in", "c_skip", "c_out", "keep", "samples", "history", "noise"]
)
def test_point_mass_notices_every_field(field):
    """A change of 1% in the last row of any column."""
    wrong = build("dpm++_2m_sde", SCHEDULE, 5, "epsilon", final_sigma="smallest")
    wrong = Tableau(*(np.array(array, np.float64) for array in wrong))
    check_point_mass(wrong, "epsilon", tolerance=1e-5)
    changed = getattr(wrong, field)
    changed[-1] *= 1.01
    with pytest.raises(ValueError, match="turns a point into"):
        check_point_mass(wrong, "epsilon", tolerance=1e-5)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample"])
@pytest.mark.parametrize("scale", [1.0, 7.0])
def test_preconditioning_recovers_x0(prediction, scale):
    """From any scaling of alpha*x0 + sigma*noise, with the definitions of the predictions."""
    rng = np.random.default_rng(0)
    x0, noise = rng.standard_normal((2, 100))
    alpha, sigma = np.cos(0.7), np.sin(0.7)
    output = {"epsilon": noise, "v": alpha * noise - sigma * x0, "sample": x0}[prediction]
    c_in, c_skip, c_out = preconditioning(
        prediction, np.array([scale * alpha]), np.array([scale * sigma])
    )
    z = scale * (alpha * x0 + sigma * noise)
    assert np.std(c_in * z - (alpha * x0 + sigma * noise)) < 1e-12
    np.testing.assert_allclose(c_skip * z + c_out * output, x0, atol=1e-12)


def test_padded_rows_change_nothing():
    short = table()
    long = padded(short, 8)
    check(long)
    assert long.rows == 8
    x, noises = np.random.default_rng(0).standard_normal((2, 8, 3))
    np.testing.assert_array_equal(run_table(long, x, noises), run_table(short, x, noises))
    assert long.sigma[-1] == short.sigma[-1]
    with pytest.raises(ValueError, match="of 8 rows cannot be padded to 5"):
        padded(long, 5)
