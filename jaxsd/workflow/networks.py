"""The programs of the nodes' networks: texts to conditions, pictures to latents and back."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxsd.config import ModelSpec
from jaxsd.convert.files.tensors import FlatTree, dtype_named, unwidened
from jaxsd.convert.files.tensors import load as load_tensors
from jaxsd.executables import Executables
from jaxsd.parallel import placing
from jaxsd.pipeline import Pipeline, load, with_controlnet
from jaxsd.pipeline.batches import image_keys
from jaxsd.pipeline.drawing import Programs
from jaxsd.pipeline.forms import changed
from jaxsd.sampling.program import Given, decode, encode, encode_images
from jaxsd.sampling.texts import Interpolated, Texts
from jaxsd.settings import Settings
from jaxsd.types import Array, Params
from jaxsd.workflow.prompts import chunks
from jaxsd.workflow.values import Clip, Condition, Hint, Model, Vae

PLAIN = Settings()


def programs_of(
    spec: ModelSpec, params: Params, dtype: str, run: Executables, settings: Settings = PLAIN
) -> Programs:
    """The programs of some of a model's networks."""
    networks = Pipeline(spec, params, (), dtype, programs=run).networks
    return Programs(changed(networks, settings), params, run)


def read_model(source: str, dtype: str, run: Executables) -> tuple[Model, Clip, Vae]:
    """The three parts of a checkpoint.

    Raises:
      ValueError: in one line, for anything wrong with the source.
      OSError: no such file.
    """
    pipe = load(source, dtype, programs=run)
    spec = pipe.spec
    return (
        Model(spec, pipe.params["unet"], run, dtype),
        Clip(spec, {"text": pipe.params["text"]}, pipe.tokenizers, run, dtype),
        Vae(spec, pipe.params["vae"], run, dtype),
    )


def loaded(tensors: FlatTree, dtype: str) -> Params:
    """A network's tensors on the device; those of 16 bits in the file stay so for "float32"."""
    return load_tensors(
        {path: unwidened(one, dtype_named(dtype), path) for path, one in tensors.items()},
        placing(None),
    )


def encoded_text(clip: Clip, texts: Sequence[str], words: dict[str, str]) -> Condition:
    """The condition of a prompt.

    Args:
      clip: has the embeddings that the prompt names.
      texts: the prompt for each text encoder.
      words: name of an embedding -> its word.
    """
    ids, weights = [], []
    each = [chunks(text, own, words) for text, own in zip(texts, clip.tokenizers, strict=True)]
    count = max(len(own) for own, _ in each)
    for (own, weight), tokenizer in zip(each, clip.tokenizers, strict=True):
        empty = np.repeat(tokenizer.framed([[]]), count, axis=0)
        ones = np.ones_like(empty, np.float32)
        ids.append(np.stack([np.concatenate([own, empty[len(own) :]]), empty])[None])
        weights.append(np.stack([np.concatenate([weight, ones[len(own) :]]), ones])[None])
    is_weighted = any((own != 1).any() for own in weights)
    if not is_weighted:
        ids = [own[:, :1] for own in ids]
    layer = None if clip.layer is None else np.int32([-clip.layer])
    given = Texts(
        ids=tuple(own[:, :, 0] if count == 1 else own for own in ids),
        keep=np.ones((1, 1), np.float32),
        layer=layer,
        weights=Interpolated(tuple(weights)) if is_weighted else None,
    )
    programs = programs_of(clip.spec, clip.params, clip.dtype, clip.run)
    conditions, _ = programs(encode, given=_only(given))
    pooled = conditions.pooled
    return Condition(
        np.asarray(conditions.context[:, 0]), None if pooled is None else np.asarray(pooled[:, 0])
    )


def _only(texts: Texts) -> Given:
    """What `encode` takes, with texts alone."""
    zeros = np.zeros((1, 1, 1, 1), np.float32)
    return Given(
        texts, None, zeros[0, 0, 0], zeros[0, 0] * [[0, 0]], zeros, image_keys([0]), None, {}
    )


def check_layer(clip: Clip, layer: int) -> None:
    """Raises ValueError if the text encoders have no such layer."""
    layers = min(text.layers for text in clip.spec.text)
    if -layer > layers:
        raise ValueError(f"stop_at_clip_layer {layer}: the text encoder has {layers} layers")


def encoded(vae: Vae, pixels: np.ndarray, tile: int = 0) -> np.ndarray:
    """Latents [B, h, w, c], not scaled, of pictures [B, H, W, 3] in [0, 1]: the posterior's mean.

    The middle is taken whose sides are multiples of the autoencoder's factor.
    """
    unit, scale = vae.spec.vae.downscale, vae.spec.vae.scaling_factor
    pixels = cropped(pixels, unit)[..., :3]
    if not pixels.size:
        raise ValueError(f"the picture is smaller than {unit} pixels")
    images = jnp.asarray(2 * pixels - 1, jnp.float32)
    programs = _of_vae(vae, tile)
    return np.asarray(programs(encode_images, images=images)) / scale


def decoded(vae: Vae, samples: np.ndarray, tile: int = 0) -> np.ndarray:
    """Pictures [B, H, W, 3] in [0, 1] of latents that are not scaled.

    Raises:
      FloatingPointError: what was decoded is not finite.
    """
    latents = jnp.asarray(samples * vae.spec.vae.scaling_factor, jnp.float32)
    images = np.asarray(_of_vae(vae, tile)(decode, latents=latents))
    if not np.isfinite(images).all():
        raise FloatingPointError("the autoencoder's output was not finite; try dtype float32")
    return np.clip(images / 2 + 0.5, 0, 1)


def _of_vae(vae: Vae, tile: int) -> Programs:
    settings = Settings(vae_tile=tile)
    programs = programs_of(vae.spec, {"vae": vae.params}, vae.dtype, vae.run, settings)
    return programs.of_decoder


def cropped(pixels: np.ndarray, unit: int) -> np.ndarray:
    """The middle of pictures [B, H, W, ...] whose sides are multiples of a unit."""
    for axis in (1, 2):
        side = pixels.shape[axis]
        first = side % unit // 2
        pixels = np.take(pixels, range(first, first + side // unit * unit), axis)
    return pixels


def with_hints(programs: Programs, model: Model, hints: Sequence[Hint]) -> Programs:
    """The programs with the networks of hints.

    Raises:
      ValueError: a network of another U-Net.
    """
    if not hints:
        return programs
    nets, trees = zip(*(_control(model, one.net.source) for one in hints), strict=True)
    return programs._replace(
        networks=programs.networks._replace(controlnets=nets),
        params=programs.params | {"controlnet": list(trees)},
    )


def _control(model: Model, source: str) -> tuple[Any, Params]:
    key = (id(model.params), source, model.dtype)
    if key not in _CONTROLS:
        pipe = Pipeline(model.spec, {"unet": model.params}, (), model.dtype, programs=model.run)
        pipe = with_controlnet(pipe, source, "own")
        own = pipe._own_programs(("own",), Settings())
        # The U-Net's tree is kept beside, so that its id stays its own.
        _CONTROLS[key] = (own.networks.controlnets[0], own.params["controlnet"][0], model.params)
        while len(_CONTROLS) > MOST_CONTROLS:
            del _CONTROLS[next(iter(_CONTROLS))]
    return _CONTROLS[key][:2]


MOST_CONTROLS = 4
_CONTROLS: dict[tuple[int, str, str], tuple[Any, Params, Array]] = {}
