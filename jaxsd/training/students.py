"""What the tasks "consistency" and "progressive" share: a student, its average, and its teacher.

They are one set of leaves with three values. The task's frozen leaves hold those of the teacher as
`teacher/PATH`, and each step adds those of the average as `average/PATH`.
"""

from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.distilled import Preset
from jaxsd.sampling.loop import per_image
from jaxsd.sampling.program import Networks, Texts, encoded_texts
from jaxsd.training.config import TrainConfig
from jaxsd.training.diffusion import Batch, Denoiser, DenoiserLoss, Told, text_prediction, told
from jaxsd.training.distillation import Denoise, Estimate, Level, estimate, guided
from jaxsd.training.exports import Model, lora_exports, model_exports
from jaxsd.training.finetune import lora_parts, networks_of, task_over
from jaxsd.training.loop import Task
from jaxsd.training.losses import losses_by_noise, noise_like
from jaxsd.training.step import Metrics, make_step
from jaxsd.training.subtrees import Leaves
from jaxsd.types import Array, Params


class Roles(NamedTuple):
    """Who learns from whom, on a batch."""

    student: Denoise
    target: Denoise  # the student's average
    teacher: Denoise  # with its guidance
    x0: Array  # [B, h, w, c] float32 scaled latents
    noise: Array  # like x0

    def noised(self, at: Level) -> Array:
        """The pictures at a level."""
        return per_image(at.alpha, self.x0) + per_image(at.sigma, self.noise)


def guidance_of(config: TrainConfig, spec: ModelSpec) -> tuple[float, float]:
    """The lowest and the highest guidance scale of the teacher."""
    scales = config.distillation.guidance or (spec.guidance_scale,)
    return min(scales), max(scales)


def student_task(config: TrainConfig, model: Model, loss: DenoiserLoss, preset: Preset) -> Task:
    """A task whose student begins as its teacher.

    It trains low-rank additions, or with a rank of 0 the leaves that `config.trainable` matches.
    `config.samples` are drawn with `preset`.

    Raises:
      ValueError: a model that is distilled already, or a LoRA of other kernels.
    """
    if model.spec.unet.guidance_dim is not None:
        raise ValueError(
            f"{config.model} is distilled already: its U-Net is told the guidance scale; give the "
            "model that it was made from"
        )
    model, lora = model._replace(spec=replace(model.spec, preset=preset)), config.lora
    trained, begin, adapt = config.trainable, lambda params, key: params, lambda tree: tree
    if lora.rank:
        trained, begin, adapt = lora_parts(lora, model)
    empty = unprompted(networks_of(config, model.spec), model)

    def begin_told(params: Params, key: Array) -> Params:
        return begin(params, key) | {"empty": empty}

    def adapt_own(tree: Params) -> Params:
        return adapt({name: part for name, part in tree.items() if name != "empty"})

    task = task_over(config, model, trained, begin_told, adapt_own, loss=loss)
    teacher = task.start(jax.random.key(config.seed))
    frozen = under("teacher", jax.tree.map(lambda leaf: leaf.astype(config.dtype), teacher))
    exports = model_exports(task.model)
    if lora.rank:
        exports = lora_exports(model.spec, lora.alpha or lora.rank) | exports
    return task._replace(
        frozen=task.frozen | frozen,
        step=partial(make_step, known=with_average),
        exports=exports,
    )


def with_average(frozen: Leaves, average: Leaves) -> Leaves:
    """What the loss of a student gets as `frozen`: its average is its target."""
    return frozen | under("average", average)


def under(name: str, leaves: Leaves) -> Leaves:
    """The leaves with `name/` before their paths."""
    return {f"{name}/{path}": leaf for path, leaf in leaves.items()}


