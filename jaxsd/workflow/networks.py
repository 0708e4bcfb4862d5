"""The programs of the nodes' networks: texts to conditions, pictures to latents and back."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.config import ModelSpec, T2IAdapterConfig
from jaxsd.config.autoencoders import scaled, unscaled
from jaxsd.convert import open_model
from jaxsd.convert.files.tensors import INT8, FlatTree, computed_in, dtype_named, unwidened
from jaxsd.convert.files.tensors import load as load_tensors
from jaxsd.executables import Executables
from jaxsd.memory import check_drawing
from jaxsd.models import ControlNet as ControlNetwork
from jaxsd.models.clip_vision import VisionEncoder
from jaxsd.models.style import StyleAdapter
from jaxsd.models.t2i_adapter import T2IAdapter
from jaxsd.parallel import placing
from jaxsd.pipeline import Pipeline, load, with_controlnet
from jaxsd.pipeline.batches import image_keys
from jaxsd.pipeline.drawing import Programs
from jaxsd.pipeline.forms import changed
from jaxsd.pipeline.loading import placed_as_int8
from jaxsd.sampling.program import Given, Networks, decode, encode, encode_images, seen
from jaxsd.sampling.texts import Interpolated, Texts
from jaxsd.schedulers import Tableau
from jaxsd.settings import Settings
from jaxsd.types import Array, Params
from jaxsd.workflow.continuous import continuous_of
from jaxsd.workflow.forms import DeepShrink, HyperTile
from jaxsd.workflow.levels import sigma_at
from jaxsd.workflow.prompts import chunks
from jaxsd.workflow.token_merging import TokenMerging
from jaxsd.workflow.values import Clip, ClipVision, Condition, ControlNet, Hint, Looked, Model, Vae

PLAIN = Settings()


def programs_of(
    spec: ModelSpec, params: Params, dtype: str, run: Executables, settings: Settings = PLAIN
) -> Programs:
    """The programs of some of a model's networks."""
    networks = Pipeline(spec, params, (), dtype, programs=run).networks
    return Programs(changed(networks, settings), params, run)


def read_model(
    source: str, dtype: str, run: Executables, reading: Mapping[str, Any]
) -> tuple[Model, Clip, Vae]:
    """The three parts of a checkpoint; `reading` are options of `open_model`.

    Raises:
      ValueError: in one line, for anything wrong with the source.
      OSError: no such file.
    """
    check_kind(open_model(source, **reading).spec, source)
    return parts_of(load(source, dtype, programs=run, **reading))


def parts_of(pipe: Pipeline) -> tuple[Model, Clip, Vae]:
    """The three parts of a model that is in memory."""
    spec, run, dtype = pipe.spec, pipe.programs, pipe.dtype
    normalizer = pipe.params.get("normalizer")
    return (
        unet_of(spec, pipe.params["unet"], run, dtype, normalizer),
        Clip(spec, {"text": pipe.params["text"]}, pipe.tokenizers, run, dtype),
        Vae(spec, pipe.params["vae"], run, dtype),
    )


def unet_of(
    spec: ModelSpec, params: Params, run: Executables, dtype: str, normalizer: Params | None = None
) -> Model:
    """A U-Net as its checkpoint has it."""
    continuous = continuous_of(spec)
    return Model(spec, params, run, dtype, normalizer=normalizer, continuous=continuous)


def read_sighted(
    source: str, dtype: str, run: Executables, reading: Mapping[str, Any]
) -> tuple[Model, Clip, Vae, ClipVision]:
    """The three parts of an unCLIP model, and its vision tower; otherwise as `read_model`.

    Raises:
      ValueError: another model.
    """
    spec = open_model(source, **reading).spec
    check_kind(spec, source)
    if spec.sight is None:
        raise ValueError(f"{source} is no unCLIP model; take CheckpointLoaderSimple")
    pipe = load(source, dtype, programs=run, **reading)
    vision = ClipVision(spec.sight.vision, pipe.params["vision"], run, pipe.dtype)
    return *parts_of(pipe), vision


def looked_at(vision: ClipVision, pixels: np.ndarray) -> Looked:
    """What a CLIP sees in pictures [B, s, s, 3] that are prepared for it."""
    network = VisionEncoder(vision.config, jnp.dtype(vision.dtype))
    networks = Networks(None, None, (), vision=network)
    programs = Programs(networks, {"vision": vision.params}, vision.run)
    found = programs(seen, images=jnp.float32(pixels))
    return Looked(np.asarray(found.embedding), np.asarray(found.last))


@partial(jax.jit, static_argnames="network")
def styled(network: StyleAdapter, params: Params, patches: Array) -> Array:
    """The tokens [B, n, d] that a style adapter makes of patches; see `StyleAdapter`."""
    return network.apply({"params": params}, patches)


def check_kind(spec: ModelSpec, source: str) -> None:
    """Raises ValueError for a model whose samplers or inputs no node here has."""
    if spec.unet.sees == "depth":
        kind = f"{spec.family}, which sees the depth of a picture beside the latents"
    elif spec.sight is not None and spec.sight.noise is None:
        kind = "a model that draws variations of a picture without a text"
    elif spec.unet.guidance_dim is not None:
        kind = "an LCM that takes the guidance scale as an input"
    else:
        return
    raise ValueError(f"{source} is {kind}; graphs do not draw with it, jaxsd generate does")


