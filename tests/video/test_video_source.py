"""Clips that are drawn over: their frames, times and kinds of files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from video_cases import plan_of

from jaxsd.images import read_image, write_picture
from jaxsd.images.animation import frames_of
from jaxsd.settings import Control
from jaxsd.video.files import Film, write_film
from jaxsd.video.pictures import over_clip
from jaxsd.video.source import Source, open_source, source_hash, write_frames

COUNT, FPS = 6, 8.0


def frames() -> list[np.ndarray]:
    """Grey pictures, each lighter than that before."""
    return [np.full((32, 48, 3), 20 + 40 * i, np.uint8) for i in range(COUNT)]


@pytest.fixture(params=["folder", ".gif", ".webp", ".mp4"])
def clip(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "folder":
        for i, frame in enumerate(frames()):
            (tmp_path / "clip").mkdir(exist_ok=True)
            write_picture(tmp_path / "clip" / f"{i}.png", frame)
        return tmp_path / "clip"
    path = tmp_path / f"clip{request.param}"
    write_film(path, Film(frames(), COUNT, FPS, ""), lambda _: None)
    return path


def test_frames_and_times(clip: Path, tmp_path: Path) -> None:
    source = open_source(str(clip), FPS)
    np.testing.assert_allclose(source.times, np.arange(COUNT) / FPS, atol=0.01)
    assert source.seconds == pytest.approx(COUNT / FPS, abs=0.01)
    numbers = source.numbers(4, FPS / 2)
    assert numbers == [0, 2, 4, 5], "the last one stays"
    places = write_frames(source, numbers, tmp_path / "out")
    found = [read_image(place).mean() for place in places]
    np.testing.assert_allclose(found, [20 + 40 * i for i in numbers], atol=3)
    before = places[0].stat().st_mtime_ns
    assert write_frames(source, numbers, tmp_path / "out") == places
    assert places[0].stat().st_mtime_ns == before, "what is there stays"
    assert source_hash(source) == source_hash(open_source(str(clip), FPS))


def test_an_animation_is_read_as_pictures_are(tmp_path: Path) -> None:
    """On white where it is transparent, and whatever texts it has."""
    clear = [Image.fromarray(np.full((8, 8, 4), (200, 0, 0, 255 * i), np.uint8)) for i in range(2)]
    told = PngInfo()
    told.add_text("x", "a" * 2_000_000, zip=True)
    for name in ("a.png", "a.webp"):
        more = {"pnginfo": told} if name == "a.png" else {"lossless": True}
        path = tmp_path / name
        clear[0].save(path, save_all=True, append_images=clear[1:], duration=500, **more)
        assert open_source(str(path), FPS).times.tolist() == [0, 0.5]
        found = [frame[0, 0].tolist() for frame in frames_of(path)]
        assert found == [[255, 255, 255], [200, 0, 0]]


@pytest.mark.parametrize("ending", [".png", ".gif", ".webp", ".mp4"])
def test_damaged_clips_are_one_line(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip{ending}"
    write_film(path, Film(frames(), COUNT, FPS, ""), lambda _: None)
    whole, said = path.read_bytes(), []
    for place in range(40, len(whole), max(7, len(whole) // 12)):
        path.write_bytes(whole[:place] + bytes(20) + whole[place + 20 :])
        try:
            source = open_source(str(path), FPS)
            write_frames(source, [0, len(source.times) - 1], tmp_path / f"out{place}")
        except (OSError, ValueError) as error:
            said.append(str(error))
    assert said
    assert all(one.startswith(f"clip {path}") and "\n" not in one for one in said)


def test_lists_of_films_are_none(tmp_path: Path) -> None:
    write_film(tmp_path / "a.mp4", Film(frames(), COUNT, FPS, ""), lambda _: None)
    for name, text in (
        ("a.txt", "a cat " * 10_000),
        ("a.ffconcat", "ffconcat version 1.0\nfile a.mp4\n"),
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\na.mp4\n#EXT-X-ENDLIST\n"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(OSError, match=rf"clip .*{name} can not be read as a film: "):
            open_source(str(tmp_path / name), FPS)


def test_pictures_of_a_clip_have_a_limit(tmp_path: Path) -> None:
    Image.new("1", (8200, 8200)).save(tmp_path / "a.png")
    with pytest.raises(OSError, match=r"clip .*a\.png: no picture: 8200 x 8200 pixels, more than"):
        open_source(str(tmp_path / "a.png"), FPS)


def test_each_frame_begins_from_its_own_and_edges_look_at_it(tmp_path: Path) -> None:
    write_film(tmp_path / "a.gif", Film(frames(), COUNT, FPS, ""), lambda _: None)
    told = {"clip": str(tmp_path / "a.gif"), "seconds": 0.0, "strength": 0.4}
    control = [":canny:0.5", "own.png:depth"]
    plan = over_clip(plan_of({"prompt": "a", "control": control}, **told), tmp_path / "clip")
    assert len(plan.frames) == COUNT, "as long as the clip"
    for i, (settings, *_) in enumerate(plan.frames):
        assert settings.image == str(tmp_path / f"clip/{i:06d}.png")
        assert settings.control == (
            Control(settings.image, "canny", 0.5),
            Control("own.png", "depth"),
        )
        assert settings.strength == 0.4


def test_seeds_of_a_clip_with_motion() -> None:
    plan = plan_of({"prompt": "a", "seed": 7}, {"prompt": "b"}, motion="mm.ckpt", loop=True)
    assert [frame.settings.seed for frame in plan.frames] == [*range(7, 15)]
    assert all(frame.settings.motion_loop for frame in plan.frames)
    assert plan.frames[2].settings.blend_strength == 0.5


@pytest.mark.parametrize(
    ("keys", "options", "says"),
    [
        ([{"seed": 1}, {"seed": 2}], {}, "key frames 1 and 2 differ in seed, and with motion each"),
        ([{}, {"lora": ["a.pt"]}], {}, "key frames 1 and 2 differ in lora, and with motion all"),
        ([{}], {"steady": 0.5}, "steady draws the first frame alone, and motion all frames"),
        ([{}], {"reuse": 3}, "motion and reuse do not go together; give one of them"),
        ([{}], {"motion_context": (4, 4)}, "motion_context 4 4 is out of range; allowed are LEN"),
        ([{"seed": 2**63 - 1}], {}, "the last frame would have seed 9223372036854775814; the lar"),
        ([{}], {"clip": "a.mp4", "image": "b.png"}, "clip gives each frame a picture to begin f"),
        ([{}], {"motion": "", "motion_lora": ("a.pt",)}, "motion_lora needs motion modules"),
    ],
)
def test_what_does_not_go_with_motion(keys: list, options: dict, says: str) -> None:
    with pytest.raises(ValueError, match=says) as error:
        plan_of(*keys, **{"motion": "mm.ckpt", "prompt": "a", "sampler": "ddim"} | options)
    assert "\n" not in str(error.value)


def test_wrong_clips_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"no film")
    (tmp_path / "none").mkdir()
    with pytest.raises(OSError, match=r"clip .*no\.mp4 can not be read as a film: Invalid data"):
        open_source(str(tmp_path / "no.mp4"), FPS)
    with pytest.raises(ValueError, match="none has no pictures"):
        open_source(str(tmp_path / "none"), FPS)
    with pytest.raises(FileNotFoundError, match="clip: there is no file or folder 'no'"):
        open_source("no", FPS)
    source = Source(tmp_path / "none", np.zeros(1), 1.0)
    with pytest.raises(OSError, match="none ends before its frame 0"):
        write_frames(source, [0], tmp_path / "out")
