"""Videos with OpenAI's own client, drawn by a fake: its pictures have one colour each."""

import io
import time

import numpy as np
import pytest
from fake_artist import FakeArtist
from tiny_models import TINY

from jaxsd.images import png_bytes, read_image
from jaxsd.server.filming import film_of
from jaxsd.server.served import Served, served_recipe
from jaxsd.server.videos import Videos
from jaxsd.settings import Settings

openai = pytest.importorskip("openai")
av = pytest.importorskip("av")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
QUICK = {"sampler": "ddim", "steps": 2, "fps": 8}


@pytest.fixture
def client(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def test_create_and_poll_gives_a_file_with_all_frames(client):
    made = client.videos.create_and_poll(
        prompt="a cat\na dog\n",
        seconds="1",
        size="64x48",
        extra_body=QUICK | {"seed": 9, "easing": "sine"},
        poll_interval_ms=20,
    )
    assert (made.status, made.progress, made.seconds, made.size) == ("completed", 100, "1", "64x48")
    assert (made.model, made.error, made.seed) == ("tiny", None, 9)
    content = client.videos.download_content(made.id).read()
    ranged = {"Range": "bytes=4-11"}  # as players ask where one jumps in it
    part = client.videos.download_content(made.id, extra_headers=ranged)
    assert (part.response.status_code, part.read()) == (206, content[4:12])
    with av.open(io.BytesIO(content)) as file:
        frames = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
        assert 'prompt = "a dog"' in file.metadata["comment"]
        assert file.streams.video[0].average_rate == 8
    assert len(frames) == 8
    assert frames[0].shape == (48, 64, 3)
    first = client.videos.download_content(made.id, variant="thumbnail").read()
    assert read_image(io.BytesIO(first))[0, 0, 0] == 9
    sheet = client.videos.download_content(made.id, variant="spritesheet").read()
    assert sheet.startswith(b"\x89PNG")
    assert [one.id for one in client.videos.list()] == [made.id]
    assert client.videos.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(made.id)


def test_pictures_pass_the_frames_of_a_video(client, server):
    server.artist.pause = 0.005
    picture = io.BytesIO(png_bytes(np.full((48, 64, 3), 7, np.uint8)))
    picture.name = "a.png"
    video = client.videos.create(
        prompt="a cat", seconds="12", input_reference=picture, size="64x48", extra_body=QUICK
    )
    assert video.status == "queued"
    client.images.generate(prompt="a picture", size="64x48", extra_body={"steps": 2})
    video = client.videos.retrieve(video.id)
    assert video.status == "in_progress"
    assert video.progress < 50
    with pytest.raises(openai.NotFoundError, match="the video is in_progress"):
        client.videos.download_content(video.id)
    seen = [given.image for settings, given in server.artist.asked if settings.image]
    assert seen[0].shape == (48, 64, 3)
    client.videos.delete(video.id)
    while server.engine.waiting or server.engine.drawing:
        time.sleep(0.01)
    assert len(server.artist.asked) < 288  # frames


def test_a_video_goes_on_after_a_restart(running, client_of):
    one = running()
    one.artist.pause = 0.01
    client = client_of(one)
    video = client.videos.create(prompt="a cat", seconds="2", size="64x48", extra_body=QUICK)
    while client.videos.retrieve(video.id).progress == 0:
        time.sleep(0.01)
    one.end()
    other = running()
    ended = client_of(other).videos.poll(video.id, poll_interval_ms=20)
    assert (ended.status, ended.created_at) == ("completed", video.created_at)
    assert len(one.artist.asked) + len(other.artist.asked) < 16 + 8  # not all of them again


@pytest.fixture
def client_of():
    return lambda one: openai.OpenAI(base_url=f"{one.url}/v1", api_key="none", max_retries=0)


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"prompt": " \n"}, "prompt has 0 lines; a video has 1 to 100 key frames"),
        ({"seconds": "long"}, "seconds 'long' is not a number above 0"),
        ({"seconds": 1000}, "the video has 24000 frames; at most 1500 are drawn"),
        ({"easing": "fast"}, "easing is 'fast'; allowed are linear"),
        ({"colour": "red"}, "unknown option 'colour'"),
        ({"sampler": "euler_a"}, "euler_a adds noise in its steps"),
        ({"blend_prompt": "x"}, "blend_prompt is what the frames between key frames have"),
        ({"lora": "a.safetensors"}, "lora names files of the server"),
    ],
)
def test_what_is_wrong_is_one_line(asked, line, tmp_path):
    model = Served("tiny", TINY["sd1"], FakeArtist, served_recipe("tiny", "float32"))
    values = {"prompt": "a cat", "seed": 1, "sampler": "ddim"} | asked
    with pytest.raises(ValueError, match=line):
        film_of(values, model, Settings(), tmp_path)


def test_key_frames_are_lines_and_nothing_else_divides_them(tmp_path):
    model = Served("tiny", TINY["sd1"], FakeArtist, served_recipe("tiny", "float32"))
    values = {"prompt": "a\u2028cat\x0b\r\n\n a dog", "seed": 1, "sampler": "ddim"}
    film = film_of(values, model, Settings(), tmp_path)
    assert [key["prompt"] for key in film.plan.config.key] == ["a\u2028cat", "a dog"]


def test_too_many_videos_wait(client, server, monkeypatch):
    server.artist.gate.clear()
    monkeypatch.setattr("jaxsd.server.videos.MOST_UNDONE", 1)
    asked = {"prompt": "a", "seconds": "1", "size": "64x48", "extra_body": QUICK}
    client.videos.create(**asked)
    with pytest.raises(openai.RateLimitError):
        client.videos.create(**asked)
    assert Videos(server.service, server.service.store.folder / "none").there == {}
