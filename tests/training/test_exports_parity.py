"""What a run gives back, loaded by diffusers, draws what jaxsd draws with it."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
pytest.importorskip("peft")

from tiny_models import apply, controlnet_inputs, uniform
from tiny_runs import TINY_VAE, small_model, tiny_model, tiny_pictures

from jaxsd.config import Level
from jaxsd.convert import read_controlnet
from jaxsd.models import ControlNet
from jaxsd.parity.modules import nchw, nhwc, relative_error, run_controlnet, torch_outputs
from jaxsd.parity.pipelines import psnr
from jaxsd.pipeline import Pipeline
from jaxsd.training.config import EmbeddingConfig, LoraConfig, TrainConfig
from jaxsd.training.loop import Task
from jaxsd.training.subtrees import Leaves, split
from jaxsd.training.tasks import task_of

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

diffusers.logging.set_verbosity_error()
torch.set_num_threads(1)

NOISE = uniform("initial noise", (1, 8, 8, 4))
TARGETS = (
    r"unet/.*/(to_q|to_k|to_v|to_out_0|proj|net_2|proj_in|conv1)/kernel",
    r"text/.*/fc1/kernel",
)
DECIBELS = 50.0


def load(pipe: Any, form: str, place: Path, model: str) -> Any:
    """diffusers' pipeline with an export; `model` is the folder that training started from."""
    if form == "diffusers":
        return diffusers.StableDiffusionPipeline.from_pretrained(place)
    if form == "single-file":
        return diffusers.StableDiffusionPipeline.from_single_file(
            str(place), config=model, local_files_only=True
        )
    if form == "embedding":
        pipe.load_textual_inversion(place)
    else:
        pipe.load_lora_weights(place.parent, weight_name=place.name)
    return pipe


@pytest.mark.parametrize(
    ("task", "form"),
    [
        ("finetune", "diffusers"),
        ("finetune", "single-file"),
        ("lora", "diffusers"),
        ("lora", "lora-peft"),
        ("lora", "lora-kohya"),
        ("embedding", "embedding"),
    ],
)
def test_diffusers_draws_the_same(task: str, form: str, tmp_path: Path) -> None:
    config = TrainConfig(
        task=task,
        output=str(tmp_path / "run"),
        data=str(tiny_pictures(tmp_path / "data", 2)),
        model=str(small_model(tmp_path / "model", (Level(32, 1, 1, 2),), TINY_VAE)),
        steps=1,
        batch_size=2,
        learning_rate=1.0,
        warmup_steps=0,
        trainable=("unet/.*", "text/.*"),
        lora=LoraConfig(rank=3, alpha=6.0, targets=TARGETS),
        embedding=EmbeddingConfig("<toy>", initial="t", vectors=2),
    )
    learnt = task_of(config)
    trained = moved(learnt)
    place = tmp_path / ("folder" if form == "diffusers" else f"{form}.safetensors")
    learnt.exports[form](place, trained)

    theirs = diffusers.StableDiffusionPipeline.from_pretrained(config.model)
    before = draw_theirs(theirs)
    want = draw_theirs(load(theirs, form, place, config.model))
    spec, params, tokenizers = learnt.model(trained)
    ours = Pipeline(spec, params, tokenizers).draw(
        "a <toy> t", steps=5, sampler="ddim", guidance_scale=3.0, latents=NOISE, height=16, width=16
    )
    assert psnr(before, want) < 30  # what was learnt is to be seen
    assert psnr(ours.images, want) >= DECIBELS


def test_diffusers_sees_what_a_controlnet_run_learnt(tmp_path: Path) -> None:
    config = TrainConfig(
        task="controlnet",
        output=str(tmp_path / "run"),
        data=str(tmp_path),
        model=str(tiny_model(tmp_path / "model")),
        steps=1,
        batch_size=2,
        learning_rate=1.0,
        warmup_steps=0,
    )
    learnt = task_of(config)
    trained = moved(learnt)
    learnt.exports["diffusers"](tmp_path / "net", trained)
    shape, params = read_controlnet(tmp_path / "net")
    leaves = split({"controlnet": params}, [".*"]).trained
    assert leaves.keys() == trained.keys()
    for path, leaf in leaves.items():
        np.testing.assert_array_equal(leaf, trained[path], err_msg=path)

    theirs = diffusers.ControlNetModel.from_pretrained(tmp_path / "net")
    inputs = controlnet_inputs(shape, size=(8, 8))
    want = torch_outputs(theirs, lambda: run_controlnet(theirs, inputs))[0]
    got = apply(ControlNet(shape), params, **inputs)
    for residual, wanted in zip((*got.down, got.mid), (*want.down, want.mid), strict=True):
        assert relative_error(residual, wanted) <= 1e-5  # float32 sums in another order


def moved(task: Task) -> Leaves:
    """As after many steps: all has moved by a fifth of its size, and what was 0 far away."""
    begun = jax.device_get(task.start(jax.random.key(0)))
    return {
        path: np.float32(leaf + 0.2 * (leaf.std() or 1.0) * uniform(path, leaf.shape))
        for path, leaf in begun.items()
    }


def draw_theirs(pipe: Any, side: int = 16) -> np.ndarray:
    """Pictures [1, side, side, 3] in about [-1, 1], before they are clipped."""
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = diffusers.DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    latents = pipe(
        "a <toy> t",
        num_inference_steps=5,
        guidance_scale=3.0,
        latents=nchw(NOISE),
        height=side,
        width=side,
        output_type="latent",
    ).images
    with torch.no_grad():
        return nhwc(pipe.vae.decode(latents / pipe.vae.config.scaling_factor).sample)
