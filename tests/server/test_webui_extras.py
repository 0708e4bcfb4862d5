"""Pictures enlarged over webui's API, by a network that doubles and one that gives grey."""

import base64
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from jaxsd.images import fitted, png_bytes, stretched
from jaxsd.server.enlarging import MOST_WAITING, Enlarger

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 30, 3)).astype(np.uint8)


class Network:
    """Each pixel as four, or all of one grey."""

    def __init__(self, file):
        self.scale, self.grey, self.gate = 2, file.name == "grey", threading.Event()
        self.calls = 0
        self.gate.set()

    def picture(self, image, progress):
        self.calls += 1
        while not self.gate.wait(0.01):
            progress(1)
        made = image.repeat(2, axis=0).repeat(2, axis=1)
        return np.full_like(made, 100) if self.grey else made


@pytest.fixture
def enlarger(server):
    networks = {name: Network(Path(name)) for name in ("double", "grey")}
    files = {name: Path(name) for name in networks}
    server.service.enlarger.close()
    server.service.enlarger = made = Enlarger(files, lambda file: networks[file.name])
    made.networks = networks
    return made


@pytest.fixture
def client(server, enlarger):
    with httpx.Client(base_url=f"{server.url}/sdapi/v1", timeout=30) as client:
        yield client


def enlarged(client, **body):
    """The pixels, and the answer."""
    given = {"image": base64.b64encode(png_bytes(PIXELS)).decode()}
    answer = client.post("/extra-single-image", json=given | body)
    assert answer.status_code == 200, answer.text
    return pixels(answer.json()["image"]), answer.json()


def pixels(packed):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(packed))))


def test_by_a_factor(client, enlarger):
    twice = PIXELS.repeat(2, axis=0).repeat(2, axis=1)
    made, told = enlarged(client, upscaler_1="double", upscaling_resize=2)
    assert np.array_equal(made, twice)
    assert told["html_info"] == "<p>Postprocess upscale by: 2, Postprocess upscaler: double</p>"
    made, _ = enlarged(client, upscaler_1="double", upscaling_resize=3)
    assert np.array_equal(made, stretched(twice.repeat(2, axis=0).repeat(2, axis=1), 60, 90))
    assert enlarger.networks["double"].calls == 3
    made, _ = enlarged(client, upscaler_1="Lanczos", upscaling_resize=1.5)
    assert np.array_equal(made, stretched(PIXELS, 30, 45))
    made, told = enlarged(client)
    assert np.array_equal(made, PIXELS), "as webui's None"
    assert told["html_info"] == ""


def test_to_a_size(client):
    own = {"resize_mode": 1, "upscaling_resize_w": 50, "upscaling_resize_h": 50}
    made, told = enlarged(client, **own, upscaler_1="Lanczos")
    assert np.abs(made.astype(int) - fitted(PIXELS, 50, 50)).max() <= 2
    assert "Postprocess crop to: 50x50" in told["html_info"]
    made, told = enlarged(client, **own, upscaler_1="Lanczos", upscaling_crop=False)
    assert made.shape == (50, 75, 3)
    assert "crop" not in told["html_info"]


def test_a_share_of_a_second_network(client):
    made, _ = enlarged(client, upscaler_1="double", upscaler_2="grey",
                       extras_upscaler_2_visibility=0.25)  # fmt: skip
    twice = PIXELS.repeat(2, axis=0).repeat(2, axis=1)
    assert np.array_equal(made, np.round(0.75 * twice.astype(np.float32) + 25))


def test_what_is_not_here_is_named_and_texts_stay(client):
    text = PngImagePlugin.PngInfo()
    text.add_text("parameters", "a cat\nSteps: 3")
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, "PNG", pnginfo=text)
    given = base64.b64encode(file.getvalue()).decode()
    _, told = enlarged(client, image=given, upscaler_1="double", gfpgan_visibility=0.5, colour=1,
                       codeformer_visibility=0)  # fmt: skip
    assert told["jaxsd_ignored"] == ["gfpgan_visibility", "colour"]
    kept = Image.open(io.BytesIO(base64.b64decode(told["image"]))).text
    assert kept["parameters"] == "a cat\nSteps: 3"
    assert kept["postprocessing"] == "Postprocess upscale by: 2, Postprocess upscaler: double"


def test_wrong_fields(client):
    own = {"image": base64.b64encode(png_bytes(PIXELS)).decode(), "upscaler_1": "double"}
    for body, text in (
        ({"upscaler_1": "/etc/passwd"}, "is not one of None, Lanczos, double, grey"),
        ({"upscaler_2": "R-ESRGAN 4x+"}, "upscaler_2 'R-ESRGAN 4x+'"),
        ({"upscaling_resize": 0.5}, "no number from 1 to 8"),
        ({"upscaling_resize": "NaN"}, "no number"),
        ({"extras_upscaler_2_visibility": True}, "no number from 0 to 1"),
        ({"resize_mode": 1, "upscaling_resize_w": 16384, "upscaling_resize_h": 16384}, "at most"),
        ({"resize_mode": 2}, "resize_mode 2 is out of range"),
        ({"image": "http://a/b.png"}, "nothing is fetched"),
        ({"image": "AAAA"}, "no picture"),
        ({"image": None}, "not a picture in base64"),
    ):
        answer = client.post("/extra-single-image", json=own | body)
        assert answer.status_code in (400, 422), body
        assert text in answer.json()["detail"], answer.text
    for listed in (None, [], ["a"], [{}] * 65, [{"data": "AAAA"}]):
        answer = client.post("/extra-batch-images", json={"imageList": listed})
        assert answer.status_code == 422, answer.text


def test_a_client_that_goes_away_stops_its_work_and_a_long_line_is_refused(client, enlarger):
    network = enlarger.networks["double"]
    network.gate.clear()
    own = {"image": base64.b64encode(png_bytes(PIXELS)).decode(), "upscaler_1": "double"}
    with ThreadPoolExecutor(MOST_WAITING) as pool:
        url = f"{client.base_url}extra-single-image"

        def impatient(_):
            with pytest.raises(httpx.ReadTimeout):
                httpx.post(url, json=own, timeout=1)

        waiting = [pool.submit(impatient, i) for i in range(MOST_WAITING)]
        late = time.monotonic() + 5
        while enlarger._waiting < MOST_WAITING:
            assert time.monotonic() < late
            time.sleep(0.01)
        answer = client.post("/extra-single-image", json=own)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "10")
        for one in waiting:
            one.result()
    late = time.monotonic() + 20
    while enlarger._waiting:  # the network itself would never end
        assert time.monotonic() < late
        time.sleep(0.01)
    network.gate.set()
    enlarged(client, upscaler_1="double")


def test_webuiapi(server, enlarger):
    webuiapi = pytest.importorskip("webuiapi")
    api = webuiapi.WebUIApi(baseurl=f"{server.url}/sdapi/v1")
    assert "double" in [one["name"] for one in api.get_upscalers()]
    picture = Image.fromarray(PIXELS)
    made = api.extra_single_image(picture, upscaler_1="double", upscaling_resize=2)
    assert made.image.size == (60, 40)
    both = api.extra_batch_images([picture, picture], upscaler_1="Lanczos", upscaling_resize=4)
    assert [one.size for one in both.images] == [(120, 80)] * 2
