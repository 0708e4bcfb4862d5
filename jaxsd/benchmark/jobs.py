"""What is timed: parts of models, as data that workers in any environment understand."""

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from jaxsd import families
from jaxsd.config import ModelSpec
from jaxsd.convert.diffusers.schedule_settings import scheduler_settings
from jaxsd.convert.diffusers.text_settings import text_settings
from jaxsd.convert.diffusers.unet_settings import unet_settings
from jaxsd.convert.diffusers.vae_settings import vae_settings
from jaxsd.memory import check_drawing
from jaxsd.settings import Settings

OURS = "jaxsd"
"""Name of our own worker."""

MODELS: dict[str, ModelSpec] = {
    "emoji": families.EMOJI,
    "sd15": families.SD1,
    "sd21": families.SD2_V,
    "sdxl": families.SDXL,
}
"""Names on the command line -> shapes. Weights are random: the time depends only on shapes."""

PARTS = {
    "unet": "one step with guidance: a call of the U-Net with two latents an image",
    "vae": "latents to images",
    "text": "two prompts an image through the text encoders",
    "image": "text to image: prompts, all steps, and images",
}

PROGRAMS = ("encode", "denoise", "decode")
"""What a drawing runs, one after the other."""

DTYPES = ("float32", "bfloat16")
STORED = ("float32", "float16", "bfloat16")


@dataclass(frozen=True)
class Job:
    """One thing to time.

    Attributes:
      model: of `MODELS`.
      part: of `PARTS`.
      dtype: of `DTYPES`.
      batch: images.
      size: height and width in pixels.
      steps: calls of the U-Net, for the part "image".
      stored: dtype of the file that the weights would be read from; jaxsd keeps 16-bit weights.
    """

    model: str
    part: str
    dtype: str
    batch: int
    size: int
    steps: int
    stored: str = "float32"

    @property
    def spec(self) -> ModelSpec:
        """The model's spec."""
        return MODELS[self.model]

    def message(self) -> dict[str, Any]:
        """The job for workers without jaxsd, with diffusers' settings of the model."""
        spec = self.spec
        return asdict(self) | {
            "unet": unet_settings(
                spec.unet,
                linear_projection=spec.layout.linear_projection,
                sample_size=spec.default_size // spec.vae.downscale,
                upcast_attention=False,
            ),
            "vae": vae_settings(spec.vae, spec.default_size),
            "texts": [text_settings(config) for config in spec.text],
            "scheduler": scheduler_settings(spec),
            "latent": self.size // spec.vae.downscale,
            "tokens": spec.text[0].max_length,
            "time_ids": spec.unet.added.time_ids if spec.unet.added else 0,
            "pooled": spec.unet.added.pooled_dim if spec.unet.added else 0,
        }


def jobs_of(
    models: list[str],
    parts: list[str],
    dtypes: list[str],
    batch: int,
    size: int | None,
    steps: int,
    stored: str = "float32",
) -> list[Job]:
    """Every part of every model in every dtype; `size` None is what suits the model.

    Raises:
      ValueError: a number is not allowed, or memory can not hold such a batch.
    """
    for name, count in {"batch": batch, "steps": steps}.items():
        if count < 1:
            raise ValueError(f"--{name} {count} is not a number above 0")
    for spec in map(MODELS.__getitem__, models):
        if steps > (trained := spec.schedule.train_steps):
            raise ValueError(f"--steps {steps} is more than the {trained} noise levels there are")
        unit = spec.vae.downscale
        if size is not None and (size < unit or size % unit):
            raise ValueError(f"--size {size} is not a multiple of {unit} pixels above 0")
    sizes = {model: size or MODELS[model].default_size for model in models}
    for model, side in sizes.items():
        check_drawing(Settings(width=side, height=side), MODELS[model], batch, batch)
    return [
        Job(model, part, dtype, batch, sizes[model], steps, stored)
        for model in models
        for dtype in dtypes
        for part in parts
    ]


def peers_of(texts: Sequence[str]) -> dict[str, str]:
    """Name -> command, of texts NAME=COMMAND.

    Raises:
      ValueError: a text is something else, a name is taken, or a quote is not closed.
    """
    peers: dict[str, str] = {}
    for text in texts:
        name, _, command = text.partition("=")
        if not name or not name.isprintable() or not command.strip():
            raise ValueError(f"--peer {text!r} is not NAME=COMMAND")
        if name == OURS or name in peers:
            raise ValueError(f"--peer {text!r}: the name {name!r} is taken; choose another")
        try:
            shlex.split(command)
        except ValueError:
            raise ValueError(f"--peer {text!r} has a quote that is not closed") from None
        peers[name] = command
    return peers
