"""Frames that are made from the frame before, by a fake that draws what it is given."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from video_cases import SPEC, plan_of

from jaxsd.canvases import Pictures
from jaxsd.images.moving import Move, moved, moved_noise
from jaxsd.settings import Control, Settings
from jaxsd.video.config import BEFORE
from jaxsd.video.following import between, follow
from jaxsd.video.pictures import check_files


def waves(height: int = 64, width: int = 96) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    each = [127 + 60 * np.sin(x / 9 + y / 13 + i) + 40 * np.cos(y / 7 - i) for i in range(3)]
    return np.stack(each, axis=-1).astype(np.uint8)


def test_a_shift_moves_pixels_and_mirrors_the_rest() -> None:
    image = waves()
    got = moved(image, Move(x=8 / 96, y=-4 / 64))
    np.testing.assert_array_equal(got[:-4, 8:], image[4:, :-8])
    np.testing.assert_array_equal(got[:-4, :8], image[4:, 7::-1])


@pytest.mark.parametrize("move", [Move(1.25), Move(angle=10), Move(1.1, -7, 0.05, -0.03)])
def test_a_move_and_its_opposite_give_the_picture_back(move: Move) -> None:
    """Within the filter's error, away from the sides."""
    image = waves()
    there = moved(image, Move(angle=move.angle, zoom=move.zoom))
    back = moved(there, Move(1 / move.zoom, -move.angle))
    error = np.abs(back[20:-20, 30:-30].astype(int) - image[20:-20, 30:-30]).mean()
    assert error < 1.5
    assert np.abs(there[20:-20, 30:-30].astype(int) - image[20:-20, 30:-30]).mean() > 5


def test_things_turn_against_the_clock_and_become_larger() -> None:
    image = np.zeros((65, 65, 3), np.uint8)
    image[30:35, 45:50] = 255  # right of the middle
    y, x = np.argwhere(moved(image, Move(angle=90))[..., 0] > 128).mean(0)
    assert (y, x) == pytest.approx((17, 32), abs=1), "above it"
    assert (moved(image, Move(1.3))[..., 0] > 128).sum() == pytest.approx(25 * 1.69, rel=0.2)


@pytest.mark.parametrize("move", [Move(x=0.25), Move(1.5), Move(0.7, 30, 0.1), Move(angle=90)])
def test_noise_moves_along_and_stays_independent(move: Move) -> None:
    noise, fresh = np.random.default_rng(0).standard_normal((2, 32, 32, 4))
    got = moved_noise(noise, move, fresh)
    both = np.concatenate([noise, fresh]).ravel()
    assert np.isin(got, both).all(), "values of either"
    assert len(np.unique(got)) == got.size, "none of them twice"
    assert np.isin(got, noise).mean() > 0.35
    assert (moved_noise(noise, Move(), fresh) == noise).all()
    shifted = moved_noise(noise, Move(x=0.25), fresh)
    assert (shifted[:, 8:] == noise[:, :-8]).all()
    assert (shifted[:, :8] == fresh[:, :8]).all()


def told(**more: Any) -> dict[str, Any]:
    return {"follow": 0.5, "sampler": "ddim", "width": 32, "height": 32, "fps": 4.0} | more


class Fake:
    """Draws what it is given, one step lighter, and remembers it."""

    def __init__(self) -> None:
        self.seen: list[tuple[Settings, Pictures, np.ndarray]] = []
        self.shares: list[float] = []

    def __call__(
        self, settings: Settings, pictures: Pictures, noise: np.ndarray, share: float
    ) -> np.ndarray:
        self.shares.append(share)
        self.seen.append((settings, pictures, noise))
        before = pictures.image
        return np.full((32, 32, 3), 10, np.uint8) if before is None else before + 10


def test_each_frame_begins_from_the_one_before(tmp_path: Path) -> None:
    keys = {"prompt": "a", "control": [":canny:0.5"]}, {"prompt": "b", "x": 1.0}
    plan, fake, done = plan_of(*keys, **told(blend=0.2)), Fake(), []
    check_files(plan)
    places = follow(plan, tmp_path, SPEC, "abc", fake, done.append)
    assert done == [1] * 4
    assert [place.name for place in places] == [f"{i:06d}.png" for i in range(4)]
    assert [one.image for one, *_ in fake.seen] == ["", *[BEFORE] * 3]
    assert fake.shares == [0, 0.2, 0.2, 0.2]
    assert [one.strength for one, *_ in fake.seen] == [1, 0.5, 0.5, 0.5]
    assert [one.control for one, *_ in fake.seen] == [(), *[(Control("", "canny", 0.5),)] * 3]
    assert all(one[1].controls[0] is one[1].image for one in fake.seen[1:])
    for (*_, one), (*_, other) in zip(fake.seen, fake.seen[1:], strict=False):
        assert (other[:, 1:] == one[:, :-1]).all(), "noise goes along by a fourth of the width"
    assert between(plan.frames[0].camera, plan.frames[1].camera).x == pytest.approx(0.25)


def test_what_was_stopped_goes_on(tmp_path: Path) -> None:
    plan, whole, rest = plan_of({"prompt": "a"}, **told()), Fake(), Fake()
    places = follow(plan, tmp_path, SPEC, "abc", whole, lambda _: None)
    before = [place.read_bytes() for place in places]
    for place in places[2:]:
        place.unlink()
    plan = plan_of({"prompt": "a"}, **told(output="out.gif", enlarge=2))
    follow(plan, tmp_path, SPEC, "abc", rest, lambda _: None)
    assert len(rest.seen) == 2
    assert [place.read_bytes() for place in places] == before
    assert (rest.seen[-1][2] == whole.seen[-1][2]).all()
    other = plan_of({"prompt": "b"}, **told())
    with pytest.raises(ValueError, match="has frames of another video; give this one another na"):
        follow(other, tmp_path, SPEC, "abc", rest, lambda _: None)


def test_a_control_without_a_picture_needs_frames_to_look_at() -> None:
    plan = plan_of({"prompt": "a", "control": [":canny"]})
    with pytest.raises(ValueError, match=r"control ':canny:1.0:0.0:1.0' has no picture; give one"):
        check_files(plan)


@pytest.mark.parametrize(
    ("key", "options", "says"),
    [
        ({}, {"motion": "mm.ckpt"}, "follow and motion do not go together; give one of them"),
        (
            {"x": 0.1},
            {"follow": 0.0},
            "key frame 2: angle, x, y move the frame before; give",
        ),
        ({}, {"follow": 0.0, "blend": 0.1}, "blend is of frames that are made from those before"),
        ({"seed": 2}, {}, "key frames 1 and 2 differ in seed, and with follow the noise moves"),
        ({}, {"hires": 2.0}, "key frame 1: hires 2 enlarges what was drawn of a prompt, and there"),
        ({}, {"follow": 1.5}, "follow 1.5 is out of range; allowed is 0 to 1"),
    ],
)
def test_what_does_not_go_with_following(key: Any, options: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        plan_of({"prompt": "a"}, key, **told(**options))
    assert "\n" not in str(error.value)
