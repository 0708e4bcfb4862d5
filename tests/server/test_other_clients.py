"""Clients of others, unchanged: for Node, for MCP, and readers of pictures that were served.

They are installed into a temporary folder, which needs a network, npm and pip.
"""

import asyncio
import base64
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jaxsd.images import png_bytes

openai = pytest.importorskip("openai")
pytestmark = pytest.mark.release
NODE = ("openai", "ai", "@ai-sdk/openai-compatible")
PYTHON = ("image-generation-mcp", "sd-parsers", "sd-prompt-reader", "piexif", "toml")
ASKED = {"prompt": "a cat", "size": "64x64"}
MORE = {"seed": 7, "num_inference_steps": 3}


def installed(command, folder):
    """Runs a command that installs packages; skips where it can not."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]}")
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if told.returncode:
        pytest.skip(f"{' '.join(command)}: {(told.stderr or told.stdout).strip()[-200:]}")


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    folder = tmp_path_factory.mktemp("node")
    (folder / "package.json").write_text('{"type": "module"}')
    installed(["npm", "install", "--no-audit", "--no-fund", "--silent", *NODE], folder)
    shutil.copy(Path(__file__).with_name("other_clients.mjs"), folder)
    return folder


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("python")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder)]
    installed([*pip, *PYTHON], folder)
    sys.path.append(str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture
def client(server):
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def packed(answer):
    return [one.b64_json for one in answer.data]


def test_node_gets_the_same_bytes_as_python(node, server, client):
    picture = png_bytes(np.full((64, 64, 3), 200, np.uint8))
    (node / "a.png").write_bytes(picture)
    command = ["node", "other_clients.mjs", f"{server.url}/v1", "a.png"]
    told = subprocess.run(command, cwd=node, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    one = packed(client.images.generate(**ASKED, extra_body=MORE))
    three = packed(client.images.generate(**ASKED, n=3, extra_body=MORE))
    webp = packed(client.images.generate(**ASKED, output_format="webp", extra_body=MORE))
    edit = packed(client.images.edit(**ASKED, image=("a.png", picture), extra_body=MORE))
    assert found["generate"] == found["streamed"] == found["sdk"] == one
    assert found["several"] == found["sdkSeveral"] == three
    assert found["webp"] == webp
    assert found["edit"] == found["sdkEdit"] == edit
    assert (found["partials"], found["models"]) == (2, ["tiny"])
    assert found["refused"] == "BadRequestError 400"


def test_the_provider_of_an_mcp_server(packages, server):
    server.artist.pause = 0.1
    from image_generation_mcp.providers import sd_webui

    shares = []

    def told(share, message):
        shares.append(share)

    async def run():
        provider = sd_webui.SdWebuiImageProvider(server.url, model="tiny")
        sd_webui._PROGRESS_POLL_INTERVAL = 0.1
        there = await provider.discover_capabilities()
        made = await provider.generate("a cat", negative_prompt="x", progress_callback=told)
        await provider.aclose()
        return there, made

    there, made = asyncio.run(run())
    assert not there.degraded
    assert [one.model_id for one in there.models] == ["tiny.safetensors"]
    assert made.image_data.startswith(b"\x89PNG")
    assert made.provider_metadata["seed"] == server.artist.asked[0][0].seed
    assert shares == sorted(shares)
    assert 0 < shares[-1] <= 1


@pytest.mark.parametrize("format", ["png", "jpeg", "webp"])
def test_readers_of_others_understand_what_is_served(packages, client, format):
    from sd_parsers import ParserManager
    from sd_prompt_reader.image_data_reader import ImageDataReader

    text = 'a (cat:1.2), "quoted": 猫, é'
    more = MORE | {"negative_prompt": "a dog", "guidance_scale": 6.5, "sampler": "dpm++_2m"}
    asked = {"prompt": text, "size": "64x72", "output_format": format, "extra_body": more}
    content = base64.b64decode(packed(client.images.generate(**asked))[0])
    found = ParserManager().parse(io.BytesIO(content))
    assert found.full_prompt == text
    assert found.full_negative_prompt == "a dog"
    (sampler,) = found.samplers
    assert (sampler.name, sampler.parameters["seed"]) == ("DPM++ 2M", "7")
    read = ImageDataReader(io.BytesIO(content))
    assert (read.positive, read.negative, read.tool) == (text, "a dog", "A1111 webUI")
    assert read.parameter["seed"] == "7"
    assert read.parameter["size"] == "64x72"
