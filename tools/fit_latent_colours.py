"""Fits the tables of `jaxsd/latent_colours.py`: which colour a latent has, by least squares.

    python tools/fit_latent_colours.py --pictures FOLDER --taesd taesd.safetensors
    python tools/fit_latent_colours.py --pictures FOLDER --model emoji

Pictures are encoded, and each latent is put beside the mean colour of its pixels. Prints
four weights for red, green and blue, then what is added, then how far the colours are from the true
ones, for pictures that were left out one after the other. The folder has two or more.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import jax
import numpy as np
from absl import app, flags

import jaxsd
from jaxsd.convert.files.tensors import load
from jaxsd.convert.tiny_vae import open_tiny_vae
from jaxsd.images import from_uint8, is_picture, read_image
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.types import Array

PICTURES = flags.DEFINE_string("pictures", None, "folder of pictures", required=True)
TAESD = flags.DEFINE_string("taesd", None, "tiny autoencoder whose latents are fitted")
MODEL = flags.DEFINE_string("model", "emoji", "model whose latents are fitted without --taesd")

SIDE, UNIT = 256, 8
"""Pixels of a square that is cut from a picture, and of a latent."""


def squares(folder: Path) -> list[np.ndarray]:
    """The squares of each picture in a folder, uint8 [n, SIDE, SIDE, 3]."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if is_picture(path)):
        image = read_image(path)
        rows, columns = (side // SIDE for side in image.shape[:2])
        if rows and columns:
            cut = image[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE, 3)
            found.append(cut.swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3))
    return found


def encoder() -> Callable[[np.ndarray], Array]:
    """A function from pictures uint8 [B, H, W, 3] to scaled latents."""
    if TAESD.value is None:
        return jaxsd.load(MODEL.value).encode
    config, tensors = open_tiny_vae(Path(TAESD.value))
    params = load(tensors, lambda path, leaf: leaf.astype(np.float32))
    encode = jax.jit(partial(TinyVAE(config).apply, {"params": params}, method="encode"))
    return lambda images: encode(from_uint8(images))[0]


def pairs(encode: Callable[[np.ndarray], Array], images: np.ndarray) -> tuple[np.ndarray, ...]:
    """Latents with a one behind them [n, 5], and colours in [-1, 1] [n, 3]."""
    latents = np.concatenate([np.asarray(encode(one[None])) for one in images])
    count, side = len(images), SIDE // UNIT
    colours = from_uint8(images).reshape(count, side, UNIT, side, UNIT, 3).mean((2, 4))
    latents = np.concatenate([latents, np.ones_like(latents[..., :1])], axis=-1)
    return latents.reshape(-1, 5).astype(np.float64), colours.reshape(-1, 3).astype(np.float64)


def fitted(parts: Sequence[tuple[np.ndarray, ...]]) -> np.ndarray:
    """Weights [5, 3]. Each picture counts the same."""
    latents = np.concatenate([x / len(x) ** 0.5 for x, _ in parts])
    colours = np.concatenate([y / len(y) ** 0.5 for _, y in parts])
    return np.linalg.lstsq(latents, colours, rcond=None)[0]


def decibels(weights: np.ndarray, latents: np.ndarray, colours: np.ndarray) -> float:
    """How far colours are from the true ones, clipped as they are shown."""
    error = np.clip(latents @ weights, -1, 1) - colours
    return float(10 * np.log10(4 / np.mean(error**2)))


def main(argv: Sequence[str]) -> None:
    """Prints the table."""
    del argv
    encode = encoder()
    parts = [pairs(encode, images) for images in squares(Path(PICTURES.value))]
    for row in fitted(parts):
        print("    (" + ", ".join(f"{value:.4f}" for value in row) + "),")
    told = [decibels(fitted([*parts[:i], *parts[i + 1 :]]), *part) for i, part in enumerate(parts)]
    print(f"{len(parts)} pictures, each left out: {min(told):.1f} to {max(told):.1f} dB")


if __name__ == "__main__":
    app.run(main)
