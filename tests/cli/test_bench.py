"""`jaxsd bench`: what it refuses before anything runs."""

import pytest

from jaxsd.cli.bench import _jobs
from jaxsd.cli.main import parse, run


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--rounds", "0"], "--rounds 0 is not a number above 0"),
        (["--size", "100"], "--size 100 is not a multiple of 8 pixels above 0"),
        (["--peer", "torch"], "--peer 'torch' is not NAME=COMMAND"),
    ],
)
def test_a_mistake_is_one_line(arguments, complaint, capsys):
    with pytest.raises(SystemExit) as ended:
        run(["bench", *arguments])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"jaxsd bench: {complaint}\n"


def test_quick_is_the_built_in_model_and_a_small_sd15():
    jobs = _jobs(parse(["jaxsd", "bench", "--quick"]))
    assert {(job.model, job.size) for job in jobs} == {("emoji", 128), ("sd15", 256)}
