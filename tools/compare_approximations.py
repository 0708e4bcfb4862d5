"""How far pictures of fewer operations are from the whole ones: Markdown for BENCHMARKS.md.

    python tools/compare_approximations.py [--taesd=FOLDER]

Draws the same pictures with every setting, and counts the operations in them. A distance is the
PSNR between a picture and the one of the full computation, in decibels.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from absl import app
from absl.flags import argparse_flags

import jaxsd
from jaxsd.benchmark.flops import count_flops
from jaxsd.schedulers.guidance import classifier_free, refreshed_rows, runs, together

PROMPTS = ("a red apple", "a cat", "a bicycle", "the flag of Japan")


class Setting(NamedTuple):
    """Which operations are left out."""

    interval: tuple[float, float] = (0.0, 1.0)
    reuse: int = 1

    @property
    def title(self) -> str:
        """The setting in words."""
        words = []
        if self.interval != (0.0, 1.0):
            words.append("guidance in {:g} to {:g} of the steps".format(*self.interval))
        if self.reuse > 1:
            words.append(f"deep features of every {self.reuse} steps")
        return ", ".join(words)


SETTINGS = (
    Setting(reuse=2),
    Setting(reuse=3),
    Setting(reuse=5),
    Setting(interval=(0.2, 0.8)),
    Setting(interval=(0.2, 0.8), reuse=2),
    Setting(interval=(0.2, 0.8), reuse=3),
)


def unet_flops(pipe: jaxsd.Pipeline) -> tuple[int, int]:
    """Operations of the U-Net on one latent, in full and around given deep features."""
    spec, unet = pipe.spec, pipe.networks.unet
    side = spec.default_size // spec.vae.downscale
    inputs = {
        "x": jnp.zeros((1, side, side, spec.unet.in_channels)),
        "timestep": jnp.float32(0),
        "context": jnp.zeros((1, spec.text[0].max_length, spec.unet.context_dim)),
    }
    deep = jnp.zeros((1, side, side, spec.unet.deep_channels))

    def around(params: Any, deep: Any, inputs: Any) -> Any:
        return unet.apply({"params": params}, deep, **inputs, method="around")

    shapes = jax.eval_shape(lambda: pipe.params["unet"])
    return count_flops(around, shapes, None, inputs), count_flops(around, shapes, deep, inputs)


def decoder_flops(pipe: jaxsd.Pipeline) -> int:
    """Operations of the autoencoder to decode one latent."""
    spec, vae = pipe.spec, pipe.networks.vae
    side = spec.default_size // spec.vae.downscale
    shapes = jax.eval_shape(lambda: pipe.params["vae"])
    return count_flops(
        lambda params, latents: vae.apply({"params": params}, latents, method="decode"),
        shapes,
        jnp.zeros((1, side, side, spec.vae.latent_channels)),
    )


def work(setting: Setting, rows: int, flops: tuple[int, int]) -> float:
    """The U-Net's operations for a picture, as a share of the full computation."""
    whole, outermost = flops
    total = 0
    for run in runs(together([classifier_free(2.0, rows, setting.interval)])):
        refresh = refreshed_rows(setting.reuse, run.end - run.first)
        total += len(run.live) * np.where(refresh, whole, outermost).sum()
    return total / (2 * rows * whole)


def distances(images: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """PSNR of each picture, [B] decibels."""
    squares = (images.astype(np.float64) - whole) ** 2
    return 10 * np.log10(255**2 / squares.mean((1, 2, 3)))


def table(args: argparse.Namespace) -> str:
    """Draws, and returns the table."""
    pipe = jaxsd.load(args.model)
    flops = unet_flops(pipe)

    def drawn(pipe: jaxsd.Pipeline, setting: Setting) -> np.ndarray:
        options = {"steps": args.steps, "guidance_interval": setting.interval}
        # Row by row, so that a few programs serve every setting.
        return pipe.text_to_image(
            PROMPTS, reuse=setting.reuse, progress=lambda done, rows: None, **options
        )

    whole = drawn(pipe, Setting())

    def row(title: str, share: float, images: np.ndarray) -> str:
        apart = distances(images, whole)
        far = f"{apart.mean():.1f} dB (worst picture {apart.min():.1f})"
        return f"| {title} | {100 * share:.0f}% | {far} |"

    lines = ["| | operations | distance from the whole picture |", "| --- | --- | --- |"]
    for setting in SETTINGS:
        share = work(setting, args.steps, flops)
        lines.append(row(f"{setting.title} (of the U-Net)", share, drawn(pipe, setting)))
    if args.taesd:
        tiny = jaxsd.load(args.model, taesd=args.taesd)
        share = decoder_flops(tiny) / decoder_flops(pipe)
        lines.append(row("tiny autoencoder (of the decoder)", share, drawn(tiny, Setting())))
    return "\n".join(lines)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", default="emoji", help="what jaxsd.load takes")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--taesd", metavar="FOLDER", help="a tiny autoencoder for the model")
    return parser.parse_args(argv[1:])


def main(args: argparse.Namespace) -> None:
    """Prints the table."""
    print(table(args), flush=True)


if __name__ == "__main__":
    app.run(main, flags_parser=arguments)
