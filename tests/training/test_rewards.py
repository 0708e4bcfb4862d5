"""Rewards by name and of users, and what is said where there is none."""

import io
import re
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from clip_fakes import VISION, tiny_clip
from PIL import Image
from real_files import larger

from jaxsd.convert.aesthetic import read_predictor
from jaxsd.convert.clip import clip_pixels, read_clip
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.models import VisionEncoder
from jaxsd.training.config import RewardConfig
from jaxsd.training.rewards import check_reward, measured, reward_of

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (3, 16, 16, 3), dtype=np.uint8)


def found(config: RewardConfig, pictures: np.ndarray = PICTURES) -> np.ndarray:
    reward = reward_of(config, differentiable=False)
    return measured(reward, config.name, pictures, ["a cat"] * len(pictures))


def test_colour_brightness_and_bytes_are_what_they_say() -> None:
    means = PICTURES.mean((1, 2)) / 255
    want = -((means - np.array([0, 128, 255]) / 255) ** 2).mean(1)
    config = RewardConfig("colour", colour=(0, 128, 255))
    np.testing.assert_allclose(found(config), want, rtol=1e-5)
    np.testing.assert_allclose(found(RewardConfig("brightness")), means.mean(1), rtol=1e-5)
    plain = np.stack([PICTURES[0], np.full_like(PICTURES[0], 128)])
    sizes = []
    for picture in plain:
        Image.fromarray(picture).save(file := io.BytesIO(), "JPEG", quality=95, subsampling=0)
        sizes.append(-len(file.getvalue()) / 1000)
    got = found(RewardConfig("compressibility"), plain)
    np.testing.assert_allclose(got, sizes, atol=0.05)  # ours have a segment of Exif
    assert got[1] > got[0]


def test_a_users_function_is_a_reward(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards.py").write_text(
        "def red(images):\n    return images[..., 0].mean((1, 2))\n"
        "def words(pictures, prompts):\n    return [len(prompt) for prompt in prompts]\n"
        "def wrong(pictures, prompts):\n    return 'many'\n"
        "def failing(images):\n    raise KeyError('no red')\n"
    )
    monkeypatch.chdir(tmp_path)
    reward = reward_of(RewardConfig("my_rewards:red"), differentiable=True)
    slope = jax.grad(lambda images: reward.differentiable({}, images).sum())(jnp.ones((2, 4, 4, 3)))
    np.testing.assert_allclose(slope[..., 0], 1 / 16)
    np.testing.assert_array_equal(slope[..., 1:], 0)
    np.testing.assert_array_equal(found(RewardConfig("my_rewards:words")), [5, 5, 5])
    check_reward(RewardConfig("my_rewards:red"), differentiable=True)
    for name, differentiable, wrong in (
        ("my_rewards:wrong", False, "'my_rewards:wrong' must be 2 finite numbers for as many"),
        ("my_rewards:failing", True, "'my_rewards:failing' fails on [2, 64, 64, 3]: 'no red'"),
        ("my_rewards:green", True, "my_rewards has no function 'green'"),
        ("no_module:red", True, "No module named 'no_module'"),
        ("beauty", True, "'beauty' is unknown: choose one of colour, brightness, compress"),
        ("compressibility", True, "has no derivative, which task 'draft' needs; use task 'ddpo'"),
        ("aesthetic", False, "needs reward.predictor, LAION's file, and reward.clip"),
    ):
        with pytest.raises(ValueError, match=re.escape(wrong)):
            check_reward(RewardConfig(name), differentiable=differentiable)


def predictor(path: Path, widths: tuple[int, ...]) -> tuple[Path, list[np.ndarray]]:
    """A file of linear layers, and their weights, as PyTorch has them."""
    weights = [RNG.standard_normal((o, i), np.float32) for i, o in pairwise(widths)]
    tensors = {f"layers.{2 * i}.weight": weight for i, weight in enumerate(weights)}
    tensors |= {f"layers.{2 * i}.bias": weight[:, 0] for i, weight in enumerate(weights)}
    write_safetensors(path, {name: in_memory(tensor) for name, tensor in tensors.items()}, {})
    return path, weights


def test_ratings_are_linear_layers_over_what_clip_sees(tmp_path: Path) -> None:
    clip = tiny_clip(tmp_path / "clip")
    file, weights = predictor(tmp_path / "p.safetensors", (24, 8, 1))
    got = found(RewardConfig("aesthetic", predictor=str(file), clip=str(clip)))
    pixels = np.stack([clip_pixels(picture, VISION.image_size) for picture in PICTURES])
    params = read_clip(clip).params["vision"]
    x = np.asarray(VisionEncoder(VISION).apply({"params": params}, pixels).embedding)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    for weight in weights:
        x = x @ weight.T + weight[:, 0]
    # Pillow rounds what it has scaled to bytes.
    np.testing.assert_allclose(got, x[:, 0], atol=0.02 * np.abs(x).max())
    file, _ = predictor(tmp_path / "other.safetensors", (20, 1))
    with pytest.raises(ValueError, match=r"rates embeddings of 20 numbers, and .* gives 24"):
        found(RewardConfig("aesthetic", predictor=str(file), clip=str(clip)))
    file, _ = predictor(tmp_path / "wrong.safetensors", (24, 8, 2))
    with pytest.raises(ValueError, match="do not follow each other to one number"):
        read_predictor(file)


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("sac_logos_ava1-l14-linearMSE.pth", (768, 1024, 128, 64, 16)),
        ("sa_0_4_vit_l_14_linear.pth", (768,)),
        ("sa_0_4_vit_b_32_linear.pth", (512,)),
    ],
)
def test_real_predictors_are_read(name: str, widths: tuple[int, ...]) -> None:
    layers = read_predictor(larger(f"aesthetic/{name}"))
    assert tuple(len(layer.kernel) for layer in layers) == widths
