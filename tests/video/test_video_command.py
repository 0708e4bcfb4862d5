"""`jaxsd video` as people run it: a clip that follows a beat, the same again, and after kills."""

import random
import signal
import socket
import time
from pathlib import Path

import av
import jax
import numpy as np
import pytest
from beats import beaten
from bulk_models import tiny_model
from forked import Forked
from motion_fakes import write_original
from safetensors.numpy import load_file, save_file
from tiny_models import uniform
from video_cases import sound_file

from jaxsd.adapters.lora import initial_lora
from jaxsd.adapters.lora_writing import write_lora_kohya
from jaxsd.convert import open_model
from jaxsd.images.animation import frames_of
from jaxsd.video.drive import per_frame
from jaxsd.video.hearing import onsets, power

pytestmark = pytest.mark.release

RATE, FPS = 44_100, 10.0
SECONDS = 10.0

BEAT = """
audio = "{sound}"
fps = {fps}
size = "64x64"
steps = 4
sampler = "dpm++_2m"
batch_size = 10
prompt = "a red apple"

[[key]]
seed = 1
[[key]]
seed = 2
[[key]]
prompt = "a cat"

[[drive]]
by = "onsets"
moves = "walk"

[[drive]]
by = "onsets"
moves = "zoom"
amount = 0.2
decay = 0.5
"""

WALK = """
model = "{model}"
fps = 24.0
seconds = 1.0
steps = 3
sampler = "dpm++_2m"
batch_size = 3
keep_frames = true

[[key]]
prompt = "a"
seed = 1
[[key]]
prompt = "b"
seed = 2
guidance_scale = 3.0
"""


def run(config: Path, output: Path, cache: Path, *more: str) -> Forked:
    words = ("video", config, f"output={output}", *more)
    environment = {"XDG_CACHE_HOME": str(cache), "XLA_FLAGS": ""}  # quick networks, not programs
    return Forked(*words, environment=environment)


