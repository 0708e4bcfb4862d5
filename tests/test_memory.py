"""What never fits is refused before anything is compiled."""

import pytest

from jaxsd import memory
from jaxsd.families import FAMILIES
from jaxsd.memory import check_batch, check_drawing
from jaxsd.settings import Settings, checked

SPEC = FAMILIES["sd1"]


@pytest.fixture(autouse=True)
def sixteen_gigabytes(monkeypatch):
    monkeypatch.setattr(memory, "host_bytes", lambda: 16 * 10**9)


def test_what_may_fit_is_not_refused():
    for side, images, together in ((512, 10_000, 8), (4096, 1, 1)):
        check_drawing(checked(Settings("a", width=side, height=side), SPEC), SPEC, images, together)
    check_batch(SPEC, 512, 1024)


@pytest.mark.parametrize(
    ("side", "images", "together", "complaint"),
    [
        (
            65536,
            1,
            1,
            "1113 GB of memory are the least for 1 picture of 65536 x 65536, and there",
        ),
        (
            512,
            10**8,
            8,
            "78644 GB of memory are the least for 100000000 pictures of 512 x 512",
        ),
        (
            8192,
            8,
            8,
            "140 GB of memory are the least for 8 pictures of 8192 x 8192, and there are 16;",
        ),
    ],
)
def test_what_can_not_fit_is_refused(side, images, together, complaint):
    settings = checked(Settings("a", width=side, height=side), SPEC)
    with pytest.raises(ValueError, match=complaint):
        check_drawing(settings, SPEC, images, together)


def test_a_batch_that_can_not_fit_is_refused():
    with pytest.raises(ValueError, match="a batch of 1000000000 pictures of 512 x 512"):
        check_batch(SPEC, 512, 10**9)


def test_the_memory_of_a_larger_device_counts(monkeypatch):
    monkeypatch.setattr(memory, "_device_bytes", lambda: 200 * 10**9)
    check_drawing(Settings("a", width=8192, height=8192), SPEC, 8, 8)
