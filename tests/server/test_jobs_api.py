import base64
import json
import time
from dataclasses import replace

import httpx
import numpy as np
import pytest

from jaxsd.images import png_bytes
from jaxsd.server.asking import with_files
from jaxsd.server.native import ask_of, request_schema
from jaxsd.server.service import PLAIN
from jaxsd.server.store import Store
from jaxsd.server.wishes import OPEN, wish_of
from jaxsd.settings import OPTIONS, Settings

JOBS = "/jaxsd/v1/jobs"
SMALL = {"prompt": "a", "size": "64x64", "steps": 8, "sampler": "euler"}


@pytest.fixture
def client(server):
    with httpx.Client(base_url=server.url) as client:
        yield client


def events_of(client, id, **params):
    found = []
    with client.stream("GET", f"{JOBS}/{id}/events", params=params) as answer:
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event:"):
                name = line.partition(":")[2].strip()
            if line.startswith("data:"):
                found.append((name, json.loads(line.partition(":")[2])))
    return found


def test_a_job_from_its_beginning_to_its_pictures(client, server):
    server.artist.gate.clear()
    server.artist.pause = 0.03
    begun = client.post(JOBS, json=SMALL | {"num_images": 3, "seed": 5})
    assert begun.status_code == 202
    job = begun.json()
    assert begun.headers["location"] == f"{JOBS}/{job['id']}"
    waiting = client.post(JOBS, json=SMALL).json()
    time.sleep(0.05)
    assert client.get(f"{JOBS}/{waiting['id']}").json()["queue_position"] == 1
    server.artist.gate.set()
    events = events_of(client, job["id"], preview=True)
    names = [name for name, _ in events]
    assert names[-1] == "completed"
    assert "preview" in names
    shares = [said["progress"] for name, said in events if name == "progress"]
    assert shares == sorted(shares)
    done = events[-1][1]
    assert [one["seed"] for one in done["images"]] == [5, 6, 7]
    picture = client.get(done["images"][1]["url"])
    assert picture.content.startswith(b"\x89PNG")
    assert picture.headers["content-type"] == "image/png"
    told = client.get(f"{JOBS}/{job['id']}").json()
    assert told["images"][0]["settings"]["prompt"] == "a"
    assert set(told["images"][0]["settings"]) == set(OPEN)
    assert {one["id"] for one in client.get(JOBS).json()} == {job["id"], waiting["id"]}
    assert client.delete(f"{JOBS}/{job['id']}").status_code == 204
    assert client.get(f"{JOBS}/{job['id']}").status_code == 404
    assert client.get(done["images"][1]["url"]).status_code == 404


def test_cancelling_stops_one_job_and_no_other(client, server):
    server.artist.gate.clear()
    ids = [client.post(JOBS, json=SMALL).json()["id"] for _ in range(4)]
    for id in ids[1::2]:
        assert client.post(f"{JOBS}/{id}/cancel").status_code == 200
    server.artist.gate.set()
    states = [events_of(client, id)[-1][0] for id in ids]
    assert states == ["completed", "cancelled"] * 2
    assert client.post(f"{JOBS}/{ids[0]}/cancel").status_code == 409
    assert client.post(f"{JOBS}/none/cancel").status_code == 404


def test_what_is_urgent_comes_first(client, server):
    server.artist.gate.clear()
    told = [{"prompt": "a"}] * 3 + [{"prompt": "b", "priority": -1}, {"prompt": "c", "priority": 2}]
    ids = [client.post(JOBS, json=SMALL | told[0]).json()["id"]]
    while server.engine.waiting:
        time.sleep(0.001)
    ids += [client.post(JOBS, json=SMALL | one).json()["id"] for one in told[1:]]
    places = [client.get(f"{JOBS}/{id}").json()["queue_position"] for id in ids]
    assert places == [None, 1, 2, 3, 0]
    server.artist.gate.set()
    for id in ids:
        assert events_of(client, id)[-1][0] == "completed"
    answer = client.post(JOBS, json=SMALL | {"priority": 11})
    assert answer.status_code == 400
    assert "priority 11 is out of range; allowed is -10 to 10" in answer.text


