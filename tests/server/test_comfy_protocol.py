"""ComfyUI's routes and its websocket, with graphs that need no network."""

import contextlib
import io
import json
import struct
import time

import comfy_nodes
import httpx
import numpy as np
import pytest
from comfy_nodes import GATE, graph
from PIL import Image

from jaxsd.server.comfy import Comfy
from jaxsd.server.comfy_events import MOST_UNREAD, Events, Listener
from jaxsd.server.comfy_queue import ComfyQueue
from jaxsd.workflow import Workspace
from jaxsd.workflow.schema import CLASSES

websockets = pytest.importorskip("websockets.sync.client")
ID = "0b14c2f1-5b0c-4b5e-9c8e-2f6f2e3a1d00"


@pytest.fixture
def comfy(running, tmp_path):
    before = set(CLASSES)
    comfy_nodes.enter()
    GATE.set()
    place = Workspace(inputs=tmp_path / "input", outputs=tmp_path / "output", closed=True)
    queue = ComfyQueue(place, Events())
    queue.start()
    server = running(comfy=Comfy(queue, tmp_path / "editor"))
    with httpx.Client(base_url=server.url) as client:
        yield client
    GATE.set()
    queue.drain()
    assert queue.join(10)
    for name in set(CLASSES) - before:
        del CLASSES[name]


def connected(client, id="", **more):
    address = f"ws://{client.base_url.netloc.decode()}/ws?clientId={id}"
    return websockets.connect(address, proxy=None, **more)


def until_end(socket):
    """The messages of a graph, without those of other clients."""
    found = []
    while not found or found[-1] != ("executing", None):
        message = socket.recv(10)
        if isinstance(message, bytes):
            found.append(("preview", message))
            continue
        told = json.loads(message)
        data = told["data"]
        names = {"executing": "node", "progress": "value", "execution_cached": "nodes"}
        if told["type"] not in ("status", "progress_state", "feature_flags"):
            found.append((told["type"], data.get(names.get(told["type"], "output"))))
    return found