def ended(process: Forked, status: int = 0) -> str:
    _, said = process.communicate(timeout=900)
    assert process.returncode == status, said
    return said


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_a_clip_of_ten_seconds_follows_its_beat(cache: Path, tmp_path: Path) -> None:
    mono = beaten(SECONDS, 110.0, RATE)
    config = tmp_path / "beat.toml"
    config.write_text(BEAT.format(sound=sound_file(tmp_path, mono, RATE), fps=FPS))
    ended(run(config, tmp_path / "a.mp4", cache))
    with av.open(str(tmp_path / "a.mp4")) as file:
        frames = [one.to_ndarray(format="rgb24").astype(np.float32) for one in file.decode(video=0)]
    assert len(frames) == SECONDS * FPS
    motion = np.abs(np.diff(np.stack(frames), axis=0)).mean((1, 2, 3))
    heard = per_frame(onsets(power(mono), RATE), RATE, len(frames), FPS)
    fits = [np.corrcoef(motion[3:-3], np.roll(heard, late)[4:-3])[0, 1] for late in range(-3, 4)]
    print(f"motion and onsets: correlation {np.corrcoef(motion, heard[1:])[0, 1]:.2f}")
    assert np.corrcoef(motion, heard[1:])[0, 1] > 0.7
    assert np.argmax(fits) == 3, "in step to the frame"
    with av.open(str(tmp_path / "a.mp4")) as file:
        own = np.concatenate([one.to_ndarray()[0] for one in file.decode(audio=0)])
    size = 2 * len(own)
    fit = np.fft.irfft(np.fft.rfft(own, size) * np.fft.rfft(mono, size).conj())
    assert min(fit.argmax(), size - fit.argmax()) < RATE / FPS, "so is the sound"
    (tmp_path / "again").mkdir()
    ended(run(tmp_path / "a.mp4.toml", tmp_path / "again/a.mp4", cache))
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "again/a.mp4").read_bytes()
    assert not (tmp_path / "a.frames").exists()


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A configuration, with the file that an unbroken run makes of it beside it."""
    home = tmp_path_factory.mktemp("walk")
    tiny_model(home / "model")
    (home / "walk.toml").write_text(WALK.format(model=home / "model"))
    said = ended(run(home / "walk.toml", home / "walk.mp4", cache))
    assert "24 of 24 images to draw, 1 program to compile" in said
    return home / "walk.toml"


def test_what_is_killed_goes_on_to_the_same_file(walk: Path, cache: Path, tmp_path: Path) -> None:
    rng, before, frames = random.Random(0), 0, tmp_path / "walk.frames"
    for _ in range(3):
        process = run(walk, tmp_path / "walk.mp4", cache)
        while process.poll() is None and len(list(frames.glob("images/*/*.png"))) <= before:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        before = len(list(frames.glob("images/*/*.png")))
    ended(run(walk, tmp_path / "walk.mp4", cache))
    assert (tmp_path / "walk.mp4").read_bytes() == walk.with_suffix(".mp4").read_bytes()


def test_another_file_of_the_same_frames_draws_nothing(walk: Path, cache: Path) -> None:
    said = ended(run(walk, walk.with_suffix(".gif"), cache, "enlarge=2"))
    assert "0 of 24 images to draw" in said


def test_a_changed_video_does_not_mix_with_frames_that_are_there(walk: Path, cache: Path) -> None:
    said = ended(run(walk, walk.with_suffix(".mp4"), cache, "steps=2"), 2)
    assert "holds a run with rows_hash" in said
    assert said.count("\n") == 1


def test_strengths_of_a_lora_that_move(walk: Path, cache: Path, tmp_path: Path) -> None:
    """The last frames are those of the whole LoRA, the first those without."""
    opened = open_model(walk.parent / "model")
    found = initial_lora(opened.params(), ["conv1"], rank=2, alpha=8, key=jax.random.key(0))
    for path, factors in found.items():
        factors["up"] = uniform(path, factors["up"].shape)
    file = tmp_path / "style.safetensors"
    write_lora_kohya(file, found, opened.spec)
    frames = {}
    for name, ends in {"none": (0.0, 0.0), "moved": (0.0, 1.0), "whole": (1.0, 1.0)}.items():
        keys = ", ".join(f'{{prompt="a", lora=["{file}:{weight}"]}}' for weight in ends)
        more = [f"key=[{keys}]", "fps=5", "keep_frames=false"]
        said = ended(run(walk, tmp_path / f"{name}.png", cache, *more))
        assert "5 of 5 images to draw, 1 program to compile" in said
        frames[name] = [one.astype(int) for one in frames_of(tmp_path / f"{name}.png")]
    away = [np.abs(one - frames["none"][0]).mean() for one in frames["moved"]]
    assert away[0] == 0
    assert (np.diff(away) > 0).all()
    assert np.abs(frames["whole"][0] - frames["none"][0]).mean() > away[-1]


def test_two_hosts_draw_the_same_file(walk: Path, cache: Path, tmp_path: Path) -> None:
    """48 frames, of which each host draws a shard of 24, eight calls of three."""
    ended(run(walk, tmp_path / "alone.mp4", cache, "fps=48"))
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    hosts = ["fps=48", "--coordinator", f"localhost:{port}", "--hosts", "2", "--host"]
    (tmp_path / "both").mkdir()
    both = [run(walk, tmp_path / "both/alone.mp4", cache, *hosts, str(i)) for i in range(2)]
    for i, process in enumerate(both):
        assert f"host {i}: 24 of 24 images to draw" in ended(process)
    assert (tmp_path / "both/alone.mp4").read_bytes() == (tmp_path / "alone.mp4").read_bytes()


def test_frames_of_a_clip_are_drawn_together(walk: Path, cache: Path, tmp_path: Path) -> None:
    """By motion modules of random weights; with those that change nothing, each by itself."""
    unet = open_model(walk.parent / "model").spec.unet
    file, none = (tmp_path / f"{name}.safetensors" for name in ("motion", "none"))
    made = load_file(write_original(file, unet))
    still = {name: t * np.float32("proj_out" not in name) for name, t in made.items()}
    save_file(still, none)
    frames = {}
    for name, place in {"motion": file, "none": none}.items():
        more = [f"motion={place}", "motion_context=[4, 2]", 'key=[{prompt="a"}, {prompt="b"}]']
        told = [*more, "fps=6", "keep_frames=false", "sampler=euler"]
        said = ended(run(walk, tmp_path / f"{name}.png", cache, *told))
        assert "6 of 6 images to draw, 1 program to compile" in said
        frames[name] = np.stack(list(frames_of(tmp_path / f"{name}.png"))).astype(int)
    assert np.abs(frames["motion"] - frames["none"]).mean() > 1
    said = ended(run(walk, tmp_path / "no.gif", cache, f"motion={walk}"), 2)
    assert said.count("\n") == 1


def test_frames_made_from_those_before(walk: Path, cache: Path, tmp_path: Path) -> None:
    """A clip over a clip, and a video whose frames follow each other, as people give them."""
    keys = 'key=[{prompt="a"}, {prompt="b", zoom=1.3, angle=10}]'
    told = [keys, "fps=4", "keep_frames=false", "follow=0.5", "blend=0.2"]
    for name in ("one", "two"):
        ended(run(walk, tmp_path / f"{name}.gif", cache, *told))
    first, second = (tmp_path / f"{name}.gif" for name in ("one", "two"))
    assert [one.tolist() for one in frames_of(first)] == [one.tolist() for one in frames_of(second)]
    over = ["clip=" + str(first), 'key=[{prompt="c"}]', "fps=4", "strength=0.5", "seconds=0"]
    said = ended(run(walk, tmp_path / "over.gif", cache, *over))
    assert "4 of 4 images to draw" in said
    assert len(list(frames_of(tmp_path / "over.gif"))) == 4
