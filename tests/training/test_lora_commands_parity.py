"""README's commands, from pictures to a LoRA that diffusers draws with, on a tiny SD 1.5."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")
pytest.importorskip("peft")

from test_exports_parity import DECIBELS, NOISE, draw_theirs
from tiny_runs import curve, jaxsd, tiny_pictures, tiny_sd15

from jaxsd.adapters.lora import merged
from jaxsd.adapters.lora_files import read_lora
from jaxsd.convert import open_model
from jaxsd.images import read_image
from jaxsd.parity.pipelines import psnr
from jaxsd.pipeline import Pipeline

pytestmark = [pytest.mark.release, pytest.mark.filterwarnings("ignore::FutureWarning")]

CONFIG = Path(__file__).parents[2] / "configs/train/lora-sd15.toml"


def test_pictures_become_a_lora_that_diffusers_draws_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny_sd15(Path("tiny"))
    tiny_pictures(Path("my/pictures"), 4)
    # As README has it, but for the model, its size, and so few steps that they must be large.
    small = ("model=tiny", "resolution=64", "batch_size=2", "learning_rate=0.1")
    quick = ("steps=3", "warmup_steps=0", "decay_steps=0", "save_every=3", "log_every=1")
    jaxsd("train", CONFIG, "data=my/pictures", *small, *quick)
    run = Path("runs/lora-sd15")
    assert len({line["loss"] for line in curve(run) if "loss" in line}) == 3
    sheet = read_image(run / "samples" / "000003.png")
    assert sheet.shape == (72, 140, 3)  # two pictures of 64 x 64, and gaps
    assert sheet.std() > 10

    model = open_model("tiny")
    params = model.params(np.dtype(np.float32))
    for form in ("lora-kohya", "lora-peft"):
        jaxsd("export", run, "--to", form, "-o", f"{form}.safetensors")
        theirs = diffusers.StableDiffusionPipeline.from_pretrained("tiny")
        before = draw_theirs(theirs, 64)
        theirs.load_lora_weights(".", weight_name=f"{form}.safetensors")
        want = draw_theirs(theirs, 64)
        tree = merged(params, read_lora(Path(f"{form}.safetensors"), model.spec))
        ours = Pipeline(model.spec, tree, model.tokenizers).draw(
            "a <toy> t", steps=5, sampler="ddim", guidance_scale=3.0, latents=NOISE
        )
        assert psnr(before, want) < 30  # what was learnt is to be seen
        assert psnr(ours.images, want) >= DECIBELS
