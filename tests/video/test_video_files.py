"""Files of videos: frames, sound and recipe come back, and a second file has the same bytes."""

from pathlib import Path

import av
import numpy as np
import pytest
from beats import beaten
from PIL import Image
from video_cases import plan_of, sound_file

from jaxsd.images import picture_texts, png_bytes, read_image
from jaxsd.images.animation import frames_of, zoomed
from jaxsd.video.drive import Drive
from jaxsd.video.files import KINDS, TEXT, Film, check_kind, write_film
from jaxsd.video.making import made, places_of
from jaxsd.video.sheet import HIGH, shown_frames, video_sheet
from jaxsd.video.sound import Sound

COUNT, FPS = 12, 12.5
RECIPE = 'prompt = "ä"\n'
RATE = 44_100


def frames(height: int = 32, width: int = 48) -> list[np.ndarray]:
    """Smooth pictures, each another one."""
    y, x = np.mgrid[:height, :width] / 48
    return [
        (255 * np.stack([x, y, 0 * x + number / COUNT], axis=-1)).astype(np.uint8)
        for number in range(COUNT)
    ]


def decibels(one: np.ndarray, other: np.ndarray) -> float:
    error = np.mean((one.astype(float) - other) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-9)))


def film(sound: Sound | None = None) -> Film:
    return Film(frames(), COUNT, FPS, RECIPE, sound)


def seen(path: Path) -> list[np.ndarray]:
    if path.suffix in (".mp4", ".webm"):
        with av.open(str(path)) as file:
            return [one.to_ndarray(format="rgb24") for one in file.decode(video=0)]
    return list(frames_of(path))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_has_the_frames_and_the_recipe(kind: str, tmp_path: Path) -> None:
    path, other, counted = tmp_path / f"a{kind}", tmp_path / f"b{kind}", []
    assert write_film(path, film(), counted.append) == ""
    assert counted == [1] * COUNT
    found = seen(path)
    assert len(found) == COUNT
    least = min(decibels(*pair) for pair in zip(frames(), found, strict=True))
    print(f"{kind}: {least:.1f} dB")
    assert least > {".png": 90, ".webp": 90, ".gif": 30}.get(kind, 33)
    if kind in (".png", ".webp"):
        assert picture_texts(path)[TEXT] == RECIPE
    else:
        assert RECIPE.encode() in path.read_bytes()
    write_film(other, film(), counted.append)
    assert other.read_bytes() == path.read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"a{kind}", f"b{kind}"]


def test_times_of_frames(tmp_path: Path) -> None:
    write_film(tmp_path / "a.gif", film(), lambda _: None)
    with Image.open(tmp_path / "a.gif") as file:
        ticks = []
        for number in range(COUNT):
            file.seek(number)
            ticks.append(file.info["duration"])
    assert sum(ticks) == 1000 * COUNT / FPS
    write_film(tmp_path / "a.mp4", film(), lambda _: None)
    with av.open(str(tmp_path / "a.mp4")) as file:
        times = [float(one.pts * one.time_base) for one in file.decode(video=0)]
    np.testing.assert_allclose(times, np.arange(COUNT) / FPS, atol=1e-9)


