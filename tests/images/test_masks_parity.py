"""Masks and masked pictures against those that diffusers' inpainting pipeline makes."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from diffusers import StableDiffusionInpaintPipeline
from diffusers.image_processor import VaeImageProcessor

from jaxsd.images import binary, feathered, from_uint8, latent_mask, masked_for_inpainting, to_uint8

pytestmark = pytest.mark.parity

RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 256, (64, 96, 3), np.uint8)
MASKS = [RNG.integers(0, 2, (64, 96), np.uint8) * 255, RNG.integers(0, 256, (64, 96), np.uint8)]


def theirs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mask in latents' size and the masked picture, by the pipeline's own lines."""
    pixels = VaeImageProcessor(vae_scale_factor=8).preprocess(Image.fromarray(IMAGE))
    processor = VaeImageProcessor(
        vae_scale_factor=8, do_normalize=False, do_binarize=True, do_convert_grayscale=True
    )
    condition = processor.preprocess(Image.fromarray(mask))
    # Four channels are taken for latents, which it leaves alone.
    latents, _ = StableDiffusionInpaintPipeline.prepare_mask_latents(
        SimpleNamespace(vae_scale_factor=8),
        condition,
        torch.zeros(1, 4, 8, 12),
        batch_size=1,
        height=64,
        width=96,
        dtype=torch.float32,
        device="cpu",
        generator=None,
        do_classifier_free_guidance=False,
    )
    masked = pixels * (condition < 0.5)
    return latents[0, 0].numpy(), masked[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("mask", MASKS, ids=["binary", "soft"])
def test_masks_are_those_of_diffusers(mask: np.ndarray) -> None:
    latents, masked = theirs(mask)
    ours = feathered(mask, 0)
    np.testing.assert_array_equal(latent_mask(binary(ours), 8), latents)
    # x / 127.5 - 1 and 2 * (x / 255) - 1 differ by float32's last bits.
    np.testing.assert_allclose(masked_for_inpainting(IMAGE, ours), masked, atol=2e-7)


def test_bytes_are_those_of_diffusers() -> None:
    floats = RNG.uniform(-1.2, 1.2, (64, 96, 3)).astype(np.float32)
    processor = VaeImageProcessor()
    as_torch = torch.from_numpy(floats).permute(2, 0, 1)[None]
    (image,) = processor.postprocess(as_torch, output_type="pil")
    np.testing.assert_array_equal(to_uint8(floats), np.asarray(image))
    (pixels,) = processor.preprocess(Image.fromarray(IMAGE)).permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(from_uint8(IMAGE), pixels, atol=2e-7)