def test_ip_adapters_are_named_and_their_files_are_not(server, client):
    model = replace(server.service.models["tiny"], adapters={"face": "files/face.bin"})
    picture = base64.b64encode(png_bytes(np.zeros((8, 8, 3), np.uint8))).decode()
    asked = {"image": picture, "model": "face", "weight": 0.5}
    wish = wish_of({"prompt": "a", "ip_adapter": [asked]}, Settings())
    assert wish.pictures.prompts[0].shape == (8, 8, 3)
    (one,) = with_files(wish, model).settings.ip_adapter
    assert (one.model, one.weight) == ("files/face.bin", 0.5)
    answer = client.post(JOBS, json=SMALL | {"ip_adapter": [asked | {"model": "files/face.bin"}]})
    assert answer.status_code == 400
    assert "ip_adapter names 'files/face.bin', and tiny has none" in answer.text


def test_a_deadline(client, server):
    server.artist.gate.clear()
    id = client.post(JOBS, json=SMALL | {"deadline": 0.05}).json()["id"]
    time.sleep(0.1)
    server.artist.gate.set()
    name, said = events_of(client, id)[-1]
    assert name == "failed"
    assert "the deadline passed after" in said["error"]


def test_the_schema_has_every_option_but_those_that_name_files(client):
    said = client.get("/jaxsd/v1/options").json()
    assert said == request_schema()
    assert set(OPTIONS) - set(said["properties"]) == set(OPTIONS) - set(OPEN)
    assert set(OPTIONS) - set(OPEN) == {
        *("embedding", "embedding_folder", "image_encoder", "ip_adapter_mask"),
        *("lora", "lora_folder", "motion", "motion_lora", "wildcards"),
    }
    assert said["properties"]["freeu"]["items"]["maximum"] == 10
    spec = client.get("/openapi.json").json()
    body = spec["paths"][JOBS]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body == said


def test_defaults_of_the_schema_are_those_of_the_options():
    given = {name: one.get("default") for name, one in request_schema()["properties"].items()}
    ask = ask_of({name: value for name, value in given.items() if name in OPEN}, PLAIN)
    settings = ask.wishes[0].settings
    for name in OPEN.keys() - {"seed"}:
        assert getattr(settings, name) == OPTIONS[name].default, name


def test_jobs_wait_through_a_restart_under_their_ids(running, tmp_path):
    first = running()
    first.artist.gate.clear()
    with httpx.Client(base_url=first.url) as client:
        ids = [client.post(JOBS, json=SMALL | {"seed": i}).json()["id"] for i in range(4)]
        while first.engine.waiting > 3:
            time.sleep(0.01)
        first.engine.drain()
        assert client.get("/ready").status_code == 503
        assert client.get("/health").status_code == 200
        assert client.post(JOBS, json=SMALL).status_code == 503
    first.end()
    second = running(most_waiting=1)  # what was taken once is not refused
    with httpx.Client(base_url=second.url) as client:
        seeds = []
        for id in ids:
            name, said = events_of(client, id)[-1]
            assert name == "completed"
            seeds.append(said["images"][0]["seed"])
    assert seeds == [0, 1, 2, 3]
    assert sorted(settings.seed for settings, _ in second.artist.asked) == [1, 2, 3]


def test_two_servers_do_not_share_a_folder(server, tmp_path):
    with pytest.raises(ValueError, match="another server"):
        Store(tmp_path / "data")


def test_a_full_disk_is_told_and_nobody_waits_for_ever(client, server):
    file, large = server.service.store._file, SMALL | {"prompt": "a " * 9000}
    server.artist.gate.clear()
    job = client.post(JOBS, json=large).json()
    ((pages,),) = file.execute("PRAGMA page_count")
    file.execute(f"PRAGMA max_page_count = {pages}")  # as on a disk that is full from now on
    refused = client.post(JOBS, json=large)
    assert refused.status_code == 507
    assert "full" in refused.json()["error"]["message"]
    server.artist.gate.set()
    name, said = events_of(client, job["id"])[-1]
    assert name == "failed"
    assert "full" in said["error"]
    assert client.get(f"{JOBS}/{job['id']}").json()["status"] == "failed"
    file.execute("PRAGMA max_page_count = 100000")
    again = client.post(JOBS, json=SMALL).json()
    assert events_of(client, again["id"])[-1][0] == "completed"