@pytest.mark.parametrize(("kind", "channels"), [(".mp4", 1), (".mp4", 2), (".webm", 3)])
def test_sound_is_in_step(kind: str, channels: int, tmp_path: Path) -> None:
    mono = beaten(3.0, 120.0, RATE)
    sound = Sound(np.tile(mono[:, None], (1, channels)), RATE, "")
    for name in ("a", "b"):
        write_film(tmp_path / f"{name}{kind}", film(sound), lambda _: None)
    assert (tmp_path / f"a{kind}").read_bytes() == (tmp_path / f"b{kind}").read_bytes()
    with av.open(str(tmp_path / f"a{kind}")) as file:
        parts = list(file.decode(audio=0))
    rate, own = parts[0].sample_rate, np.concatenate([one.to_ndarray() for one in parts], axis=1)
    began = round(float(parts[0].pts * parts[0].time_base) * rate)
    assert abs(len(own[0]) + began - rate * COUNT / FPS) < 2048, "as long as the pictures"
    want = np.interp(np.arange(rate * COUNT / FPS) / rate, np.arange(len(mono)) / RATE, mono)
    heard = np.concatenate([np.zeros(max(began, 0)), own[0][max(-began, 0) :]])
    size = 2 * max(len(want), len(heard))
    fit = np.fft.irfft(np.fft.rfft(heard, size) * np.fft.rfft(want, size).conj())
    late = (int(fit.argmax()) + size // 2) % size - size // 2
    print(f"{kind}: {late / rate * 1000:.2f} ms late")
    assert abs(late) / rate < 0.002


def test_sides_that_are_odd_get_a_line(tmp_path: Path) -> None:
    odd = film()._replace(frames=[frame[:31, :47] for frame in frames()])
    line = write_film(tmp_path / "a.mp4", odd, lambda _: None)
    assert line == "47x31 became 48x32: sides must be even"
    assert seen(tmp_path / "a.mp4")[0].shape == (32, 48, 3)
    assert write_film(tmp_path / "a.png", odd, lambda _: None) == ""


def test_kinds_without_sound_get_a_line() -> None:
    assert check_kind(Path("a.mp4"), sounds=True) == check_kind(Path("a.gif"), sounds=False) == ""
    assert "this kind of file has none" in check_kind(Path("a.gif"), sounds=True)


def test_a_zoom_is_to_the_middle() -> None:
    image = np.zeros((32, 48, 3), np.uint8)
    image[12:20, 18:30] = 255
    assert zoomed(image, 1.0, 1) is image
    assert zoomed(image, 1.0, 2).shape == (64, 96, 3)
    near = zoomed(image, 2.0, 1)
    assert near.shape == image.shape
    wide = (near[..., 0] > 127).nonzero()
    assert [(side.min(), side.max()) for side in wide] == [(8, 23), (12, 35)]


def drawn(folder: Path, count: int) -> Path:
    """The folder of a run that drew frames."""
    lines = []
    for number, frame in enumerate(frames()[:count]):
        (folder / f"{number}.png").write_bytes(png_bytes(frame))
        lines.append(f'{{"id": "{number:06d}", "status": "drawn", "file": "{number}.png"}}\n')
    (folder / "manifest.jsonl").write_text("".join(reversed(lines)))
    return folder / "manifest.jsonl"


def test_a_folder_of_frames_with_recipe_and_sheet(tmp_path: Path) -> None:
    sound = sound_file(tmp_path, beaten(1.0, 120.0, RATE), RATE)
    drives = (Drive(by="beats", moves="zoom", amount=0.0),)
    told = {"output": str(tmp_path / "out"), "audio": sound, "drive": drives}
    plan = plan_of({"prompt": "a"}, {"prompt": "b"}, **told)
    files, line = made(plan, places_of(drawn(tmp_path, 8)), "abc", done=lambda _: None)
    assert line == ""
    assert [one.name for one in files] == ["out", "recipe.toml", "contact_sheet.png"]
    for number, frame in enumerate(frames()[:8]):
        np.testing.assert_array_equal(read_image(tmp_path / f"out/{number:06d}.png"), frame)
    images = [frames()[number] for number in shown_frames(plan)]
    sheet = video_sheet(plan, images)
    np.testing.assert_array_equal(read_image(files[2]), sheet)
    assert len(sheet) > 2 * HIGH + 32
    assert len(video_sheet(plan._replace(sound=None), images)) < 2 * HIGH


def test_frames_of_another_video_have_a_line(tmp_path: Path) -> None:
    plan = plan_of({"prompt": "a"}, output=str(tmp_path / "out"))
    with pytest.raises(ValueError, match=r"1 frames of [0-9]+ are there; if another command draws"):
        made(plan, [tmp_path / "000000.png"], "abc", done=lambda _: None)
    assert not (tmp_path / "out").exists()


def test_a_frame_that_was_not_drawn_has_a_line(tmp_path: Path) -> None:
    manifest = drawn(tmp_path, 8)
    said = manifest.read_text().splitlines(keepends=True)
    said[-4] = '{"id": "000003", "status": "failed", "error": "why"}\n'
    manifest.write_text("".join(said))
    with pytest.raises(ValueError, match="frame 3 could not be drawn: why"):
        places_of(manifest)
