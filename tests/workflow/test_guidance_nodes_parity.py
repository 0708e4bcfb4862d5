"""Nodes that change guidance, and models of continuous noise, against torch."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from comfy_twin import Twin, euler, noise_of
from diffusers_pairs import SPECS
from tiny_graphs import BLUE, CFG, DECIBELS, RED, SEED, begun, drawn, same, twin_of, written

from jaxsd.config import EDMConfig, ScheduleConfig
from jaxsd.parity.pipelines import psnr
from jaxsd.workflow import Workspace

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

Tensor = torch.Tensor
IMAGE = (1, 2, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def twin(folder: Path) -> Iterator[Twin]:
    with torch.no_grad():
        yield twin_of(folder)


@pytest.fixture(scope="module")
def place(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    out = tmp_path_factory.mktemp("out")
    return Workspace(named={"checkpoints": str(folder)}, outputs=out, noise="torch")


class Projected:
    """APG with momentum."""

    def __init__(self, eta: float, norm: float, momentum: float) -> None:
        self.numbers, self.mean = (eta, norm, momentum), 0.0

    def __call__(self, x: Tensor, c: Tensor, u: Tensor) -> Tensor:
        eta, norm, momentum = self.numbers
        self.mean = guidance = momentum * self.mean + c - u
        guidance = guidance * min(1.0, norm / guidance.norm().item())
        unit = torch.nn.functional.normalize(c, dim=IMAGE)
        along = (guidance * unit).sum() * unit
        prompt = u + (guidance - along) + eta * along + (c - u) / CFG
        return u + CFG * (prompt - u)


def damped(x: Tensor, c: Tensor, u: Tensor) -> Tensor:
    rows = torch.stack([(x - u).flatten(), (x - c).flatten()])
    first = torch.linalg.svd(rows, full_matrices=False)[2][0]
    u = x - (rows[0] @ first * first).reshape(x.shape)
    return u + CFG * (c - u)


def optimised(x: Tensor, c: Tensor, u: Tensor) -> Tensor:
    s = ((x - c) * (x - u)).sum() / (((x - u) ** 2).sum() + 1e-8)
    return u + CFG * (c - u) + u * (s - 1) + CFG * u * (1 - s)


def leaning(x: Tensor, c: Tensor, u: Tensor) -> Tensor:
    leap, plain = c * CFG, u + CFG * (c - u)
    a, b = (one.abs().sqrt() * one.sign() for one in (u * CFG, (leap + plain) / 2))
    share = 2 * (torch.nn.functional.cosine_similarity(a, b).mean() + 1)
    return (share * plain + (4 - share) * leap) / 4


@pytest.mark.parametrize(
    ("node", "inputs", "formula"),
    [
        ("APG", {"eta": 0.4, "norm_threshold": 3.0, "momentum": -0.5}, Projected(0.4, 3.0, -0.5)),
        pytest.param("TCFG", {}, damped, marks=pytest.mark.release),
        pytest.param("CFGZeroStar", {}, optimised, marks=pytest.mark.release),
        pytest.param("Mahiro", {}, leaning, marks=pytest.mark.release),
    ],
)
def test_formulas_of_both_texts(
    place: Workspace, twin: Twin, node: str, inputs: dict[str, Any], formula: Callable[..., Tensor]
) -> None:
    images = drawn(
        place,
        **{"20": {"class_type": node, "model": ["4", 0], **inputs}, "3": {"model": ["20", 0]}},
    )
    red, blue = twin.text(RED), twin.text(BLUE)

    def run(x: Tensor, sigma: float) -> Tensor:
        return formula(x, twin.x0(x, sigma, red), twin.x0(x, sigma, blue))

    sigmas = twin.karras(4)
    same(images, euler(run, begun(twin, sigmas[0]), sigmas), twin)


def custom(guider: dict[str, Any]) -> dict[str, Any]:
    """Nodes of a sampler with a guider."""
    return {
        "21": guider,
        "22": {"class_type": "RandomNoise", "noise_seed": SEED},
        "23": {"class_type": "KSamplerSelect", "sampler_name": "euler"},
        "24": {
            "class_type": "BasicScheduler",
            "model": ["4", 0],
            "scheduler": "karras",
            "steps": 4,
            "denoise": 1.0,
        },
        "3": {
            "class_type": "SamplerCustomAdvanced",
            "noise": ["22", 0],
            "guider": ["21", 0],
            "sampler": ["23", 0],
            "sigmas": ["24", 0],
        },
    }


@pytest.mark.release
@pytest.mark.parametrize("has_guider", [True, False])
def test_negative_texts_across(place: Workspace, twin: Twin, has_guider: bool) -> None:
    """Perp-Neg, of a text for the right half of the picture."""
    nodes = {
        "5": {"batch_size": 1, "width": 128, "height": 64},
        "19": {"class_type": "CLIPTextEncode", "text": "", "clip": ["4", 1]},
        "20": {
            "class_type": "ConditioningSetArea",
            "conditioning": ["6", 0],
            "width": 64,
            "height": 64,
            "x": 64,
            "y": 0,
            "strength": 1.0,
        },
    }
    own = {"model": ["4", 0], "empty_conditioning": ["19", 0], "neg_scale": 0.8}
    texts = {"positive": ["20", 0], "negative": ["7", 0], "cfg": CFG}
    if has_guider:
        nodes |= custom({"class_type": "PerpNegGuider", **own, **texts})
    else:
        nodes["21"] = {"class_type": "PerpNeg", **own}
        nodes["3"] = {"model": ["21", 0], **texts}
    images = drawn(place, **nodes)
    red, blue, empty = twin.text(RED), twin.text(BLUE), twin.text([("", 1.0)])

    def run(x: Tensor, sigma: float) -> Tensor:
        c = torch.zeros_like(x)
        c[..., 8:] = twin.x0(x[..., 8:], sigma, red)
        e = twin.x0(x, sigma, empty)
        c, u = c - e, twin.x0(x, sigma, blue) - e
        across = u - (u * c).sum() / torch.norm(c) ** 2 * c
        return e + CFG * (c - 0.8 * across)

    sigmas = twin.karras(4)
    same(images, euler(run, begun(twin, sigmas[0], 16), sigmas), twin)


@pytest.mark.release
@pytest.mark.parametrize(
    ("node", "sampling", "low", "high"),
    [
        ("EDM", "edm", 0.01, 60.0),
        ("EDM", "v_prediction", 0.01, 60.0),
        ("EDM", "eps", 0.01, 60.0),
        ("V", "v_prediction", 0.03, 200.0),
    ],
)
def test_continuous_noise(
    place: Workspace, twin: Twin, node: str, sampling: str, low: float, high: float
) -> None:
    """Levels, timesteps and scales by the formulas of Karras et al. and Salimans & Ho."""
    told = {"sampling": sampling, "sigma_max": high, "sigma_min": low}
    nodes = {
        "20": {"class_type": f"ModelSamplingContinuous{node}", "model": ["4", 0], **told},
        "3": {"model": ["20", 0], "scheduler": "normal"},
    }
    images = drawn(place, **nodes)
    data = 0.5 if sampling == "edm" else 1.0
    sign = {"edm": 1, "v_prediction": -1}.get(sampling, 0)

    def timestep(sigma: np.ndarray | float) -> np.ndarray:
        return np.log(sigma) / 4 if node == "EDM" else np.arctan(sigma) / np.pi * 2

    def x0(x: Tensor, sigma: float, context: Tensor) -> Tensor:
        spread = (sigma**2 + data**2) ** 0.5
        t = torch.full((1,), float(timestep(sigma)))
        made = twin.pipe.unet(x / spread, t, context).sample
        if not sign:
            return x - sigma * made
        return x * data**2 / spread**2 + sign * made * sigma * data / spread

    red, blue = twin.text(RED), twin.text(BLUE)

    def run(x: Tensor, sigma: float) -> Tensor:
        u = x0(x, sigma, blue)
        return u + CFG * (x0(x, sigma, red) - u)

    times = np.linspace(timestep(high), timestep(low), 4)
    sigmas = np.exp(4 * times) if node == "EDM" else np.tan(times * np.pi / 2)
    sigmas = [*sigmas.tolist(), 0.0]
    x = begun(twin, 1.0) * (1 + sigmas[0] ** 2) ** 0.5
    same(images, euler(run, x, sigmas), twin)


@pytest.mark.release
def test_a_checkpoint_of_continuous_noise(tmp_path: Path) -> None:
    """As Playground's: its scales, its levels, and latents around their mean."""
    edm, mean, std = EDMConfig(0.01, 40.0), (-1.5, 1.0, 0.5, 2.0), (4.0, 3.0, 5.0, 2.0)
    vae = replace(SPECS["sd1"].vae, scaling_factor=0.5, latents_mean=mean, latents_std=std)
    folder = written(tmp_path, vae=vae, schedule=ScheduleConfig(edm=edm))
    place = Workspace(named={"checkpoints": str(folder)}, outputs=tmp_path, noise="torch")
    images = drawn(place, **{"3": {"scheduler": "exponential"}})
    with torch.no_grad():
        twin = twin_of(folder)
        red, blue = twin.text(RED), twin.text(BLUE)

        def x0(x: Tensor, sigma: float, context: Tensor) -> Tensor:
            spread = (sigma**2 + 0.25) ** 0.5
            t = torch.full((1,), float(np.log(sigma) / 4))
            made = twin.pipe.unet(x / spread, t, context).sample
            return x * 0.25 / spread**2 + made * sigma * 0.5 / spread

        def run(x: Tensor, sigma: float) -> Tensor:
            u = x0(x, sigma, blue)
            return u + CFG * (x0(x, sigma, red) - u)

        sigmas = [*np.geomspace(40, 0.01, 4).tolist(), 0.0]
        noise = noise_of(SEED, (1, 4, 8, 9))
        latents = euler(run, noise * (1 + sigmas[0] ** 2) ** 0.5, sigmas)
        means, stds = (torch.tensor(one).view(1, 4, 1, 1) for one in (mean, std))
        figure = psnr(images, twin.decode(latents * stds / 0.5 + means).numpy())
    print(f"{figure:.1f} dB")
    assert figure > DECIBELS