def unprompted(networks: Networks, model: Model) -> dict[str, np.ndarray]:
    """The empty prompt as the U-Net takes it: `context` [1, L, d], and `pooled` [1, p] of XL."""
    ids = tuple(tokenizer([""])[:, None] for tokenizer in model.tokenizers)
    keep = np.full((1, 1), not model.spec.zero_empty_negative, np.float32)
    encode = jax.jit(partial(encoded_texts, networks))
    context, pooled = encode({"text": model.params["text"]}, Texts(ids, keep))
    found = {"context": context} | ({} if pooled is None else {"pooled": pooled})
    return {name: np.asarray(part[:, 0]) for name, part in found.items()}


def roles_of(
    guidance: tuple[float, float],
    denoiser: Denoiser,
    trained: Leaves,
    frozen: Leaves,
    batch: Batch,
    key: Array,
) -> Roles:
    """Student, target and teacher for the pictures and captions of a batch.

    Args:
      guidance: range of the teacher's guidance scale, of which each picture draws its own; without
        guidance, (1, 1), the teacher is not called for the empty prompt.
      denoiser: the task's.
      trained: the student's leaves.
      frozen: all others, with those of the average and the teacher.
      batch: pictures.
      key: consumed by the posterior, the noise and the guidance scales.
    """
    key_posterior, key_noise, key_guidance = jax.random.split(key, 3)
    networks, prediction = denoiser.networks, denoiser.noising.prediction

    def tree_of(name: str) -> Params:
        return denoiser.join({path: frozen[f"{name}/{path}"] for path in trained}, frozen)

    def told_by(params: Params, texts: Told, x: Array, t: Array) -> Array:
        return text_prediction(networks, params, texts, batch, x, t)

    def alone(tree: Params) -> Denoise:
        params = denoiser.adapt(tree)
        texts = told(networks, params, batch)

        def denoise(x: Array, at: Level) -> Estimate:
            return estimate(prediction, x, at, told_by(params, texts, x, at.timestep))

        return denoise

    def with_guidance(tree: Params, scale: Array) -> Denoise:
        params = denoiser.adapt(tree)
        texts = both(told(networks, params, batch), tree["empty"])

        def denoise(x: Array, at: Level) -> Estimate:
            twice = jnp.concatenate([x, x]), jnp.concatenate([at.timestep] * 2)
            output = guided(scale, *jnp.split(told_by(params, texts, *twice), 2))
            return estimate(prediction, x, at, output)

        return denoise

    teacher = tree_of("teacher")
    low, high = guidance
    size = len(batch.pictures)
    scale = jax.random.uniform(key_guidance, (size,), minval=low, maxval=high)
    params = denoiser.adapt(teacher)
    x0 = jax.lax.stop_gradient(denoiser.latents(params, batch.pictures, key_posterior))
    return Roles(
        student=alone(denoiser.join(trained, frozen)),
        target=alone(tree_of("average")),
        teacher=alone(teacher) if low == high == 1 else with_guidance(teacher, scale),
        x0=x0,
        noise=noise_like(key_noise, x0, denoiser.noising.offset),
    )


def both(texts: Told, empty: Params) -> Told:
    """The conditions of a batch, and after them the same with the empty prompt, [2B, ...]."""
    context = jnp.broadcast_to(empty["context"], texts.context.shape).astype(jnp.float32)
    pooled = texts.pooled
    if pooled is not None:
        without = jnp.broadcast_to(empty["pooled"], pooled.shape).astype(jnp.float32)
        pooled = jnp.concatenate([pooled, without])
    time_ids = texts.time_ids
    return Told(
        jnp.concatenate([texts.context, context]),
        pooled,
        None if time_ids is None else jnp.concatenate([time_ids, time_ids]),
    )


def mean_of(error: Array, timestep: Array, batch: Batch, train_steps: int) -> tuple[Array, Metrics]:
    """The loss of a batch of errors [B], and its metrics."""
    loss = jnp.mean(error * batch.weight)
    return loss, {"loss": loss} | losses_by_noise(error, timestep, train_steps)
