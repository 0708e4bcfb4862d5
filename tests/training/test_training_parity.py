"""Loss, gradients and ten AdamW steps against PyTorch, with the same batch, timesteps and noise."""

from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("diffusers")

from tiny_models import TINY, abstract_text, abstract_unet, random_params, token_ids, uniform
from torch_twins import leaves_of, load, text_twin, unet_twin

from jaxsd.config import Level
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.sampling.program import Networks
from jaxsd.schedulers import NoiseSchedule
from jaxsd.training.config import LossConfig, TrainConfig
from jaxsd.training.diffusion import Batch, Denoiser, diffusion_loss, given_latents, text_prediction
from jaxsd.training.losses import noise_like, noising, stratified_timesteps
from jaxsd.training.optimizer import optimizer
from jaxsd.training.step import initial_state, make_step
from jaxsd.training.subtrees import Split, split
from jaxsd.types import Array, Params

pytestmark = pytest.mark.parity

SPEC = TINY["sd1"]
SPEC = replace(
    SPEC,
    unet=replace(SPEC.unet, levels=(Level(32, 1, 1, 4),)),
    text=(replace(SPEC.text[0], layers=1),),
)
SCHEDULE = NoiseSchedule.from_config(SPEC.schedule)
KEY = jax.random.key(5)


def batch() -> Batch:
    ids, latents = token_ids(SPEC.text[0], 3), uniform("latents", (3, 8, 8, 4))
    return Batch(latents, (ids,), np.ones(3, np.float32), None, np.float32([1.0, 0.5, 2.0]))


def parts_and_denoiser(prediction: str, loss: LossConfig) -> tuple[Split, Denoiser]:
    tree = {
        "unet": random_params(abstract_unet(SPEC.unet)),
        "text": [random_params(abstract_text(SPEC.text[0]))],
    }
    parts = split(tree, [".*"])
    networks = Networks(UNet(SPEC.unet), VAE(SPEC.vae), (TextEncoder(SPEC.text[0]),))
    tables = noising(SCHEDULE, prediction, loss)
    return parts, Denoiser(
        networks,
        tables,
        partial(text_prediction, networks),
        given_latents,
        lambda tree: tree,
        parts.join,
    )


class Twin:
    """The same two networks in PyTorch, and the same loss written with them."""

    def __init__(self, parts: Split, denoiser: Denoiser) -> None:
        tree = parts.join(parts.trained, {})
        self.unet = load(unet_twin(SPEC.unet, linear_projection=False), tree["unet"])
        self.text = load(text_twin(SPEC.text[0]), tree["text"][0])
        self.noising = denoiser.noising

    def parameters(self) -> list[torch.nn.Parameter]:
        return [*self.unet.parameters(), *self.text.parameters()]

    def loss(self, key: Array) -> torch.Tensor:
        one, noising = batch(), self.noising
        _, key_t, key_noise = jax.random.split(key, 3)
        t = np.asarray(stratified_timesteps(key_t, 3, noising.below, 1000))
        noise = np.asarray(noise_like(key_noise, jnp.asarray(one.pictures), noising.offset))
        alpha, sigma = (SCHEDULE.alpha[t], SCHEDULE.sigma[t])
        alpha, sigma = (
            torch.tensor(x, dtype=torch.float32)[:, None, None, None] for x in (alpha, sigma)
        )
        x0, noise = (torch.tensor(x).permute(0, 3, 1, 2) for x in (one.pictures, noise))
        context = self.text(torch.tensor(one.ids[0])).last_hidden_state
        output = self.unet(alpha * x0 + sigma * noise, torch.tensor(t), context).sample
        wanted = {"epsilon": noise, "v": alpha * noise - sigma * x0}[noising.prediction]
        error = ((output - wanted) ** 2).mean((1, 2, 3))
        return (error * torch.tensor(np.asarray(noising.weight)[t] * one.weight)).mean()

    def leaves(self, value: Any) -> Params:
        unet, text = leaves_of(self.unet, value), leaves_of(self.text, value)
        return {f"unet/{path}": x for path, x in unet.items()} | {
            f"text/0/{path}": x for path, x in text.items()
        }


@pytest.mark.parametrize(
    ("prediction", "loss"),
    [
        ("epsilon", LossConfig()),
        pytest.param(
            *("v", LossConfig(min_snr_gamma=5.0, offset_noise=0.1)), marks=pytest.mark.release
        ),
    ],
)
def test_loss_and_gradients_of_one_step(prediction: str, loss: LossConfig) -> None:
    parts, denoiser = parts_and_denoiser(prediction, loss)
    ours, gradient = jax.jit(
        jax.value_and_grad(lambda p: diffusion_loss(denoiser, p, {}, batch(), KEY)[0])
    )(parts.trained)
    twin = Twin(parts, denoiser)
    theirs = twin.loss(KEY)
    theirs.backward()
    assert float(ours) == pytest.approx(theirs.item(), rel=1e-4)
    wanted = twin.leaves(lambda parameter: parameter.grad)
    assert set(gradient) == set(wanted)
    scale = max(float(np.abs(x).max()) for x in wanted.values())
    for path, want in wanted.items():
        error = float(np.abs(np.asarray(gradient[path]) - want).max())
        # Relative to the leaf, or to what float32 keeps of sums as large as the largest gradient.
        assert error <= 1e-4 * max(float(np.abs(want).max()), 1e-3 * scale), path


def test_ten_steps_of_adamw() -> None:
    parts, denoiser = parts_and_denoiser("epsilon", LossConfig())
    config = TrainConfig("finetune", "", "", 10, 3, 1e-3, warmup_steps=0, weight_decay=0.01)
    rule = optimizer(config)
    step = make_step(partial(diffusion_loss, denoiser), rule, ema_decay=0.0)
    state = initial_state(jax.tree.map(jnp.asarray, parts.trained), rule)
    batches = jax.tree.map(lambda x: x[None], batch())

    twin = Twin(parts, denoiser)
    theirs = torch.optim.AdamW(twin.parameters(), lr=1e-3, weight_decay=0.01)
    for n in range(10):
        state, metrics = step(state, {}, batches, KEY)
        key = jax.random.fold_in(jax.random.fold_in(KEY, n), 0)
        theirs.zero_grad()
        loss = twin.loss(key)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
        theirs.step()
        assert float(metrics["loss"]) == pytest.approx(loss.item(), rel=1e-3)
    for path, want in twin.leaves(lambda parameter: parameter).items():
        moved = np.abs(want - parts.trained[path]).max()
        error = np.abs(np.asarray(state.params[path]) - want).max()
        assert error <= 1e-3 * max(np.abs(want).max(), moved), path