def test_a_graph_is_run_and_told(comfy):
    made = {"images": [{"filename": "made_00001_.png", "subfolder": "some", "type": "output"}]}
    with connected(comfy, "me") as mine, connected(comfy, "other") as other:
        mine.send(
            json.dumps({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
        )
        assert json.loads(mine.recv(10))["data"]["sid"] == "me"
        assert json.loads(mine.recv(10))["type"] == "feature_flags"
        sent = {
            "prompt": graph(),
            "client_id": "me",
            "prompt_id": ID,
            "extra_data": {"extra_pnginfo": {"workflow": {"a": 1}}},
        }
        answer = comfy.post("/prompt", content=json.dumps(sent))  # without a Content-Type
        assert answer.json() == {"prompt_id": ID, "number": 0, "node_errors": {}}
        told = until_end(mine)
        previews = [value for kind, value in told if kind == "preview"]
        assert [one for one in told if one[0] != "preview"] == [
            ("execution_start", None),
            ("execution_cached", []),
            ("executing", "1"),
            ("executing", "2"),
            ("progress", 1),
            ("progress", 2),
            ("executing", "3"),
            ("executed", made),
            ("execution_success", None),
            ("executing", None),
        ]
        kind, length = struct.unpack(">II", previews[0][:8])
        about = json.loads(previews[0][8 : 8 + length])
        assert (kind, about["node_id"], about["prompt_id"]) == (4, "2", ID)
        assert Image.open(io.BytesIO(previews[0][8 + length :])).size == (8, 8)
        while True:  # the other client hears only how many are left
            message = other.recv(1)
            assert json.loads(message)["type"] == "status"
            if '"queue_remaining": 0' in message:
                break
        assert comfy.get("/queue").json() == {"queue_running": [], "queue_pending": []}
        (kept,) = comfy.get("/api/history").json().values()
        assert kept["prompt"][:3] == [0, ID, graph()]
        assert kept["outputs"] == {"3": made}
        assert (kept["status"]["status_str"], kept["status"]["completed"]) == ("success", True)
        file = made["images"][0]
        picture = Image.open(io.BytesIO(comfy.get("/api/view", params=file).content))
        assert picture.getpixel((0, 0)) == (40, 40, 40)
        assert json.loads(picture.text["workflow"]) == {"a": 1}
        assert json.loads(picture.text["prompt"]) == graph()
        comfy.post("/prompt", json={"prompt": graph(), "client_id": "me"})
        assert ("execution_cached", ["1", "2"]) in until_end(mine)
    assert comfy.get("/history/no").json() == {}
    assert comfy.get(f"/api/jobs/{ID}").json()["status"] == "completed"
    assert len(comfy.get("/api/jobs?status=completed&limit=1").json()["jobs"]) == 1
    comfy.post("/history", json={"delete": [ID]})
    assert ID not in comfy.get("/history").json()


def test_wrong_graphs_are_told_by_node(comfy):
    bad = ("Write", {"images": ["1", 0]})
    answer = comfy.post("/prompt", json={"prompt": graph(**{"4": bad, "5": ("Write", {})})})
    errors = answer.json()["node_errors"]
    assert answer.status_code == 200  # the good output runs
    assert {name: own["errors"][0]["type"] for name, own in errors.items()} == {
        "4": "return_type_mismatch",
        "5": "required_input_missing",
    }
    for nodes, kind in (
        ({"1": ("Grey", {"value": 300})}, "value_bigger_than_max"),
        ({"1": ("Grey", {"value": -1})}, "value_smaller_than_min"),
        ({"1": ("Grey", {"value": "x"})}, "invalid_input_type"),
        ({"2": ("Paint", {"grey": ["9", 0]})}, "bad_linked_input"),
        ({"2": ("LoadImage", {"image": "/etc/hostname.png"})}, "custom_validation_failed"),
        ({"2": ("LoadImage", {"image": "../../a.png"})}, "custom_validation_failed"),
    ):
        answer = comfy.post("/prompt", json={"prompt": graph(**nodes)})
        (own,) = answer.json()["node_errors"].values()
        assert answer.status_code == 400
        assert [one["type"] for one in own["errors"]] == [kind]
        assert own["dependent_outputs"] == ["3"]
        assert answer.json()["error"]["type"] == "prompt_outputs_failed_validation"
    loader = {"1": ("CheckpointLoaderSimple", {"ckpt_name": "no"})}
    decode = {"2": ("VAEDecode", {"samples": ["7", 0], "vae": ["1", 2]})}
    empty = {"7": ("EmptyLatentImage", {})}
    answer = comfy.post("/prompt", json={"prompt": graph(**loader, **decode, **empty)}).json()
    (error,) = answer["node_errors"]["1"]["errors"]
    assert (error["type"], error["extra_info"]["input_name"]) == ("value_not_in_list", "ckpt_name")
    for body, kind in (
        ({}, "no_prompt"),
        ({"prompt": {}}, "invalid_prompt"),
        ({"prompt": graph(), "prompt_id": "x"}, "invalid_prompt_id"),
        ({"prompt": graph(**{"2": ("Sum", {})})}, "missing_node_type"),
        ({"prompt": {"1": graph()["1"]}}, "prompt_no_outputs"),
    ):
        answer = comfy.post("/prompt", json=body)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, kind)
    hostile = (b"[" * 10_000, b'{"prompt": {"1": NaN}}', b'{"number": 1e999}', b'"\\ud800"', b"3")
    for content in (*hostile, b'{"prompt": {}, "partial_execution_targets": 3}'):
        assert comfy.post("/prompt", content=content).status_code == 400
    odd = {"extra_data": {"extra_pnginfo": [1]}, "partial_execution_targets": ["3"]}
    assert comfy.post("/prompt", json={"prompt": graph()} | odd).status_code == 200
    assert comfy.get("/history").status_code == 200


def test_graphs_that_wait_are_dropped_and_one_that_runs_is_stopped(comfy):
    GATE.clear()
    with connected(comfy, "me") as mine:

        def sent(value, **more):
            asked = {"prompt": graph(value), "client_id": "me"} | more
            return comfy.post("/prompt", json=asked).json()["prompt_id"]

        first, late = sent(0), time.monotonic() + 10
        while len(comfy.get("/queue").json()["queue_running"]) == 0:
            assert time.monotonic() < late
        second, third = sent(1), sent(2, front=True)
        line = comfy.get("/queue").json()
        assert [one[1] for one in line["queue_pending"]] == [third, second]
        assert comfy.get("/prompt").json() == {"exec_info": {"queue_remaining": 3}}
        assert comfy.get(f"/api/jobs/{second}").json()["status"] == "pending"
        comfy.post("/queue", json={"delete": [third]})
        assert comfy.post(f"/api/jobs/{second}/cancel").json() == {"cancelled": True}
        comfy.post("/interrupt", json={"prompt_id": second})
        comfy.post("/interrupt")
        GATE.set()
        assert ("execution_interrupted", None) in until_end(mine)
    status = comfy.get(f"/history/{first}").json()[first]["status"]
    assert (status["status_str"], status["completed"]) == ("error", False)
    assert comfy.get(f"/api/jobs/{first}").json()["status"] == "cancelled"
    assert list(comfy.get("/history").json()) == [first]
    assert comfy.post("/free", json={"unload_models": True}).status_code == 200
    with connected(comfy, "me") as mine:
        comfy.post("/prompt", json={"prompt": graph(13), "client_id": "me"})
        assert ("execution_error", None) in until_end(mine)
    (_, failed) = comfy.get("/history").json().values()
    error = failed["status"]["messages"][-1][1]
    assert error["exception_message"] == "node 2 (Paint): 13 is no grey"
    assert (error["node_id"], error["node_type"]) == ("2", "Paint")


def png(value, alpha=None, side=4):
    pixels = np.full((side, side, 3), value, np.uint8)
    if alpha is not None:
        pixels = np.dstack([pixels, np.full((side, side), alpha, np.uint8)])
    packed = io.BytesIO()
    Image.fromarray(pixels).save(packed, "PNG")
    return packed.getvalue()


def test_pictures_come_and_go(comfy, tmp_path):
    def upload(content, route="image", name="a.png", **fields):
        files = {"image": (name, content)}
        return comfy.post(f"/upload/{route}", files=files, data=fields)

    stored = {"name": "a.png", "subfolder": "", "type": "input"}
    assert upload(png(1)).json() == stored
    assert upload(png(1)).json() == stored
    assert upload(png(2)).json()["name"] == "a (1).png"
    assert upload(png(3), overwrite="true").json() == stored
    reference = json.dumps({"filename": "a.png", "type": "input"})
    made = upload(png(0, 77), "mask", "m.png", original_ref=reference, subfolder="clipspace")
    assert made.json() == {"name": "m.png", "subfolder": "clipspace", "type": "input"}
    (fields := {"filename": "m.png", "subfolder": "clipspace", "type": "input"})
    assert Image.open(io.BytesIO(comfy.get("/view", params=fields).content)).getpixel((0, 0)) == (
        *[3] * 3,
        77,
    )
    alpha = comfy.get("/view", params=fields | {"channel": "a"}).content
    assert Image.open(io.BytesIO(alpha)).getpixel((0, 0)) == (0, 0, 0, 77)
    small = comfy.get("/view", params=fields | {"preview": "webp;90"})
    assert small.headers["content-type"] == "image/webp"
    assert upload(png(0, 77, side=5), "mask", original_ref=reference).status_code == 400
    assert upload(png(1), "mask", original_ref="[" * 100_000).status_code == 400
    assert upload(b"<script>").status_code == 400
    assert upload(png(1), name="a.html").status_code == 400
    (tmp_path / "secret.png").write_bytes(png(1))
    for folder in ("..", "../..", "/etc", "a/../.."):
        assert upload(png(1), subfolder=folder).status_code in (400, 403)
        asked = {"filename": "secret.png", "subfolder": folder, "type": "input"}
        assert comfy.get("/view", params=asked).status_code in (400, 403)
    for name in ("../secret.png", "..\\secret.png", "secret.png", "jobs.sqlite3"):
        assert comfy.get("/view", params={"filename": name, "type": "input"}).status_code >= 400
    assert comfy.get("/view?filename=a.png&type=data").status_code == 400
    names = comfy.get("/object_info/LoadImage").json()["LoadImage"]["input"]["required"]["image"]
    assert names[0] == ["a (1).png", "a.png", "clipspace/m.png"]


def test_classes_are_described(comfy):
    classes = comfy.get("/api/object_info").json()
    sampler = classes["KSampler"]
    assert list(sampler["input"]["required"]) == sampler["input_order"]["required"]
    seed = sampler["input"]["required"]["seed"]
    assert seed[0] == "INT"
    assert seed[1] == {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}
    assert "dpmpp_2m" in sampler["input"]["required"]["sampler_name"][0]
    assert classes["SaveImage"]["output_node"]
    assert classes["ImageCompositeMasked"]["input"]["optional"] == {"mask": ["MASK"]}
    assert comfy.get("/object_info/No").json() == {}
    assert comfy.get("/models/checkpoints").json() == ["emoji"]
    assert comfy.get("/models/no").status_code == 404
    assert comfy.get("/system_stats").json()["system"]["ram_total"] > 0


def test_sockets_are_guarded(running, tmp_path):
    queue = ComfyQueue(Workspace(outputs=tmp_path), Events())
    server = running(comfy=Comfy(queue, tmp_path / "editor"), token="0123456789abcdef")
    with httpx.Client(base_url=server.url) as client:
        key = {"additional_headers": {"Authorization": "Bearer 0123456789abcdef"}}
        for wrong in ({}, {**key, "origin": "http://evil.example"}, {**key, "origin": "null"}):
            with contextlib.suppress(Exception), connected(client, **wrong):
                pytest.fail("let in")
        with connected(client, **key, origin=server.url) as socket:
            assert json.loads(socket.recv(10))["type"] == "status"


def test_a_client_that_does_not_read_is_let_go():
    listener = Listener()
    for _ in range(MOST_UNREAD + 1):
        listener.tell("a")
    assert listener.messages.qsize() == 1
    assert listener.messages.get_nowait() is None


def test_the_editor_keeps_graphs_and_settings(running, tmp_path):
    editor = tmp_path / "static"
    (editor / "assets").mkdir(parents=True)
    (editor / "index.html").write_text("<title>editor</title>")
    (editor / "assets" / "a.js").write_text("1")
    queue = ComfyQueue(Workspace(outputs=tmp_path), Events())
    server = running(comfy=Comfy(queue, tmp_path / "kept", editor))
    with httpx.Client(base_url=server.url) as client:
        page = client.get("/")
        assert "<title>editor" in page.text
        assert "connect-src 'self'" in page.headers["content-security-policy"]
        assert client.get("/assets/a.js").text == "1"
        assert client.get("/assets/../../data/jobs.sqlite3").status_code == 404
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/templates/index.json").json() == []
        assert client.get("/api/userdata/user.css").headers["content-type"].startswith("text/css")
        assert "/api/jobs/{id}/cancel" in client.get("/openapi.json").json()["paths"]
        name = "/api/userdata/workflows%2Fmine.json"
        assert client.post(f"{name}?overwrite=false", json={"a": 1}).json()["size"] > 0
        assert client.post(f"{name}?overwrite=false", json={"a": 2}).status_code == 409
        listed = client.get("/api/userdata?dir=workflows&recurse=true").json()
        assert [one["path"] for one in listed] == ["mine.json"]
        moved = client.post(f"{name}/move/workflows%2Fother.json")
        assert moved.json()["path"] == "workflows/other.json"
        assert client.get("/api/userdata/workflows%2Fother.json").json() == {"a": 1}
        assert client.delete("/api/userdata/workflows%2Fother.json").status_code == 204
        for bad in ("..%2F..%2Fa.json", "%2Fetc%2Fa.json", "a.html", "a%00.json"):
            assert client.post(f"/api/userdata/{bad}", json={}).status_code in (400, 403)
        client.post("/api/settings/Comfy.A", json=True)
        client.post("/api/settings", json={"Comfy.B": 2})
        assert client.get("/api/settings").json() == {"Comfy.A": True, "Comfy.B": 2}
