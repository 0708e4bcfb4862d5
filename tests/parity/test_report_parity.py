"""tools/parity.py on a tiny model: what the report holds, and that the model agrees."""

import ast
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from tiny_models import CLIP_L, SMALL_UNET, TINY, VAE_TINY, pipeline_params

from jaxsd.convert import write_diffusers
from jaxsd.parity.pipelines import SCHEDULERS
from jaxsd.training.subtrees import path_of

pytestmark = pytest.mark.release

CHANGED = "mid_block/attentions_0/transformer_blocks_0/attn2/to_k"
PROGRAM = Path(__file__).parents[2] / "tools" / "parity.py"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, and beside it one of which a single weight is another."""
    folder = tmp_path_factory.mktemp("parity")
    text = replace(CLIP_L, vocab_size=49408, pad_token=49407)
    vae = replace(VAE_TINY, channels=(16, 32))
    spec = replace(TINY["sd1"], unet=SMALL_UNET, vae=vae, text=(text,))
    params = pipeline_params(spec)
    write_diffusers(folder / "tiny", spec, params)
    leaves, tree = jax.tree_util.tree_flatten_with_path(params["unet"])
    place = [path_of(path) for path, _ in leaves].index(f"{CHANGED}/kernel")
    changed = [np.array(leaf) for _, leaf in leaves]
    changed[place][0, 0] += 1
    unet = jax.tree.unflatten(tree, changed)
    write_diffusers(folder / "changed", spec, params | {"unet": unet})
    return folder


@pytest.fixture(scope="module")
def report(folder: Path) -> Path:
    options = ["--steps=3", "--samplers=euler,pndm", "--size=32", "--prompt=a cat"]
    subprocess.run(
        [sys.executable, PROGRAM, folder / "tiny", f"--output={folder / 'report'}", *options],
        check=True,
        timeout=600,
    )
    return folder / "report"


def test_bisecting_finds_the_module_whose_weight_was_changed(folder: Path) -> None:
    options = [f"--against={folder / 'changed'}", "--bisect", "--size=32"]
    run = [sys.executable, PROGRAM, folder / "tiny", *options]
    line = subprocess.run(run, check=True, timeout=600, capture_output=True, text=True).stdout
    assert line.startswith(f"unet: {CHANGED} is the first that differs, by ")


def test_report_has_every_network_step_and_image(report: Path) -> None:
    text = (report / "report.md").read_text(encoding="utf-8")
    for network in ("text_encoder", "unet", "vae decoder", "vae encoder"):
        [row] = re.findall(rf"^\| {network} \| (\d+) \| ([\d.e-]+) \|", text, re.MULTILINE)
        assert int(row[0]) > 20
        assert float(row[1]) < 1e-5
    assert "| down_blocks_0/attentions_0/transformer_blocks_0/attn1/to_q | 1x256x32 |" in text
    images = re.findall(r"^\| (euler|pndm) \| 1 \| ([\d.]+) \|", text, re.MULTILINE)
    assert [name for name, _ in images] == ["euler", "pndm"]
    assert all(float(decibels) > 60 for _, decibels in images)
    # Three steps of Euler, four calls of the network in PNDM's.
    steps = text.split("## Latents after each step")[1].split("##")[0]
    counts = [line.count("e-") for line in steps.splitlines() if re.match(r"\| \d", line)]
    assert counts == [2, 2, 2, 1]


def test_plot_is_an_image(report: Path) -> None:
    assert (report / "report.png").read_bytes().startswith(b"\x89PNG")


def test_it_names_the_samplers_that_can_be_compared() -> None:
    names = re.search(r"^SAMPLERS = (\(.*\))$", PROGRAM.read_text(), re.MULTILINE)[1]
    assert ast.literal_eval(names) == tuple(SCHEDULERS)


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, PROGRAM, tmp_path / "nothing"], capture_output=True, text=True
    )
    assert run.returncode != 0
    assert "no model at" in run.stderr
    assert "Traceback" not in run.stderr
