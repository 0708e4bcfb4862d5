"""What never fits is refused before anything is compiled."""

import numpy as np
import pytest

from jaxsd import memory
from jaxsd.families import FAMILIES
from jaxsd.memory import check_batch, check_crops, check_drawing, check_trained
from jaxsd.settings import Settings, checked

SPEC = FAMILIES["sd1"]


@pytest.fixture(autouse=True)
def sixteen_gigabytes(monkeypatch):
    monkeypatch.setattr(memory, "host_bytes", lambda: 16 * 10**9)


def test_what_may_fit_is_not_refused():
    for side, images, together in ((512, 10_000, 8), (4096, 1, 1)):
        check_drawing(checked(Settings("a", width=side, height=side), SPEC), SPEC, images, together)
    check_batch(SPEC, 512, 1024, 1, latents=False)
    check_batch(SPEC, 512, 1, 10**5, latents=True)


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


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        (lambda: check_batch(SPEC, 512, 10**6, 1, latents=True), "1 x 1000000 pictures of 512 x"),
        (lambda: check_batch(SPEC, 512, 1, 10**6, latents=True), "1000000 x 1 pictures of 512 x"),
        (lambda: check_batch(SPEC, 512, 1, 10**5, latents=False), "100000 x 1 pictures of 512 x"),
        (lambda: check_crops(SPEC.vae, 512, 512, 1), "1 x 512 crops of 512 x 512"),
        (lambda: check_crops(SPEC.vae, 512, 1, 10**5), "100000 x 1 crops of 512 x 512"),
        (
            lambda: check_trained([np.broadcast_to(0, 3 * 10**9)], "lower lora.rank"),
            "24 GB of memory are the least for training 3000000000 weights",
        ),
    ],
)
def test_training_that_can_not_fit_is_refused(check, complaint):
    with pytest.raises(ValueError, match=complaint):
        check()


def test_pictures_are_kept_on_the_host_and_drawn_on_the_device(monkeypatch):
    large = Settings("a", width=8192, height=8192)  # 0.2 GB kept, 17 GB drawn
    monkeypatch.setattr(memory, "_device_bytes", lambda: 200 * 10**9)
    check_drawing(large, SPEC, 8, 8)
    with pytest.raises(ValueError, match=r"81 GB .* 400 pictures .* 16;"):
        check_drawing(large, SPEC, 400, 8)
    monkeypatch.setattr(memory, "_device_bytes", lambda: 10 * 10**9)
    with pytest.raises(ValueError, match=r"18 GB .* 1 picture .* 10;"):
        check_drawing(large, SPEC, 1, 1)


@pytest.mark.parametrize(
    ("groups", "files", "limits"),
    [
        ("0::/a/b", {"a/b/memory.max": "max", "a/memory.max": "7", "memory.max": "9"}, [7, 9]),
        ("0::/elsewhere", {"memory.max": "7"}, [7]),
        (
            "5:cpu,memory:/docker/1\n1:name=systemd:/\n0::/",
            {"memory/docker/1/memory.limit_in_bytes": "7", "cpu/memory.limit_in_bytes": "1"},
            [7],
        ),
        ("3:cpu:/", {"memory/memory.limit_in_bytes": "7"}, []),
    ],
)
def test_the_limits_of_control_groups(groups, files, limits, tmp_path):
    listed = tmp_path / "groups"
    listed.write_text(groups + "\n")
    for name, text in files.items():
        path = tmp_path / "mount" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    assert list(memory._limits(listed, tmp_path / "mount")) == limits
    assert list(memory._limits(tmp_path / "none", tmp_path / "mount")) == []
