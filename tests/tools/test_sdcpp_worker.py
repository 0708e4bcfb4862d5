"""The worker of stable-diffusion.cpp; in its place a package that writes down what it is asked."""

import json
import os
import subprocess
import sys
from pathlib import Path

WORKER = Path(__file__).parents[2] / "tools" / "peers" / "sdcpp_worker.py"
PACKAGE = """
import json, sys

class StableDiffusion:
    def __init__(self, **given):
        print("noise of a library")
        sys.stderr.write(json.dumps(given) + "\\n")

    def generate_image(self, prompt, **given):
        sys.stderr.write(json.dumps(given) + "\\n")
"""


def asked(folder: Path, options: list[str], *messages: dict) -> tuple[list[dict], list[dict]]:
    """The worker's answers, and what the package was given."""
    (folder / "stable_diffusion_cpp.py").write_text(PACKAGE)
    facts = folder / "stable_diffusion_cpp_python-1.2.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: stable-diffusion-cpp-python\nVersion: 1.2\n"
    )
    done = subprocess.run(
        [sys.executable, WORKER, "--model", "own.safetensors", *options],
        input="".join(f"{json.dumps(message)}\n" for message in messages),
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=True,
    )
    told = [json.loads(line) for line in done.stderr.splitlines() if line.startswith("{")]
    return [json.loads(line) for line in done.stdout.splitlines()], told


def test_it_draws_the_job_with_the_weights_and_options_of_its_command(tmp_path):
    job = {"part": "image", "size": 256, "batch": 2, "steps": 3, "dtype": "float32"}
    options = ["--type", "q8_0", "--flash", "--vae-tile", "32"]
    answers, told = asked(tmp_path, options, {"job": job}, {"run": True}, {"finish": True})
    first, second, last = answers
    assert first["versions"] == "stable-diffusion-cpp-python 1.2"
    assert first["compile"] > 0 < second["seconds"]
    assert last["peak"] > 2**20
    model, *drawn = told
    assert {name: model[name] for name in ("model_path", "wtype", "flash_attn", "n_threads")} == {
        "model_path": "own.safetensors",
        "wtype": "q8_0",
        "flash_attn": True,
        "n_threads": os.cpu_count(),
    }
    assert len(drawn) == 2
    wanted = {"width": 256, "height": 256, "batch_count": 2, "sample_steps": 3, "vae_tile_size": 32}
    assert all(wanted.items() <= one.items() for one in drawn)


def test_parts_of_a_picture_are_left_out_with_a_reason(tmp_path):
    job = {"part": "unet", "size": 256, "batch": 1, "steps": 1}
    answers, told = asked(tmp_path, [], {"job": job}, {"finish": True})
    assert answers[0] == {"left_out": "only whole pictures are timed"}
    assert told == []
