"""Programs of other people that speak ComfyUI's protocol, as they are, with the built-in model."""

import base64
import importlib.util
import io
import json
import os
import shutil
import subprocess
import sys
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


class Agent:
    """Speaks to a server of the Model Context Protocol over its standard streams, in JSON-RPC."""

    def __init__(self, command, **environment):
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | environment,
        )
        self.number = 0
        about = {"clientInfo": {"name": "test", "version": "1"}, "capabilities": {}}
        self._ask("initialize", protocolVersion="2024-11-05", **about)
        self._send(method="notifications/initialized")

    def call(self, name, **arguments):
        """What a tool gives: its texts, and its pictures as bytes."""
        told = self._ask("tools/call", name=name, arguments=arguments)["result"]["content"]
        texts = [one["text"] for one in told if one["type"] == "text"]
        return texts, [base64.b64decode(one["data"]) for one in told if one["type"] == "image"]

    def end(self):
        self.process.kill()
        self.process.communicate()

    def _ask(self, method, **params):
        self.number += 1
        self._send(id=self.number, method=method, params=params)
        for line in self.process.stdout:
            answer = json.loads(line)
            if answer.get("id") == self.number and "method" not in answer:
                return answer
        raise AssertionError(f"it ended at {method}")

    def _send(self, **message):
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0"} | message) + "\n")
        self.process.stdin.flush()


@pytest.fixture
def agent():
    begun = []

    def begin(command, **environment):
        begun.append(Agent(command, **environment))
        return begun[-1]

    yield begin
    for one in begun:
        one.end()


def test_comfyui_mcp_of_npm(begun, agent, tmp_path):
    """It makes a graph of its own, waits for it, and shows the picture."""
    program = modules() / "comfyui-mcp/dist/index.js"
    if not program.is_file():
        pytest.skip("npm install comfyui-mcp")
    home = {"HOME": str(tmp_path), "COMFYUI_MCP_FORCE_REMOTE": "1"}
    own = agent(["node", str(program)], COMFYUI_URL=begun(), **home)
    asked = {"width": 64, "height": 64, "steps": 2, "seed": 7, "cfg": 3}
    [said], _ = own.call("generate_image", action="image", prompt="a red apple", **asked)
    told = json.loads(said)
    assert (told["status"], told["checkpoint"]) == ("enqueued", "emoji")
    late, found = time.monotonic() + 300, {}
    while not found.get("done"):
        assert time.monotonic() < late
        time.sleep(0.5)
        [said], _ = own.call("queue", action="status", prompt_id=told["prompt_id"])
        found = json.loads(said)
    assert found["status_str"] == "success"
    _, [picture] = own.call(
        "get_image", action="get", filename="ComfyUI_00001_.png", save_dir=str(tmp_path)
    )
    assert Image.open(io.BytesIO(picture)).size == (64, 64)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    [said], _ = own.call("upload_image", action="image", source_path=str(tmp_path / "a.png"))
    assert 'verifies that "a.png" is selectable' in said
    [said], _ = own.call("list_local_models", action="list", model_type="checkpoints")
    assert "- emoji" in said
    [said], _ = own.call("get_system_stats", action="stats")
    assert json.loads(said)["devices"]


def installed(folder, *packages):
    """Installs packages into a folder; skips where it can not."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--target", str(folder), *packages]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pip install {' '.join(packages)}: {done.stderr.strip()[-200:]}")
    return str(folder)


def test_comfyui_mcp_of_pypi(begun, small, agent, tmp_path):
    """A graph's nodes of values are the tool's arguments."""
    graph = json.loads(small.read_text())
    graph["6"]["inputs"]["text"] = ["20", 0]
    for name, kind, title, value in (
        ("20", "PrimitiveStringMultiline", "prompt", "a cat"),
        ("21", "PrimitiveInt", "seed", 5),
    ):
        graph[name] = {"class_type": kind, "inputs": {"value": value}, "_meta": {"title": title}}
    graph["3"]["inputs"]["seed"] = ["21", 0]
    graphs = tmp_path / "graphs"
    graphs.mkdir()
    (graphs / "draw.json").write_text(json.dumps(graph))
    url = begun()
    told = {"host": url.partition("//")[2], "use_remote_workflow": "false"}
    told["workflow_directory"] = str(graphs)
    own = agent(
        [sys.executable, "-m", "comfyui_mcp.server"]
        + [f"--comfyui.{name}={value}" for name, value in told.items()],
        PYTHONPATH=installed(tmp_path / "packages", "comfyui-mcp", "fastmcp<3"),
    )
    [said], _ = own.call("draw_json", prompt="a red apple", seed=7)
    picture = Image.open(io.BytesIO(httpx.get(said.partition("](")[2].partition(")")[0]).content))
    assert picture.size == (64, 64)
    kept = json.loads(picture.text["prompt"])
    assert (kept["20"]["inputs"]["value"], kept["21"]["inputs"]["value"]) == ("a red apple", 7)


def test_comfy_mcp_server(begun, small, agent, tmp_path):
    """It needs versions of its own: it was written for the ones of its year."""
    packages = ("comfy-mcp-server", "mcp==1.9.4", "pydantic==2.11.7")
    own = agent(
        [sys.executable, "-c", "import comfy_mcp_server; comfy_mcp_server.run_server()"],
        PYTHONPATH=installed(tmp_path / "packages", *packages),
        COMFY_URL=begun(),
        COMFY_WORKFLOW_JSON_FILE=str(small),
        PROMPT_NODE_ID="6",
        OUTPUT_NODE_ID="9",
    )
    # It asks for 20 seconds, which may not be enough for the first time.
    for _ in range(5):
        texts, pictures = own.call("generate_image", prompt="a red apple")
        if pictures:
            break
    assert texts == []
    assert Image.open(io.BytesIO(pictures[0])).size == (64, 64)
