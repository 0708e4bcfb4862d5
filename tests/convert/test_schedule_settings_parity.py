"""The settings of every scheduler class of diffusers, as it writes them."""

import inspect

import numpy as np
import pytest

from jaxsd.convert.diffusers.edm_settings import EDM_CLASSES
from jaxsd.convert.diffusers.fields import read_json
from jaxsd.convert.diffusers.folder import _PIPELINES, _SD
from jaxsd.convert.diffusers.schedule_settings import CLASSES, schedule_config, scheduler_settings
from jaxsd.families import COSXL, PLAYGROUND
from jaxsd.schedulers import NoiseSchedule

diffusers = pytest.importorskip("diffusers")
pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore")]

SD = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
HERE = [name for name in CLASSES if name != "DPMSolverSDEScheduler"]  # that one needs torchsde


@pytest.mark.parametrize("settings", [{}, SD | {"prediction_type": "v_prediction"}], ids=str)
@pytest.mark.parametrize("name", HERE)
def test_every_class_reads_as_diffusers_has_it(name, settings, tmp_path):
    theirs = getattr(diffusers, name)(**settings)
    if name == "SASolverScheduler":  # its tau_func has a default that can not be written
        table = {key: value for key, value in theirs.config.items() if key != "tau_func"}
        table["_class_name"] = name
    else:
        theirs.save_config(tmp_path)
        table = read_json(tmp_path / "scheduler_config.json")  # -Infinity is in some of them
    schedule, prediction = schedule_config(table, "scheduler_config.json")
    ours = NoiseSchedule.from_config(schedule)
    np.testing.assert_allclose(ours.alphas_cumprod, theirs.alphas_cumprod.numpy(), rtol=3e-5)
    assert prediction == ("v" if settings else "epsilon")
    only_some = "set_alpha_to_one" in theirs.config
    assert ours.set_alpha_to_one == (only_some and theirs.config.set_alpha_to_one)
    bare, _ = schedule_config({"_class_name": name} | settings, "")
    assert (bare.beta_schedule, bare.beta_start, bare.beta_end, bare.set_alpha_to_one) == (
        schedule.beta_schedule,
        schedule.beta_start,
        schedule.beta_end,
        schedule.set_alpha_to_one,
    )


@pytest.mark.parametrize("name", EDM_CLASSES)
def test_continuous_noise_reads_as_diffusers_has_it(name, tmp_path):
    cosxl = {"sigma_max": 120.0, "sigma_data": 1.0, "sigma_schedule": "exponential"}
    for settings, spec in (({}, PLAYGROUND), (cosxl | {"prediction_type": "v_prediction"}, COSXL)):
        getattr(diffusers, name)(**settings).save_config(tmp_path)
        table = read_json(tmp_path / "scheduler_config.json")
        want = (spec.schedule, spec.prediction)
        assert schedule_config(table, "scheduler_config.json") == want
        assert schedule_config(scheduler_settings(spec), "") == want


@pytest.mark.parametrize("kind", _PIPELINES)
def test_the_offset_is_set_by_the_same_pipelines(kind):
    made = getattr(diffusers, kind)
    parts = inspect.signature(made).parameters.values()
    none = {one.name: None for one in parts if one.default is one.empty}
    whole = made(**none | {"scheduler": diffusers.DDIMScheduler(steps_offset=0)})
    assert (whole.scheduler.config.steps_offset == 1) == (kind in _SD)


def test_all_other_classes_are_refused():
    others = [
        name
        for name in dir(diffusers)
        if name.endswith("Scheduler")
        and name not in (*CLASSES, *EDM_CLASSES)
        and inspect.isclass(getattr(diffusers, name))
    ]
    assert {"CogVideoXDDIMScheduler", "DDIMInverseScheduler"} < set(others)
    for name in others:
        with pytest.raises(ValueError, match=f"the scheduler '{name}' is not supported"):
            schedule_config({"_class_name": name}, "")
