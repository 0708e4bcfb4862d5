"""Tasks that start from a model: what each adds to its tree, what it trains, what it exports."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.adapters.embedding import with_embedding, with_token, write_embedding
from jaxsd.adapters.lora import Lora, initial_lora, merged
from jaxsd.adapters.lora_files import read_lora
from jaxsd.config import ModelSpec
from jaxsd.convert import open_model
from jaxsd.memory import check_batch, check_trained
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.sampling.program import Networks
from jaxsd.schedulers import NoiseSchedule
from jaxsd.text import Tokenizer
from jaxsd.training.cached import cache_source, is_cache
from jaxsd.training.captioned import Source, captioned_batches, folder_source
from jaxsd.training.config import LoraConfig, LossConfig, TrainConfig
from jaxsd.training.diffusion import (
    Denoiser,
    DenoiserLoss,
    Predict,
    diffusion_loss,
    latents_of_moments,
    posterior_latents,
    text_prediction,
)
from jaxsd.training.exports import Model, lora_exports, model_exports
from jaxsd.training.loop import MakeStep, Task
from jaxsd.training.losses import noising
from jaxsd.training.step import make_step
from jaxsd.training.subtrees import Leaves, split
from jaxsd.types import Array, Params

Begin = Callable[[Params, Array], Params]
"""(the model's parameters, key) -> the parameters and what a task adds to them."""

Adapt = Callable[[Params], Params]
"""A task's tree -> the model's own tree."""

StepOf = Callable[[Denoiser], MakeStep]
"""Makes the step of a task that is not `make_step`'s."""


def finetune_task(config: TrainConfig) -> Task:
    """Trains the leaves of the model that `config.trainable` matches."""
    return finetune_over(config, opened(config))


def finetune_over(config: TrainConfig, model: Model) -> Task:
    """The same, of the model that `opened` gave."""
    task = task_over(config, model, config.trainable, lambda params, key: params, lambda tree: tree)
    return task._replace(exports=model_exports(task.model))


def lora_task(config: TrainConfig) -> Task:
    """Trains low-rank additions to the kernels that `config.lora.targets` match."""
    return lora_over(config, opened(config), diffusion_loss)


def lora_over(
    config: TrainConfig, model: Model, loss: DenoiserLoss, step: StepOf | None = None
) -> Task:
    """The same with another loss or step, of the model that `opened` gave.

    Raises:
      ValueError: see `lora_parts` and `task_over`.
    """
    lora = config.lora
    task = task_over(config, model, *lora_parts(lora, model), loss=loss, step=step)
    exports = lora_exports(model.spec, lora.alpha or lora.rank)
    return task._replace(exports=exports | model_exports(task.model))


def lora_parts(lora: LoraConfig, model: Model) -> tuple[tuple[str, ...], Begin, Adapt]:
    """What is trained of low-rank additions, how they begin, and how they are added.

    Raises:
      ValueError: they do not fit into memory, or `lora.begin` is a LoRA of another form.
    """
    alpha = lora.alpha or lora.rank
    factors = partial(initial_lora, model.params, lora.targets, rank=lora.rank, alpha=alpha)
    added = jax.eval_shape(lambda key: factors(key=key), jax.random.key(0))
    check_trained(jax.tree.leaves(added), "lower lora.rank")
    given = begun_lora(lora, model.spec, added) if lora.begin else None

    def begin(params: Params, key: Array) -> Params:
        fresh = given or initial_lora(params, lora.targets, rank=lora.rank, alpha=alpha, key=key)
        return params | {"lora": fresh}

    def adapt(tree: Params) -> Params:
        own = {name: value for name, value in tree.items() if name != "lora"}
        return merged(own, tree["lora"])

    return ("lora/.*/(down|up)",), begin, adapt


def begun_lora(lora: LoraConfig, spec: ModelSpec, like: Lora) -> Lora:
    """The factors of `lora.begin`, float32.

    Raises:
      ValueError: they are not those that `lora` asks for, whose shapes are `like`.
    """
    found = jax.tree.map(np.float32, read_lora(lora.begin, spec))
    for path in like.keys() | found.keys():
        shapes, asked = (
            {name: np.shape(leaf) for name, leaf in tree.get(path, {}).items()}
            for tree in (found, like)
        )
        if shapes != asked or found[path]["alpha"] != (lora.alpha or lora.rank):
            raise ValueError(
                f"{lora.begin} changes {path} in another way than a LoRA with lora.rank "
                f"{lora.rank}, lora.alpha {lora.alpha or lora.rank} and these lora.targets; set "
                "them as they were in its run"
            )
    return found


def embedding_task(config: TrainConfig) -> Task:
    """Trains the vectors of a new word, in every text encoder (Gal et al. 2022).

    Raises:
      ValueError: the word can not be a token.
    """
    model, word = opened(config), config.embedding
    encoders = [
        with_token(text, tokenizer, word.token, word.vectors)
        for text, tokenizer in zip(model.spec.text, model.tokenizers, strict=True)
    ]
    texts, tokenizers = zip(*encoders, strict=True)

    def begin(params: Params, key: Array) -> Params:
        del key  # it starts from a known word
        rows = [
            initial_vectors(tree, tokenizer, word.initial, word.vectors)
            for tree, tokenizer in zip(params["text"], model.tokenizers, strict=True)
        ]
        return params | {"embedding": rows}

    def adapt(tree: Params) -> Params:
        own = {name: value for name, value in tree.items() if name != "embedding"}
        return own | {"text": list(map(with_embedding, tree["text"], tree["embedding"]))}

    grown = Model(replace(model.spec, text=texts), model.params, tokenizers)
    task = task_over(config, grown, ("embedding/.*",), begin, adapt)
    exports = {
        "embedding": lambda place, trained: write_embedding(
            place, word.token, [trained[f"embedding/{k}"] for k in range(len(texts))]
        )
    }
    return task._replace(exports=exports | model_exports(task.model))


def check_word(config: TrainConfig, texts: Iterable[Sequence[str]]) -> None:
    """Refuses captions of which none has the word that is trained.

    Raises:
      ValueError: none has it.
    """
    word = config.embedding.token
    if not any(word in caption for caption in chain.from_iterable(texts)):
        raise ValueError(f"no caption in {config.data} has the token {word!r}; set caption")


def initial_vectors(
    params_text: Params, tokenizer: Tokenizer, word: str, vectors: int
) -> np.ndarray:
    """The vector of the word's first token, `vectors` times, [vectors, width] float32.

    Raises:
      ValueError: there is no word.
    """
    (ids,) = tokenizer.encode([word])
    if not ids:
        raise ValueError(f"embedding.initial is {word!r}, it must be a word such as 'toy'")
    table = np.asarray(params_text["embeddings"]["token_embedding"]["embedding"], np.float32)
    return np.repeat(table[ids[0]][None], vectors, axis=0)


def opened(config: TrainConfig) -> Model:
    """The model that training starts from, with the run's prediction and noise schedule.

    Raises:
      ValueError: no model is named, or it cannot be trained.
    """
    if not config.model:
        raise ValueError(f"task {config.task!r} starts from a model: set model to a folder or file")
    stored = open_model(config.model, **config.reading)
    spec = trained_spec(config, stored.spec)
    side = config.resolution or spec.default_size
    images = -(-config.batch_size // jax.device_count())
    check_batch(spec, side, images, config.accumulate, latents=is_cache(config.data))
    return Model(spec, stored.params(np.dtype(np.float32)), stored.tokenizers)


def trained_spec(config: TrainConfig, spec: ModelSpec) -> ModelSpec:
    """The spec of `config.model`, with the run's prediction and noise schedule.

    Raises:
      ValueError: it cannot be trained.
    """
    spec = asked_for(spec, config.loss)
    if spec.schedule.edm is not None:
        raise ValueError(
            f"{config.model} has continuous noise (EDM); only models with timesteps can be trained"
        )
    if spec.vae is None:
        raise ValueError(f"{config.model} has no VAE; pass a model that has one")
    if spec.unet.in_channels != spec.unet.out_channels:
        raise ValueError(
            f"{config.model} is an inpainting model; only models that draw whole pictures can be "
            "trained"
        )
    if spec.sight is not None:
        raise ValueError(
            f"{config.model} draws variations of a picture; only models that draw of texts can be "
            "trained"
        )
    return spec


def asked_for(spec: ModelSpec, loss: LossConfig) -> ModelSpec:
    """The spec with the prediction and the terminal noise of a run.

    Raises:
      ValueError: epsilon at zero terminal SNR, where it says nothing about the picture.
    """
    prediction = loss.prediction or spec.prediction
    schedule = spec.schedule
    if loss.zero_terminal_snr:
        schedule = replace(schedule, zero_terminal_snr=True, timestep_spacing="trailing")
    if schedule.zero_terminal_snr and prediction == "epsilon":
        raise ValueError(
            'loss.zero_terminal_snr needs another prediction than epsilon; set loss.prediction="v"'
        )
    return replace(spec, prediction=prediction, schedule=schedule)


def networks_of(config: TrainConfig, spec: ModelSpec) -> Networks:
    """The networks of a model, in the run's dtype."""
    dtype = jnp.dtype(config.dtype)
    encoders = tuple(TextEncoder(text, dtype) for text in spec.text)
    return Networks(UNet(spec.unet, dtype, config.remat), VAE(spec.vae, dtype), encoders)


def task_over(
    config: TrainConfig,
    model: Model,
    trained: Sequence[str],
    begin: Begin,
    adapt: Adapt,
    predict: Predict | None = None,
    loss: DenoiserLoss = diffusion_loss,
    step: StepOf | None = None,
) -> Task:
    """A task without exports.

    Args:
      trained: regular expressions over the paths of what `begin` makes.
      predict: makes predictions from noisy latents; `None` is the U-Net with the text.
      loss: of the denoiser.
      step: makes the task's step; `None` is `make_step`.

    Raises:
      ValueError: the run trains networks that its cached data was made with.
    """
    spec, params, tokenizers = model
    networks = networks_of(config, spec)
    cached = is_cache(config.data)
    # A run on latents needs the VAE and the text encoders only for its exports.
    spared = {name: params[name] for name in ("vae", "text")} if cached else {}

    def begun(key: Array) -> Params:
        tree = begin(params, key)
        if cached:
            _refuse_encoders(config, split(tree, trained).trained)
        return {name: part for name, part in tree.items() if name not in spared}

    parts = split(begun(jax.random.key(config.seed)), trained)
    denoiser = Denoiser(
        networks=networks,
        noising=noising(NoiseSchedule.from_config(spec.schedule), spec.prediction, config.loss),
        predict=predict or partial(text_prediction, networks),
        latents=partial(latents_of_moments, spec.vae)
        if cached
        else partial(posterior_latents, networks),
        adapt=adapt,
        join=parts.join,
    )

    def start(key: Array) -> Leaves:
        return split(begun(key), trained).trained

    def whole(leaves: Leaves) -> Model:
        return Model(spec, adapt(parts.join(leaves, parts.frozen)) | spared, tokenizers)

    def source(place: str, caption: str) -> Source:
        if is_cache(place) != cached:
            raise ValueError(
                f"one of {config.data} and {place} holds pictures and the other latents; make both "
                "alike with jaxsd cache-latents"
            )
        if cached and config.prior_data and config.max_aspect != 1:
            raise ValueError(
                f"max_aspect is {config.max_aspect}; prior_data as latents needs pictures of one "
                "size: make both again with max_aspect=1"
            )
        if cached:
            return cache_source(config, model, place, caption)
        return folder_source(config, spec, tokenizers, place, caption)

    return Task(
        start=start,
        frozen=jax.tree.map(lambda leaf: leaf.astype(config.dtype), parts.frozen),
        loss=partial(loss, denoiser),
        batches=lambda: captioned_batches(config, spec, source),
        probe=lambda leaves: {},
        exports={},
        model=whole,
        step=make_step if step is None else step(denoiser),
    )


def _refuse_encoders(config: TrainConfig, trained: Leaves) -> None:
    """Refuses to train networks that the latents and texts of a cache were made with.

    Raises:
      ValueError: a leaf of the VAE or of a text encoder.
    """
    pattern = r"(lora/)?(vae|text)/.*|embedding/.*"
    if path := next((path for path in trained if re.fullmatch(pattern, path)), None):
        raise ValueError(
            f"{config.data} holds latents and texts of networks that stay as they are, and this "
            f"run trains {path}; set data to the folder of pictures, or do not train that"
        )
