"""What /openapi.json says, by requests that schemathesis makes of it.

It is a program of its own: `JAXSD_SCHEMATHESIS=.../st`, made by `pip install schemathesis` in an
environment apart; `JAXSD_FUZZ=60` makes as many requests of each operation.
"""

import os
import re
import subprocess

import httpx
import pytest

PROGRAM = os.environ.get("JAXSD_SCHEMATHESIS")
CASES = os.environ.get("JAXSD_FUZZ", "20")
NOT_SAID = "positive_data_acceptance"
"""A schema cannot say which options go together."""


def test_refusals_are_as_they_are_described(server):
    with httpx.Client(base_url=server.url) as client:
        spec = client.get("/openapi.json").json()
        for path, name in (("/jaxsd/v1/jobs", "error"), ("/sdapi/v1/txt2img", "detail")):
            answer = client.post(path, content=b"{", headers={"Content-Type": "application/json"})
            said = spec["paths"][path]["post"]["responses"]["4XX"]["content"]["application/json"]
            assert name in answer.json()
            assert set(said["schema"]["required"]) == answer.json().keys()
        kinds = spec["paths"]["/jaxsd/v1/jobs/{id}/events"]["get"]["responses"]["200"]["content"]
        assert list(kinds) == ["text/event-stream"]
        assert client.get("/jaxsd/v1/jobs/none/events").status_code == 404
        for path, methods in (("/health", "GET"), ("/jaxsd/v1/jobs/none", "DELETE, GET")):
            answer = client.put(path)
            assert (answer.status_code, answer.headers["allow"]) == (405, methods)


@pytest.mark.release
@pytest.mark.skipif(PROGRAM is None, reason="JAXSD_SCHEMATHESIS does not say where st is")
def test_schemathesis_finds_nothing(server, tmp_path):
    command = [PROGRAM, "run", f"{server.url}/openapi.json", "--max-examples", CASES, "--seed", "1"]
    more = ["--no-color", "--exclude-checks", NOT_SAID, "--request-timeout", "60"]
    told = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True)
    print(told.stdout[-400:])
    assert told.returncode == 0, told.stdout[-20_000:]
    assert int(re.search(r"(\d+) generated", told.stdout)[1]) > 500
