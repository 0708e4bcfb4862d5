"""`jaxsd parity` on tiny models: what the report holds, that families agree, what is named."""

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

from diffusers_pairs import SPECS, pair_of
from tiny_models import CLIP_L, SMALL_UNET, TINY, VAE_TINY, pipeline_params

from jaxsd.cli.parity import SAMPLERS
from jaxsd.convert import write_diffusers
from jaxsd.parity.modules import ModuleError, first_apart
from jaxsd.parity.pipelines import (
    SCHEDULERS,
    Request,
    SamplerErrors,
    compare_networks,
    compare_samplers,
)
from jaxsd.parity.report import Report, write
from jaxsd.training.subtrees import path_of

pytestmark = pytest.mark.parity

CHANGED = "mid_block/attentions_0/transformer_blocks_0/attn2/to_k"
ASKED = Request(["a cat", "a dog"], ["", ""], 5.0, 3, 64, 64)


def test_it_names_the_samplers_that_can_be_compared() -> None:
    assert tuple(SCHEDULERS) == SAMPLERS


def test_the_first_that_differs_is_the_first_that_finished() -> None:
    errors = [
        ModuleError(path, (1,), error) for path, error in (("a", 1e-7), ("b", 2e-4), ("c", 1))
    ]
    assert first_apart(errors, 1e-4).path == "b"
    assert first_apart(errors[:1], 1e-4) is None
    assert first_apart([ModuleError("n", (1,), float("nan"))], 1e-4).path == "n"


def test_a_report_has_what_was_compared(tmp_path: Path) -> None:
    modules = {"unet": [ModuleError("conv_in", (1, 8, 8, 4), 3e-7)]}
    runs = [SamplerErrors("euler", [1e-7, 2e-7], [123.4, 120.1], [0.0, 0.01], [0, 1])]
    told = (ASKED._replace(seed=7), modules, runs, {"pndm": "it begins elsewhere"})
    write(Report("tiny", "diffusers", *told), tmp_path)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    for line in (
        "# tiny: jaxsd beside diffusers",
        "| unet | 1 | 3.0e-07 | conv_in |",
        "both from seed 7 and those after it.",
        "| euler | 2 | 120.1 | 1.000% | 1 |",
        "Not drawn with pndm: it begins elsewhere.",
    ):
        assert line in text
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.release
@pytest.mark.parametrize("family", SPECS)
def test_networks_of_each_family(family: str) -> None:
    pair = pair_of(family)
    for name, errors in compare_networks(pair.ours, pair.theirs, ASKED):
        worst = max(errors, key=lambda one: one.error)
        print(f"{family}, {name}: {len(errors)} modules, {worst.error:.1e} in {worst.path}")
        assert worst.error < 1e-4


@pytest.mark.release
@pytest.mark.parametrize("seed", [None, 7])
@pytest.mark.parametrize("family", ["sd1", "sdxl", "cosxl", "playground"])
def test_steps_and_pictures(family: str, seed: int | None) -> None:
    """From the same noise, and from a seed alone; also with continuous noise."""
    pair, said = pair_of(family), []
    told = (["euler", "unipc"], ASKED._replace(seed=seed), said.append)
    runs, left_out = compare_samplers(pair.ours, pair.theirs, *told)
    print(family, seed, said, left_out)
    continuous = pair.ours.spec.schedule.edm is not None
    assert list(left_out) == (["unipc"] if continuous else [])
    assert min(min(run.psnr) for run in runs) > 60
    assert max(max(run.steps) for run in runs) < 1e-4


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


def parity(*words: object) -> "subprocess.CompletedProcess[str]":
    """The command, in a process of its own."""
    program = [sys.executable, "-c", "from jaxsd.cli.main import run; run()", "parity"]
    return subprocess.run(
        [*program, *map(str, words)], timeout=900, capture_output=True, text=True, check=False
    )


@pytest.mark.release
def test_bisecting_finds_the_module_whose_weight_was_changed(folder: Path) -> None:
    done = parity(folder / "tiny", "--theirs", folder / "changed", "--bisect", "--side", 32)
    assert done.stdout.startswith(f"unet: {CHANGED} is the first that differs, by "), done.stderr
    done = parity(folder / "tiny", "--bisect", "--side", 32)
    assert done.stdout.startswith("no module of text_encoder, unet, vae decoder, vae encoder")


@pytest.mark.release
def test_report_has_every_network_step_and_image(folder: Path, tmp_path: Path) -> None:
    words = ["--steps", 3, "--samplers", "euler", "pndm", "--side", 32, "--prompt", "a cat"]
    done = parity(folder / "tiny", "-o", tmp_path, *words)
    assert done.stdout.strip() == str(tmp_path / "report.md"), done.stderr
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
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
