"""Records the outputs of diffusers and transformers for the tiny models of the tests.

tests/tiny_models.py makes the same weights and inputs every time, so only outputs and versions of
packages are stored. Needs the extra [parity]:

    PYTHONPATH=tests python tools/record_goldens.py --output tests/goldens/models.npz
"""

import json
import platform
from collections.abc import Callable, Sequence
from typing import Any

import diffusers
import numpy as np
import torch
import transformers
from absl import app, flags
from tiny_models import (
    CLIP_L,
    CONTROLNETS,
    OPENCLIP_BIGG,
    OPENCLIP_H,
    TINY,
    VAE_TINY,
    abstract_text,
    abstract_unet,
    abstract_vae,
    controlnet_inputs,
    controlnet_params,
    random_params,
    token_ids,
    unet_inputs,
    uniform,
)
from torch_twins import controlnet_twin, load, text_twin, unet_twin, vae_twin

from jaxsd.parity.modules import nchw, nhwc, run_controlnet, run_text, run_unet
from jaxsd.types import Array

OUTPUT = flags.DEFINE_string("output", "tests/goldens/models.npz", "File to write.")

POSITIONS = (0, 1, 6, 40, 76)
"""Tokens whose context is kept: starts, both short prompts' ends, padding, the last."""


def unets() -> dict[str, Array]:
    """Outputs of U-Nets that have every form together; tests marked parity have the others."""
    goldens = {}
    for family in ("sd1", "sdxl", "lcm", "emoji"):
        spec = TINY[family]
        twin = unet_twin(spec.unet, linear_projection=spec.layout.linear_projection)
        load(twin, random_params(abstract_unet(spec.unet)))
        goldens[f"unet/{family}"] = run_unet(twin, unet_inputs(spec.unet))
    return goldens


def controlnets() -> dict[str, Array]:
    """A ControlNet's middle residual, and the U-Net's output with all residuals."""
    config, linear = CONTROLNETS["sdxl"], TINY["sdxl"].layout.linear_projection
    twin = load(controlnet_twin(config, linear_projection=linear), controlnet_params(config))
    unet = unet_twin(config.unet, linear_projection=linear)
    load(unet, random_params(abstract_unet(config.unet)))
    residuals = run_controlnet(twin, controlnet_inputs(config))
    return {
        "controlnet/sdxl/mid": residuals.mid,
        "controlnet/sdxl/unet": run_unet(unet, unet_inputs(config.unet), residuals),
    }


def vae() -> dict[str, Array]:
    """Moments of an image and a decoded latent."""
    twin = load(vae_twin(VAE_TINY), random_params(abstract_vae(VAE_TINY)))
    posterior = twin.encode(nchw(uniform("images", (1, 24, 40, 3)))).latent_dist
    decoded = twin.decode(nchw(uniform("unscaled latents", (1, 3, 5, 4)))).sample
    return {
        "vae/mean": nhwc(posterior.mean),
        "vae/log_variance": nhwc(posterior.logvar),
        "vae/decoded": nhwc(decoded),
    }


def text_encoders() -> dict[str, Array]:
    """Contexts at some positions, and pooled vectors."""
    goldens: dict[str, Array] = {"text/positions": np.array(POSITIONS)}
    configs = {"clip-l": CLIP_L, "openclip-h": OPENCLIP_H, "openclip-bigg": OPENCLIP_BIGG}
    for name, config in configs.items():
        twin = load(text_twin(config), random_params(abstract_text(config)))
        context, pooled = run_text(twin, config, token_ids(config))
        goldens[f"text/{name}/context"] = context[:, POSITIONS]
        goldens[f"text/{name}/pooled"] = pooled
    return goldens


def versions() -> str:
    """Versions of the packages that made the goldens, as JSON."""
    packages: dict[str, Any] = {"diffusers": diffusers, "transformers": transformers}
    numbers = {name: module.__version__ for name, module in packages.items()}
    numbers |= {"torch": torch.__version__, "numpy": np.__version__}
    return json.dumps(numbers | {"python": platform.python_version()})


def main(argv: Sequence[str]) -> None:
    """Runs the recorders and writes one file."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected arguments: {argv[1:]}")
    recorders: tuple[Callable[[], dict[str, Array]], ...]
    recorders = (unets, controlnets, vae, text_encoders)
    goldens = {"versions": np.array(versions())}
    with torch.no_grad():
        for record in recorders:
            goldens |= record()
    np.savez_compressed(OUTPUT.value, **dict(sorted(goldens.items())))
    print(f"{len(goldens)} arrays in {OUTPUT.value}")


if __name__ == "__main__":
    app.run(main)
