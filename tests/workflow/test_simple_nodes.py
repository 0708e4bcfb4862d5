"""Nodes that need no network: levels, samplers, values, parts of pictures and latents."""

import numpy as np
import pytest
from tiny_models import TINY

from jaxsd.executables import IN_MEMORY
from jaxsd.workflow import nodes
from jaxsd.workflow.levels import beta_levels, trained_levels
from jaxsd.workflow.noises import first_noise
from jaxsd.workflow.schema import CLASSES, fields_of
from jaxsd.workflow.values import Latent, Model, Noise, Sampler

MODEL = Model(TINY["sd1"], {}, IN_MEMORY, "float32")
RNG = np.random.default_rng(2)


def test_levels_of_formulas() -> None:
    power = nodes.polyexponential_scheduler(steps=3, sigma_max=16.0, sigma_min=1.0, rho=2.0)
    np.testing.assert_allclose(power, [16, 16**0.25, 1, 0])
    # Quantiles of log sigma at 1/4, 1/2 and 3/4 are beta * log 2 away from the middle.
    laplace = nodes.laplace_scheduler(steps=5, sigma_max=20.0, sigma_min=0.01, mu=0.5, beta=0.7)
    near = np.exp(0.5 + 0.7 * np.log(2) * np.array([1, 0, -1]))
    np.testing.assert_allclose(laplace[1:4], near, rtol=1e-4)
    assert laplace[[0, -1]].tolist() == [20, 0.01]
    # Variance is kept: sigma^2 + 1 is the inverse of the share of the picture.
    levels = nodes.vp_scheduler(steps=2, beta_d=2.0, beta_min=1.0, eps_s=0.5)
    np.testing.assert_allclose(levels[:2] ** 2 + 1, np.exp([2, 0.75]))


def test_levels_of_a_beta_distribution() -> None:
    _, trained = trained_levels(MODEL)
    same = nodes.beta_sampling_scheduler(model=MODEL, steps=7)
    np.testing.assert_array_equal(same, np.append(beta_levels(trained, 7), 0))
    even = nodes.beta_sampling_scheduler(model=MODEL, steps=3, alpha=1.0, beta=1.0)
    np.testing.assert_array_equal(even, [*trained[[999, 666, 333]], 0])


def test_samplers_with_usual_options() -> None:
    assert nodes.sampler_lms(order=2) == Sampler("lms", (("order", 2),))
    assert nodes.sampler_euler_ancestral().name == "euler_a"
    assert nodes.sampler_dpmpp_2m_sde().name == "dpm++_2m_sde"
    with pytest.raises(ValueError, match=r"^eta 0.5 is not here; give 1.0$"):
        nodes.sampler_dpmpp_sde(eta=0.5)
    with pytest.raises(ValueError, match="solver_type heun is not here; give midpoint"):
        nodes.sampler_dpmpp_2m_sde(solver_type="heun")


def test_values() -> None:
    assert nodes.primitive_int(value=3) == 3
    assert nodes.string_concatenate(string_a="a", string_b="b", delimiter=", ") == "a, b"
    assert fields_of("PrimitiveInt") == ["value", ""]
    assert CLASSES["PrimitiveStringMultiline"].outputs == ("STRING",)


def test_parts_of_pictures() -> None:
    image = RNG.random((3, 5, 6, 3), np.float32)
    part = nodes.image_crop(image=image, width=9, height=2, x=4, y=1)
    np.testing.assert_array_equal(part, image[:, 1:3, 4:])
    np.testing.assert_array_equal(
        nodes.image_from_batch(image=image, batch_index=1, length=9), image[1:]
    )
    assert len(nodes.repeat_image_batch(image=image, amount=2)) == 6
    np.testing.assert_array_equal(nodes.threshold_mask(mask=image[..., 0]), image[..., 0] > 0.5)


def test_filters() -> None:
    """Against a loop over pixels of the picture with mirrored borders."""
    image = RNG.random((1, 4, 5, 3), np.float32)
    wide = np.pad(image, ((0, 0), (2, 2), (2, 2), (0, 0)), "reflect")
    line = np.array([-1, -0.5, 0, 0.5, 1])
    kernel = np.exp(-(line[:, None] ** 2 + line**2) / (2 * 0.8**2))
    kernel /= kernel.sum()
    blurred, sharp = np.zeros_like(image), np.zeros_like(image)
    inverse = -5 * kernel
    inverse[2, 2] += 6
    for y in range(4):
        for x in range(5):
            part = wide[0, y : y + 5, x : x + 5]
            blurred[0, y, x] = (part * kernel[..., None]).sum((0, 1))
            sharp[0, y, x] = (part * inverse[..., None]).sum((0, 1))
    got = nodes.image_blur(image=image, blur_radius=2, sigma=0.8)
    np.testing.assert_allclose(got, blurred, atol=1e-6)
    got = nodes.image_sharpen(image=image, sharpen_radius=2, sigma=0.8, alpha=0.5)
    np.testing.assert_allclose(got, sharp.clip(0, 1), atol=1e-5)
    with pytest.raises(ValueError, match="the radius 4 is not smaller than the picture"):
        nodes.image_blur(image=image, blur_radius=4)


def test_latents_over_latents() -> None:
    below, above = RNG.random((2, 1, 4, 4, 4), np.float32)
    mask = np.zeros((1, 4, 4), np.float32)
    mask[:, :, :2] = 1
    made = nodes.latent_composite_masked(
        destination=Latent(below), source=Latent(above), x=8, y=16, mask=mask
    ).samples
    want = below.copy()
    want[:, 2:, 1:3] = above[:, :2, :2]
    np.testing.assert_array_equal(made, want)


def test_noise_between_two_levels() -> None:
    latent, factor = Latent(RNG.random((2, 4, 4, 4), np.float32)), MODEL.spec.vae.scaling_factor
    sigmas = np.array([7.0, 3.0, 2.0])
    made = nodes.add_noise(model=MODEL, noise=Noise(3), sigmas=sigmas, latent_image=latent)
    want = latent.samples + 5 * first_noise(3, latent.samples.shape) / factor
    np.testing.assert_allclose(made.samples, want, rtol=1e-5, atol=1e-5)
