"""Files of learnt samplers: the same tables as those they were made of, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxsd.config import ScheduleConfig
from jaxsd.families import EMOJI, SD1
from jaxsd.outputs import adapter_hashes
from jaxsd.schedulers import NoiseSchedule, as_learnt, build, write_learnt
from jaxsd.schedulers.learnt import steps_in
from jaxsd.server.wishes import wish_of
from jaxsd.settings import Settings, checked, tableau_of

SCHEDULE = NoiseSchedule.from_config(ScheduleConfig())
GOOD = {"timesteps": [999, 500], "sigmas": [14.6, 2.5, 0], "weights": [[1], [1.3, -0.3]]}


@pytest.fixture
def path(tmp_path: Path) -> str:
    path = tmp_path / "few.json"
    learnt = [as_learnt(build("dpm++_2m_karras", SCHEDULE, n, "epsilon")) for n in (6, 4)]
    write_learnt(path, learnt, {"made": "by hand"})
    return str(path)


@pytest.mark.parametrize("prediction", ["epsilon", "v", "sample"])
@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_a_file_gives_the_table_it_was_made_of(path: str, prediction: str, strength: float) -> None:
    found = build(path, SCHEDULE, 6, prediction, strength=strength)
    wanted = build("dpm++_2m_karras", SCHEDULE, 6, prediction, strength=strength)
    if strength < 1:  # its first row can not read the estimate of a row that was left out
        wanted.history[0, 0, :2] = wanted.history[0, 0].sum(), 0
    for name, got, want in zip(found._fields, found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=2e-6, err_msg=name)


def test_the_sampler_of_the_built_in_model_is_for_it() -> None:
    path = Path(__file__).parents[2] / "configs/emoji-few-steps.json"
    assert steps_in(path) == (4, 6, 8, 10, 12)
    settings = checked(Settings(prompt="a", sampler=str(path)), EMOJI)
    assert tableau_of(settings, EMOJI).rows == 12
    assert settings.guidance_scale == json.loads(path.read_text())["about"]["guidance_scale"]
    with pytest.raises(ValueError, match="it was learnt for another model"):
        tableau_of(settings, SD1)


@pytest.mark.parametrize("name", ["ddim", "dpm++_2m"])
def test_zero_terminal_snr_begins_at_a_large_sigma(tmp_path: Path, name: str) -> None:
    schedule = NoiseSchedule.from_config(EMOJI.schedule)
    assert schedule.alpha[-1] == 0
    wanted, path = build(name, schedule, 4, "v"), tmp_path / "few.json"
    write_learnt(path, [as_learnt(wanted)], {})
    found = build(str(path), schedule, 4, "v")
    for field, got, want in zip(found._fields, found, wanted, strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=3e-4, err_msg=field)  # 1/4096


def test_a_file_is_a_sampler_of_settings(path: str) -> None:
    settings = checked(Settings(prompt="a", sampler=path), SD1)
    assert settings.steps == 6, "the most that the file has"
    assert tableau_of(settings, SD1).rows == 6
    assert list(adapter_hashes(settings)) == [path]
    again = [as_learnt(build("ddim", SCHEDULE, 6, "epsilon", spacing="trailing"))]
    write_learnt(path, again, {})
    assert tableau_of(settings, SD1).history[1, 0, 1] == 0, "a file that changed is read again"


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"timesteps": [500, 999]}, "timesteps must be falling numbers"),
        ({"sigmas": [14.6, 2.5]}, "sigmas must be 3 falling numbers for 2 steps"),
        ({"weights": [[1]]}, "weights are of 1 steps, not 2"),
        ({"weights": [[1], [0.5, 0.4]]}, "weights of step 1 add up to 0.9, not to 1"),
        ({"weights": [[1, 0], [1]]}, "weights of step 0 are 2; allowed are 1 to 1"),
        ({"eta": 1}, "unknown key 'samplers.eta'"),
        ({"sigmas": [80.0, 2.5, 0]}, "it was learnt for another model"),
        ({"timesteps": [1200, 500]}, "timesteps must be within 0 to 999"),
    ],
)
def test_wrong_files_are_told_in_one_line(tmp_path: Path, change: dict, line: str) -> None:
    path = tmp_path / "few.json"
    path.write_text(json.dumps({"samplers": [GOOD | change]}))
    with pytest.raises(ValueError, match=line) as told:
        build(str(path), SCHEDULE, 2, "epsilon")
    assert "\n" not in str(told.value)


def test_what_a_file_does_not_have_is_told(path: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has samplers of 4, 6 steps, not 5"):
        build(path, SCHEDULE, 5, "epsilon")
    with pytest.raises(ValueError, match="has no option 'eta': choose from none"):
        build(path, SCHEDULE, 4, "epsilon", eta=1.0)
    with pytest.raises(OSError, match=r"no\.json"):
        checked(Settings(sampler=str(tmp_path / "no.json")), EMOJI)
    with pytest.raises(ValueError, match="a file, which only the server's owner may name"):
        wish_of({"sampler": path}, Settings())
    with pytest.raises(ValueError, match="learnt from a multistep one without noise"):
        as_learnt(build("euler_a", SCHEDULE, 4, "epsilon"))
