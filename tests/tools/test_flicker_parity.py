"""tools/measure_flicker.py: motion is taken out, and what flickers stays."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2")

from measure_flicker import difference, edges, frames_in, warped_difference
from scipy import ndimage

from jaxsd.images import write_picture

pytestmark = pytest.mark.parity


def smooth() -> np.ndarray:
    """Spots of some pixels on grey, [70, 70, 3]."""
    noise = np.random.default_rng(0).standard_normal((70, 70, 3))
    spots = ndimage.gaussian_filter(noise, (4, 4, 0))
    return np.uint8(np.clip(128 + 60 * spots / spots.std(), 0, 245))


def test_motion_is_taken_out_and_flicker_is_not() -> None:
    whole = smooth()
    one, moved = whole[3:67, 3:67], whole[1:65, 4:68]
    assert difference(one, moved) > 10
    assert warped_difference(one, moved) < 0.2 * difference(one, moved)
    assert warped_difference(one, one + np.uint8(10)) == pytest.approx(10, abs=0.5)
    assert edges(one) > 2 * edges(np.uint8(ndimage.gaussian_filter(one, (6, 6, 0))))


def test_frames_are_those_with_numbers(tmp_path: Path) -> None:
    for name in ("000000", "000001", "contact_sheet"):
        write_picture(tmp_path / f"{name}.png", smooth())
    assert len(frames_in(tmp_path)) == 2
    (tmp_path / "000001.png").unlink()
    with pytest.raises(ValueError, match="has 1 frames; give a folder of two or more"):
        frames_in(tmp_path)
