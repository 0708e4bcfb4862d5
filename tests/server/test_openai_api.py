"""With OpenAI's own client: nothing but its base_url is changed."""

import base64
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image

from jaxsd.images import picture_texts, png_bytes, read_image
from jaxsd.webui import read_recipe

openai = pytest.importorskip("openai")


@pytest.fixture
def client(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def pixels(one):
    return read_image(io.BytesIO(base64.b64decode(one.b64_json)))


def test_generations(client, server, tmp_path):
    answer = client.images.generate(
        prompt="a cat",
        n=3,
        size="64x72",
        extra_body={"negative_prompt": "x", "num_inference_steps": 3, "seed": 7, "colour": "red"},
        user="me",
        quality="hd",
    )
    assert [one.seed for one in answer.data] == [7, 8, 9]
    assert [int(pixels(one)[0, 0, 0]) for one in answer.data] == [7, 8, 9]
    assert pixels(answer.data[0]).shape == (72, 64, 3)
    assert sorted(answer.warnings) == ["colour was ignored", "quality was ignored"]
    settings, _ = server.artist.asked[0]
    assert (settings.prompt, settings.negative_prompt, settings.steps) == ("a cat", "x", 3)
    path = tmp_path / "a.png"
    path.write_bytes(base64.b64decode(answer.data[1].b64_json))
    recipe = read_recipe(path)
    assert (recipe.settings.seed, recipe.batch_size) == (8, 2)
    assert "Seed: 8" in picture_texts(path)["parameters"]


def test_kinds_of_answers(client, server):
    for format, first in (("png", b"\x89PNG"), ("jpeg", b"\xff\xd8"), ("webp", b"RIFF")):
        made = client.images.generate(prompt="a", size="64x64", output_format=format)
        assert base64.b64decode(made.data[0].b64_json).startswith(first)
        assert made.output_format == format
    told = client.images.generate(prompt="a", size="64x64", response_format="url")
    answer = client._client.get(told.data[0].url)
    assert answer.headers["content-type"] == "image/png"
    assert answer.content.startswith(b"\x89PNG")
    assert [one.id for one in client.models.list()] == ["tiny"]
    assert client.models.retrieve("tiny").owned_by == "jaxsd"


def test_edits_and_variations(client, server):
    picture = png_bytes(np.full((48, 96, 3), 200, np.uint8))
    clear = io.BytesIO()
    alpha = np.full((48, 96, 4), 255, np.uint8)
    alpha[:, :48, 3] = 0
    Image.fromarray(alpha).save(clear, "PNG")
    edited = client.images.edit(
        image=("a.png", picture), mask=("m.png", clear.getvalue()), prompt="a dog"
    )
    assert pixels(edited.data[0]).shape == (48, 96, 3)  # its own, in the model's area
    settings, given = server.artist.asked[-1]
    assert (settings.strength, given.image.shape) == (1.0, (48, 96, 3))
    assert given.mask[0, 0] == 255
    assert given.mask[0, 95] == 0
    client.images.create_variation(image=("a.png", picture), n=2)
    settings, given = server.artist.asked[-1]
    assert (settings.prompt, settings.strength) == ("", 0.75)


def test_streaming(client):
    for count in (0, 2, 3):
        stream = client.images.generate(
            prompt="a cat",
            size="64x64",
            stream=True,
            partial_images=count,
            extra_body={"steps": 8, "seed": 33, "sampler": "euler"},
        )
        events = list(stream)
        kinds = [one.type for one in events]
        assert kinds == ["image_generation.partial_image"] * count + ["image_generation.completed"]
        assert [one.partial_image_index for one in events[:-1]] == list(range(count))
        rows = [8 * i // (count + 1) for i in range(1, count + 1)]
        assert [int(pixels(one)[0, 0, 0]) for one in events] == [*rows, 33]


BAD = [
    ({"size": "63x64"}, openai.BadRequestError, "multiple of 8"),
    ({"size": "big"}, openai.BadRequestError, "WIDTHxHEIGHT"),
    ({"n": 11}, openai.BadRequestError, "n 11 is out of range"),
    ({"model": "dall-e-9"}, openai.NotFoundError, "there are tiny"),
    ({"extra_body": {"steps": 10**9}}, openai.BadRequestError, "steps"),
    ({"extra_body": {"lora": ["/etc/passwd"]}}, openai.BadRequestError, "owner"),
    ({"extra_body": {"sampler": "eulr"}}, openai.BadRequestError, "eulr"),
    ({"background": "transparent"}, openai.BadRequestError, "transparent"),
    ({"prompt": "nan"}, openai.InternalServerError, "not finite after row 2"),
]


def test_bad_calls_raise_the_class_that_fits(client):
    for options, error, text in BAD:
        with pytest.raises(error, match=text) as found:
            client.images.generate(**({"prompt": "a", "size": "64x64"} | options))
        assert found.value.body["message"]


def test_a_full_queue_says_when_to_come_again_and_the_client_does(client, server):
    server.engine.most_waiting = 3
    with pytest.raises(openai.BadRequestError, match="4 pictures are too many; 3 may wait"):
        client.images.generate(prompt="a", size="64x64", n=4)
    server.artist.gate.clear()
    made, errors = [], []

    def ask(retries):
        try:
            own = client.with_options(max_retries=retries)
            made.append(own.images.generate(prompt="a", size="64x64", n=1))
        except openai.RateLimitError as error:
            errors.append(error)

    threads = [threading.Thread(target=ask, args=(0,)) for _ in range(12)]
    for one in threads:
        one.start()
    late = time.monotonic() + 5
    while len(errors) < 6 and time.monotonic() < late:
        time.sleep(0.01)
    assert len(errors) >= 6
    assert int(errors[0].response.headers["retry-after"]) >= 1
    patient = threading.Thread(target=ask, args=(5,))
    patient.start()
    time.sleep(0.1)
    server.artist.gate.set()
    for one in (*threads, patient):
        one.join(10)
    assert len(made) + len(errors) == 13
    assert len(made) >= 5


def test_who_goes_away_stops_what_was_asked_for(client, server):
    server.artist.gate.clear()
    with pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.2).images.generate(prompt="a", size="64x64")
    (job,) = server.service.jobs.values()
    late = time.monotonic() + 5
    while not job.pictures[0].unwanted and time.monotonic() < late:
        time.sleep(0.02)
    server.artist.gate.set()
    while not job.over and time.monotonic() < late:
        time.sleep(0.02)
    assert job.state == "cancelled"
    assert server.artist.ticks.count(("a",)) <= 2
