"""Files of latents: NumPy's arrays as diffusers has them, and ComfyUI's safetensors.

Programs of PyTorch have the channels before the sides. diffusers' latents are those of the loop,
times the autoencoder's scaling factor; ComfyUI stores them without it.
"""

from pathlib import Path

import numpy as np

from jaxsd.config import TinyVAEConfig, VAEConfig, scaled, unscaled
from jaxsd.convert.files.safetensors_file import read_safetensors, write_safetensors
from jaxsd.convert.files.tensors import LazyTensor
from jaxsd.writing import replacing

NUMPY = ".npy"
COMFY = (".safetensors", ".latent")
LATENT, UNSCALED = "latent_tensor", "latent_format_version_0"
"""ComfyUI's tensor, and the empty one beside it where the factor was taken out."""
_OLD_FACTOR = 0.18215
"""Of the first files, whatever the model."""


def check_name(path: Path) -> None:
    """Finds out whether a name is one of a file of latents.

    Raises:
      ValueError: it is not, or that of a folder or a pipe.
    """
    if path.suffix not in (NUMPY, *COMFY):
        raise ValueError(f"{path} is no file of latents; it ends with {', '.join((NUMPY, *COMFY))}")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file, but a folder or a pipe")


def write_latents(path: Path, latents: np.ndarray, vae: VAEConfig | TinyVAEConfig) -> None:
    """Writes scaled latents, float32 [B, h, w, c].

    As `.npy` they become [B, c, h, w], as `.safetensors` and `.latent` this without the factor.

    Raises:
      ValueError: another ending.
      OSError: it can not be written.
    """
    check_name(path)
    if path.suffix == NUMPY:
        first = _channels_first(latents)
        with replacing(path) as part, part.open("wb") as file:
            np.save(file, first)
        return
    own = _channels_first(unscaled(vae, np.float32(latents)))
    arrays = {LATENT: own, UNSCALED: np.zeros(0, np.float32)}
    tensors = {
        name: LazyTensor(array.shape, array.dtype, lambda array=array: array)
        for name, array in arrays.items()
    }
    write_safetensors(path, tensors, {})


def _channels_first(latents: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(latents, -1, 1), np.float32)


def read_latents(path: Path, vae: VAEConfig | TinyVAEConfig) -> np.ndarray:
    """Scaled latents, float32 [B, h, w, c], of a file that `write_latents` or others wrote.

    Args:
      path: a `.npy` file, or one of ComfyUI.
      vae: the autoencoder.

    Raises:
      ValueError: in one line, for a file that has no such latents.
      OSError: no such file.
    """
    check_name(path)
    if path.suffix == NUMPY:
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(f"{path} is not an array of NumPy: {reason}") from None
        own = None
    else:
        tensors, _ = read_safetensors(path)
        if LATENT not in tensors:
            raise ValueError(f"{path} has no {LATENT!r}, in which ComfyUI's files have latents")
        array = tensors[LATENT].read()
        own = 1.0 if UNSCALED in tensors else _OLD_FACTOR
    shape = tuple(array.shape)
    channels = vae.latent_channels
    if array.dtype.kind not in "fV" or len(shape) != 4 or shape[1] != channels or 0 in shape:
        raise ValueError(
            f"{path} has {array.dtype} {list(shape)}; latents of this model are floats "
            f"[B, {channels}, h, w]"
        )
    latents = np.moveaxis(array.astype(np.float32), 1, -1)
    if own is not None:
        latents = scaled(vae, latents / np.float32(own))
    if not np.isfinite(latents).all():
        raise ValueError(f"{path} has latents that are not finite")
    return np.ascontiguousarray(latents)
