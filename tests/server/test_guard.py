import base64
import http.client
import subprocess
import sys
import time

import httpx
import pytest

MUTATING = ("/jaxsd/v1/jobs", "/v1/images/generations", "/sdapi/v1/txt2img", "/sdapi/v1/interrupt")
FOREIGN = [
    ({"Host": "evil.example"}, 421),
    ({"Host": "127.0.0.1.evil.example"}, 421),
    ({"Host": ""}, 421),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "file://"}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
]


def test_other_hosts_origins_and_types_are_refused(server):
    with httpx.Client(base_url=server.url) as client:
        for headers, status in FOREIGN:
            for path in MUTATING:
                answer = client.post(path, json={"prompt": "a"}, headers=headers)
                assert answer.status_code == status, (path, headers)
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            for path in MUTATING[:2]:
                answer = client.post(
                    path, content=b'{"prompt": "a"}', headers={"Content-Type": kind}
                )
                assert answer.status_code == 415
        own = {"Origin": server.url, "Sec-Fetch-Site": "same-origin"}
        assert client.post("/v1/images/edits", json={}, headers=own).status_code == 415
        assert server.artist.asked == []
        answer = client.get("/health")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert "access-control-allow-origin" not in answer.headers


def test_hostile_bodies_are_one_line_and_the_next_request_works(server):
    deep = b'{"prompt":' + b"[" * 10_000 + b"]" * 10_000 + b"}"
    bodies = [
        b"{",
        b"[]",
        b'"a"',
        b"\xff",
        deep,
        b'{"prompt": "' + b"a" * 10_000_000 + b'"}',
        b'{"prompt": "a", "steps": NaN}',
        b'{"prompt": "a", "guidance_scale": 1e999}',
        b'{"prompt": "a", "width": 1e308}',
        b'{"prompt": "a", "num_images": true}',
        b'{"prompt": 3}',
        b'{"prompt": "a\\ud800"}',
        b'{"prompt": "a", "image": "http://169.254.169.254/"}',
        b'{"prompt": "a", "image": "file:///etc/passwd"}',
        b'{"prompt": "a", "image": "PHN2Zz48L3N2Zz4="}',
        b'{"prompt": "a", "width": 65536, "height": 65536}',
        b'{"prompt": "<lora:../../etc/passwd:1>"}',
        b'{"prompt": "a", "model": "../../etc/passwd"}',
    ]
    with httpx.Client(base_url=server.url) as client:
        for body in bodies:
            began = time.monotonic()
            answer = client.post(
                "/jaxsd/v1/jobs", content=body, headers={"Content-Type": "application/json"}
            )
            assert 400 <= answer.status_code < 500, body[:60]
            assert "\n" not in answer.json()["error"]["message"]
            assert time.monotonic() - began < 2
        for path in (
            "/jaxsd/v1/pictures/..%2f..%2fetc%2fpasswd",
            "/jaxsd/v1/jobs/%2e%2e/x",
            "/..//x",
        ):
            assert client.get(path).status_code == 404
        assert client.post("/jaxsd/v1/jobs", json={"prompt": "a"}).status_code == 202


def test_a_large_body_is_not_read(running):
    server = running(most_bytes=1000)
    with httpx.Client(base_url=server.url) as client:
        said = {"Content-Type": "application/json"}
        assert client.post("/jaxsd/v1/jobs", content=b"a" * 1001, headers=said).status_code == 413

        def parts():
            yield from (b"a" * 100 for _ in range(50))

        assert client.post("/jaxsd/v1/jobs", content=parts(), headers=said).status_code == 413
        assert client.post("/jaxsd/v1/jobs", json={"prompt": "a"}).status_code == 202


def test_a_token_is_needed_where_there_is_one(running):
    server = running(token="secret")
    basic = base64.b64encode(b"me:secret").decode()
    with httpx.Client(base_url=server.url) as client:
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer wrong"}, 401),
            ({"Authorization": "Basic !"}, 401),
            ({"Authorization": "secret"}, 401),
            ({"Authorization": "Bearer secret"}, 200),
            ({"Authorization": f"Basic {basic}"}, 200),
        ):
            assert client.get("/v1/models", headers=headers).status_code == status
        assert client.get("/health").status_code == 200
        assert client.get("/ready").status_code == 200


def test_a_request_that_never_ends_holds_up_nobody(server):
    port = int(server.url.rpartition(":")[2])
    slow = [http.client.HTTPConnection("127.0.0.1", port, timeout=5) for _ in range(20)]
    for one in slow:
        one.putrequest("POST", "/jaxsd/v1/jobs")
        one.putheader("Content-Type", "application/json")
        one.putheader("Content-Length", "1000")
        one.endheaders(b"{")
    began = time.monotonic()
    assert httpx.get(f"{server.url}/health").json() == {"status": "ok"}
    assert time.monotonic() - began < 5
    for one in slow:
        one.close()


def test_numbers_for_prometheus(server):
    parser = pytest.importorskip("prometheus_client.parser")
    with httpx.Client(base_url=server.url) as client:
        said = {"prompt": "a", "width": 64, "height": 64, "seed": 1}
        for prompt in ("a", "nan"):
            answer = client.post("/v1/images/generations", json=said | {"prompt": prompt})
            assert answer.status_code == (500 if prompt == "nan" else 200)
        id = client.post("/jaxsd/v1/jobs", json=said).json()["id"]
        assert "event: completed" in client.get(f"/jaxsd/v1/jobs/{id}/events").text
        text = client.get("/metrics").text
    found = {
        (one.name, *one.labels.values()): one.value
        for family in parser.text_string_to_metric_families(text)
        for one in family.samples
    }
    assert found["jaxsd_pictures_accepted_total",] == 3
    assert found["jaxsd_pictures_total", "completed"] == 2
    assert found["jaxsd_pictures_total", "failed"] == 1


@pytest.mark.release
def test_a_checker_of_others_finds_nothing(server):
    pytest.importorskip("ligsp")  # pip install local-image-gen-security
    command = [sys.executable, "-m", "ligsp", "check", server.url]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "0 failed, 0 warnings, 6 passed" in found.stdout
