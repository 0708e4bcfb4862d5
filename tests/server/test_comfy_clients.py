"""Programs of other people that speak ComfyUI's protocol, as they are, with the built-in model."""

import importlib.util
import io
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image
from real_files import larger

import jaxsd
from jaxsd.server.comfy import Comfy
from jaxsd.server.comfy_events import Events
from jaxsd.server.comfy_queue import ComfyQueue
from jaxsd.workflow import Workspace

pytestmark = pytest.mark.release
NODE = """
import { ComfyApi, CallWrapper, PromptBuilder } from "@saintno/comfyui-sdk";
import fs from "fs";
const [url, graph, picture] = process.argv.slice(2);
const api = await new ComfyApi(url, "me").init().waitForReady();
const builder = new PromptBuilder(JSON.parse(fs.readFileSync(graph)), ["name"], ["images"])
  .setInputNode("name", "4.inputs.ckpt_name").setOutputNode("images", "9").input("name", "emoji");
const upload = await api.uploadImage(fs.readFileSync(picture), "up.png");
let rows = 0;
await new CallWrapper(api, builder).onProgress(() => rows++)
  .onFinished((data) => console.log(JSON.stringify({
    rows, upload: upload.info, images: data.images.images.map((one) => api.getPathImage(one)) })))
  .onFailed((error) => console.log(error)).run();
process.exit(0);
"""
SDK = "@saintno/comfyui-sdk/build/index.esm.js"


@pytest.fixture(scope="module")
def pipe():
    return jaxsd.load("emoji")


@pytest.fixture
def begun(running, tmp_path, pipe):
    def begin(editor=None):
        place = Workspace(
            inputs=tmp_path / "input",
            outputs=tmp_path / "output",
            programs=pipe.programs,
            closed=True,
            opened={"emoji": pipe}.get,
        )
        queue = ComfyQueue(place, Events())
        queue.start()
        return running(comfy=Comfy(queue, tmp_path / "kept", editor)).url

    return begin


@pytest.fixture
def small(tmp_path):
    """A graph of another program's tests, for a picture of the built-in model."""
    graph = json.loads((larger("comfy") / "api/cas_t2i.json").read_text())
    graph["4"]["inputs"]["ckpt_name"] = "emoji"
    graph["5"]["inputs"] |= {"width": 64, "height": 64}
    graph["3"]["inputs"]["steps"] = 4
    path = tmp_path / "graph.json"
    path.write_text(json.dumps(graph))
    return path


def test_comfy_api_simplified(begun, small, tmp_path):
    package = pytest.importorskip("comfy_api_simplified")
    api = package.ComfyApiWrapper(begun())
    graph = package.ComfyWorkflowWrapper(str(small))
    graph.set_node_param("positive", "text", "a red apple")
    ((name, content),) = api.queue_and_wait_images(graph, "Save Image").items()
    assert name == "ComfyUI_00001_.png"
    picture = Image.open(io.BytesIO(content))
    assert picture.size == (64, 64)
    assert json.loads(picture.text["prompt"])["6"]["inputs"]["text"] == "a red apple"
    picture.save(tmp_path / "up.png")
    assert api.upload_image(tmp_path / "up.png", "of_mine")["subfolder"] == "of_mine"
    assert "emoji" in str(api.get_object_info("CheckpointLoaderSimple"))
    assert api.get_queue() == {"queue_running": [], "queue_pending": []}
    assert api.get_system_stats()["devices"]
    assert api.get_embeddings() == []
    api.interrupt()


def modules():
    """Where npm has put the packages."""
    folder = Path(os.environ.get("JAXSD_NODE_MODULES", "node_modules"))
    if shutil.which("node") is None or not (folder / SDK).is_file():
        pytest.skip("npm install @saintno/comfyui-sdk; JAXSD_NODE_MODULES=.../node_modules")
    return folder.resolve()


def test_comfyui_sdk_of_npm(begun, small, tmp_path):
    (tmp_path / "node_modules").symlink_to(modules())
    (tmp_path / "own.mjs").write_text(NODE)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    url = begun()
    said = subprocess.run(
        ["node", "own.mjs", url, small, "a.png"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    told = json.loads(said.stdout.splitlines()[-1])
    assert told["rows"] == 4
    assert told["upload"]["filename"] == "up.png"
    assert Image.open(io.BytesIO(httpx.get(told["images"][0]).content)).size == (64, 64)


def test_the_editor_loads_a_graph_and_runs_it(begun):
    tool = pytest.importorskip("playwright.sync_api")
    found = importlib.util.find_spec("comfyui_frontend_package")
    if found is None:
        pytest.skip("pip install comfyui-frontend-package")
    url = begun(Path(found.submodule_search_locations[0]) / "static")
    graph = json.loads((larger("comfy") / "ui/cog_sd15_text2img_not_api_version.json").read_text())
    for node in graph["nodes"]:
        if node["type"] == "CheckpointLoaderSimple":
            node["widgets_values"] = ["emoji"]
        if node["type"] == "EmptyLatentImage":
            node["widgets_values"] = [64, 64, 1]
    with tool.sync_playwright() as play:
        browser = play.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        errors = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        page.wait_for_function("window.app?.graph?._nodes", timeout=120_000)
        page.evaluate("graph => window.app.loadGraphData(graph)", graph)
        page.wait_for_timeout(3000)
        page.keyboard.press("Escape")  # the templates, which it shows the first time
        page.wait_for_timeout(1000)
        page.get_by_role("button", name="Run", exact=True).first.click()
        late = time.monotonic() + 300
        while not (history := httpx.get(f"{url}/history").json()):
            assert time.monotonic() < late
            time.sleep(1)
        (kept,) = history.values()
        assert kept["status"]["status_str"] == "success"
        page.wait_for_timeout(3000)
        if path := os.environ.get("JAXSD_SCREENSHOT"):
            page.screenshot(path=path)
        made = page.evaluate("window.app.graph._nodes.find(n => n.type == 'SaveImage').imgs.length")
        assert made == 1
        assert errors == []
        browser.close()
