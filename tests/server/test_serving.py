import base64
import hashlib
import io
import os
import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import httpx
import pytest

from jaxsd.cli.serve import named_models, upscalers_of
from jaxsd.images import read_image
from jaxsd.server.serving import listening, read_token

RUN = "from jaxsd.cli.main import run; run()"


def test_other_machines_are_let_in_with_a_token_alone(tmp_path):
    assert read_token(None, "127.0.0.1") == ""
    with pytest.raises(OSError, match=r"--token-file .*no: No such file"):
        read_token(str(tmp_path / "no"), "127.0.0.1")
    for host in ("0.0.0.0", "::", "192.168.0.1", "example.org"):
        with pytest.raises(ValueError, match=f"--host {re.escape(host)} .* --token-file"):
            read_token(None, host)
    file = tmp_path / "token"
    file.write_text("short\n")
    with pytest.raises(ValueError, match="5 characters; 16 is least"):
        read_token(str(file), "0.0.0.0")
    file.write_text("a token of many letters\n")
    file.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        read_token(str(file), "0.0.0.0")
    file.chmod(0o600)
    assert read_token(str(file), "0.0.0.0") == "a token of many letters"


def test_a_port_that_is_taken_is_one_line():
    with (
        listening("127.0.0.1", 0) as taken,
        pytest.raises(OSError, match=r"can not listen on 127.0.0.1:.*give another --port"),
    ):
        listening("127.0.0.1", taken.getsockname()[1])

    with pytest.raises(ValueError, match="--port 70000 is out of range"):
        listening("127.0.0.1", 70_000)


def test_names_of_models():
    assert named_models(["emoji", "a=x/y.safetensors", "z/sd15.ckpt"]) == {
        "emoji": "emoji",
        "a": "x/y.safetensors",
        "sd15": "z/sd15.ckpt",
    }
    with pytest.raises(ValueError, match="two models have the name 'a'"):
        named_models(["a=x", "a=y"])


def test_names_of_networks_that_enlarge(tmp_path):
    file = tmp_path / "x.pth"
    file.write_bytes(b"no network")
    for given, error, text in (
        (["None=x.pth"], ValueError, "--upscaler None: this name is taken"),
        (["big=none.pth"], FileNotFoundError, "none.pth"),
        ([f"big={file}"], ValueError, "x.pth"),
    ):
        with pytest.raises(error, match=text):
            upscalers_of(SimpleNamespace(upscaler=given))


@pytest.fixture
def started(tmp_path):
    """Starts `jaxsd serve` with the built-in model, and gives its process and address."""
    there = []

    def begin(*flags):
        log = (tmp_path / "log").open("w+")
        command = [sys.executable, "-c", RUN, "serve", "--port", "0", "--slots", "1", *flags]
        own = os.environ | {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(tmp_path))}
        one = subprocess.Popen([*command, "--data", tmp_path / "data"], stderr=log, env=own)
        there.append(one)
        while not (found := re.search(r"listening on (\S+)", (tmp_path / "log").read_text())):
            assert one.poll() is None, (tmp_path / "log").read_text()
            time.sleep(0.2)
        return one, found[1]

    yield begin
    for one in there:
        one.kill()
        one.wait()


@pytest.mark.release
def test_the_program_finishes_what_it_draws_and_goes_on_after_a_restart(started):
    one, url = started()
    asked = {"prompt": "a red apple", "steps": 20, "seed": 3}
    with httpx.Client(base_url=url, timeout=60) as client:
        ids = [client.post("/jaxsd/v1/jobs", json=asked).json()["id"] for _ in range(3)]
        late = time.monotonic() + 60
        while client.get(f"/jaxsd/v1/jobs/{ids[0]}").json()["progress"] < 0.1:
            assert time.monotonic() < late
            time.sleep(0.05)
        one.send_signal(signal.SIGTERM)
        time.sleep(0.1)
        assert client.get("/ready").status_code == 503
        assert client.get("/health").status_code == 200
        assert client.post("/jaxsd/v1/jobs", json=asked).status_code == 503
    assert one.wait(60) == 0
    _, url = started()
    with httpx.Client(base_url=url, timeout=60) as client:
        assert client.get(f"/jaxsd/v1/jobs/{ids[0]}").json()["status"] == "completed"
        pictures = []
        for id in ids:
            assert "event: completed" in client.get(f"/jaxsd/v1/jobs/{id}/events").text
            job = client.get(f"/jaxsd/v1/jobs/{id}").json()
            pictures.append(client.get(job["images"][0]["url"]).content)
    assert pictures[0] == pictures[1] == pictures[2]  # one seed, one picture, on both sides


@pytest.mark.release
def test_the_second_signal_ends_the_program_at_once(started):
    one, url = started()
    asked = {"prompt": "a", "steps": 1000, "width": 256, "height": 256}
    httpx.post(f"{url}/jaxsd/v1/jobs", json=asked, timeout=60)
    time.sleep(0.5)
    one.send_signal(signal.SIGTERM)
    time.sleep(0.3)
    assert one.poll() is None
    one.send_signal(signal.SIGTERM)
    assert one.wait(1) == 128 + signal.SIGTERM


def digest(packed):
    """The sha256 of a picture's pixels."""
    return hashlib.sha256(read_image(io.BytesIO(packed)).tobytes()).hexdigest()


@pytest.mark.release
def test_one_seed_is_one_picture_in_all_apis_and_the_command(started, tmp_path):
    asked = {"prompt": "a red apple", "steps": 6, "seed": 7, "width": 64, "height": 64}
    found = {}
    for turn in ("first", "after a restart"):
        one, url = started()
        with httpx.Client(base_url=url, timeout=200) as client:
            own = asked | {"sampler": "dpm++_2m", "guidance_scale": 2.0}
            job = client.post("/jaxsd/v1/jobs", json=own).json()
            client.get(f"/jaxsd/v1/jobs/{job['id']}/events")
            said = client.get(f"/jaxsd/v1/jobs/{job['id']}").json()
            found[f"jobs, {turn}"] = client.get(said["images"][0]["url"]).content
            said = client.post("/v1/images/generations", json=own).json()
            found[f"OpenAI's, {turn}"] = base64.b64decode(said["data"][0]["b64_json"])
            theirs = {"sampler_name": "DPM++ 2M", "scheduler": "Uniform", "cfg_scale": 2.0}
            said = client.post("/sdapi/v1/txt2img", json=asked | theirs).json()
            found[f"webui's, {turn}"] = base64.b64decode(said["images"][0])
        one.send_signal(signal.SIGTERM)
        assert one.wait(60) == 0
    file = tmp_path / "apple.png"
    words = ["--steps=6", "--seed=7", "--size=64x64", "--sampler=dpm++_2m", "--guidance-scale=2"]
    command = [sys.executable, "-c", RUN, "generate", "a red apple", *words, "-o", file]
    subprocess.run(command, check=True, capture_output=True)
    found["the command"] = file.read_bytes()
    digests = {name: digest(packed) for name, packed in found.items()}
    assert len(set(digests.values())) == 1, digests
    print(f"\n{len(digests)} pictures, one sha256 of their pixels: {digests['the command'][:16]}")