def loaded(tensors: FlatTree, dtype: str, part: str) -> Params:
    """A network's tensors on the device; those of 16 bits in the file stay so for "float32".

    Args:
      tensors: by their paths.
      dtype: of the workspace.
      part: the network's place in a model, such as "unet" or "text/0".
    """
    own, place = dtype_named(computed_in(dtype)), placing(None)
    if dtype == INT8:
        place = partial(placed_as_int8, place)
    return load_tensors(
        {path: unwidened(one, own, path) for path, one in tensors.items()},
        lambda path, array: place(f"{part}/{path}", array),
    )


def encoded_text(
    clip: Clip, texts: Sequence[str], words: dict[str, str], without: int = 0
) -> Condition:
    """The condition of a prompt.

    Args:
      clip: has the embeddings that the prompt names.
      texts: the prompt for each text encoder.
      words: name of an embedding -> its word.
      without: as in `chunks`.
    """
    ids, weights = [], []
    each = [
        chunks(text, own, words, without) for text, own in zip(texts, clip.tokenizers, strict=True)
    ]
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
    unit = vae.spec.vae.downscale
    pixels = cropped(pixels, unit)[..., :3]
    if not pixels.size:
        raise ValueError(f"the picture is smaller than {unit} pixels")
    _check_memory(vae, pixels.shape, tile)
    images = jnp.asarray(2 * pixels - 1, jnp.float32)
    programs = _of_vae(vae, tile)
    return np.asarray(unscaled(vae.spec.vae, programs(encode_images, images=images)))


def decoded(vae: Vae, samples: np.ndarray, tile: int = 0) -> np.ndarray:
    """Pictures [B, H, W, 3] in [0, 1] of latents that are not scaled.

    Raises:
      FloatingPointError: what was decoded is not finite.
    """
    batch, height, width, _ = samples.shape
    unit = vae.spec.vae.downscale
    _check_memory(vae, (batch, height * unit, width * unit), tile)
    latents = jnp.asarray(scaled(vae.spec.vae, samples), jnp.float32)
    images = np.asarray(_of_vae(vae, tile)(decode, latents=latents))
    if not np.isfinite(images).all():
        raise FloatingPointError("the autoencoder's output was not finite; try dtype float32")
    return np.clip(images / 2 + 0.5, 0, 1)


def _check_memory(vae: Vae, shape: Sequence[int], tile: int) -> None:
    """Raises ValueError for pictures [B, H, W, ...] that do not fit into memory."""
    batch, height, width = shape[:3]
    settings = Settings(height=height, width=width, vae_tile=tile)
    check_drawing(settings, vae.spec, images=batch, together=batch)


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
      ValueError: a network of another U-Net, or a kind of picture that it does not know.
    """
    if not hints:
        return programs
    nets, trees = zip(*(_control(model, one.net) for one in hints), strict=True)
    for one, net in zip(hints, nets, strict=True):
        kinds = getattr(net.config, "kinds", 0)
        if kinds and one.net.kind is None:
            raise ValueError(f"{one.net.source} is a ControlNet-Union; add SetUnionControlNetType")
        if one.net.kind is not None and one.net.kind >= kinds:
            sees = f"{kinds} kinds of pictures" if kinds else "no kinds of pictures"
            raise ValueError(f"{one.net.source} knows {sees}; set another type, or none")
    return programs._replace(
        networks=programs.networks._replace(controlnets=nets),
        params=programs.params | {"controlnet": list(trees)},
    )


def with_hypernets(programs: Programs, model: Model) -> Programs:
    """The programs with the model's hypernetworks."""
    if not model.hypernets:
        return programs
    configs, trees, _ = zip(*model.hypernets, strict=True)
    return programs._replace(
        networks=programs.networks._replace(hypernets=configs),
        params=programs.params | {"hypernet": list(trees)},
    )


def with_forms(programs: Programs, model: Model, table: Tableau) -> Programs:
    """The programs with the model's U-Net in tiles, with merged tokens, and smaller in some rows of
    a table.
    """
    unet = programs.networks.unet
    if model.tiles is not None:
        unet = HyperTile(unet, **asdict(model.tiles))
    if model.merged_tokens:
        unet = TokenMerging(unet, model.merged_tokens)
    if (shrink := model.shrink) is not None:
        levels = table.sigma[:-1] / table.alpha[:-1]
        within = (levels <= sigma_at(model, shrink.start)) & (levels >= sigma_at(model, shrink.end))
        if within.any():
            told = table.timestep[within]
            options = asdict(shrink)
            del options["start"], options["end"]
            unet = DeepShrink(unet, **options, timesteps=(float(told.min()), float(told.max())))
    return programs._replace(networks=programs.networks._replace(unet=unet))


def _control(model: Model, net: ControlNet) -> tuple[Any, Params]:
    """A network and its weights for a U-Net; the value of the node remembers the last ones."""
    kept = net.read.get("last")
    if kept is None or kept[0] is not model.params:
        pipe = Pipeline(model.spec, {"unet": model.params}, (), model.dtype, programs=model.run)
        pipe = with_controlnet(pipe, net.source, "own")
        config = pipe.controlnets["own"]
        kind = T2IAdapter if isinstance(config, T2IAdapterConfig) else ControlNetwork
        network = kind(config, jnp.dtype(model.dtype))
        kept = net.read["last"] = (model.params, network, pipe.params["controlnet"]["own"])
    return kept[1:]
