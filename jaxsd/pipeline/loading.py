"""From a model's files to a pipeline."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from jaxsd.clips import check_clips
from jaxsd.config import ModelSpec, T2IAdapterConfig
from jaxsd.convert import StoredModel, open_model, read_controlnet
from jaxsd.convert.files.tensors import INT8, LazyTensor, computed_in, dtype_named
from jaxsd.convert.ip_adapter import cross_attentions
from jaxsd.convert.refiner import open_refiner
from jaxsd.convert.tiny_vae import with_tiny_vae
from jaxsd.convert.upscaler import open_upscaler
from jaxsd.executables import IN_MEMORY, Executables
from jaxsd.families import FAMILIES
from jaxsd.models.t2i_adapter import places
from jaxsd.nn.int8 import Int8, is_int8, to_int8
from jaxsd.parallel import placing
from jaxsd.parallel.sharing import path_name
from jaxsd.pipeline.adapting import words_of
from jaxsd.pipeline.image_prompts import encoders_of, open_seeing, with_faces
from jaxsd.pipeline.pipeline import Pipeline
from jaxsd.pipeline.stored import InFile, Place
from jaxsd.settings import Settings, adapters_of, beside
from jaxsd.types import Array, Params


def load(
    source: str | Path,
    dtype: str = "float32",
    *,
    mesh: Mesh | None = None,
    programs: Executables = IN_MEMORY,
    taesd: str | Path | None = None,
    ahead: Callable[[Pipeline], None] = lambda outline: None,
    low_memory: bool = False,
    **reading: Any,
) -> Pipeline:
    """Reads a model.

    Args:
      source: a built-in name ("emoji"), a diffusers folder, a .safetensors or .ckpt file, or a hub
        id.
      dtype: "float32", "bfloat16" or "float16", which the networks compute in. Weights have it in
        memory too, but with "float32", weights that the files store in 16 bits stay so: it takes
        half the memory, and the pictures are the same. Or "int8": "float32", with kernels of
        U-Net and text encoders in 8 bits, see `jaxsd.nn.int8`.
      mesh: devices that share the work, from `jaxsd.parallel.mesh_of`. Each device gets its
        piece of a tensor as it is read.
      programs: see `Pipeline`.
      taesd: diffusers folder or file of a tiny autoencoder that decodes instead of the model's
        own: less work, coarser pictures.
      ahead: called with the model's `outline` in a second thread while weights are read, to
        prepare programs; its errors are raised here.
      low_memory: whether the weights of each network are read when it runs, in every drawing, and
        are in memory only meanwhile; not on a mesh.
      **reading: options of `jaxsd.convert.open_model`: `prediction`, `ema`, `strict`.

    Raises:
      ValueError: in one line, for anything wrong with the source, or a tensor that does not fit
        the mesh.
    """
    model = _opened(source, taesd, reading)
    unread = _unread(model, dtype, programs)
    place = placing(mesh)
    if low_memory and mesh is not None:
        raise ValueError("low_memory is for one device, not for a mesh; leave it out")
    if dtype == INT8:
        place = partial(placed_as_int8, place)
    if low_memory:
        ahead(unread)
        return replace(unread, params=_in_files(model, unread.dtype, place))
    with ThreadPoolExecutor(1) as aside:
        ready = aside.submit(ahead, unread)
        params = model.params(dtype_named(unread.dtype), place, keep_halves=True)
        ready.result()
    return replace(unread, params=params, mesh=mesh)


def outline(
    source: str | Path,
    dtype: str = "float32",
    *,
    programs: Executables = IN_MEMORY,
    taesd: str | Path | None = None,
    **reading: Any,
) -> Pipeline:
    """A model with shapes instead of weights, which are not read.

    It cannot draw, but it can `prepare` programs. Arguments and errors are those of `load`.
    """
    return _unread(_opened(source, taesd, reading), dtype, programs)


def with_refiner(pipe: Pipeline, source: str | Path, name: str | None = None) -> Pipeline:
    """The pipeline with a model that can take over from it; it decodes with the pipeline's VAE.

    Args:
      pipe: of a model of texts alone.
      source: what `load` reads: a model with the same latents and noise.
      name: its name in `Settings.refiner`; None for the source itself.

    Raises:
      ValueError: in one line, for a source that cannot be read or cannot take over.
    """
    open_refiner(source, pipe.spec)
    refiner = load(source, pipe.dtype, mesh=pipe.mesh, programs=pipe.programs)
    refiner = replace(
        refiner,
        spec=replace(refiner.spec, schedule=pipe.spec.schedule, vae=pipe.spec.vae),
        params=refiner.params | {"vae": pipe.params["vae"]},
    )
    return replace(pipe, refiners=pipe.refiners | {name or str(source): refiner})


def with_beside(pipe: Pipeline, settings: Iterable[Settings]) -> Pipeline:
    """The pipeline with all ControlNets and refiners that settings name."""
    controls, refiners = beside(settings)
    for name in controls:
        pipe = with_controlnet(pipe, name)
    for name in refiners:
        pipe = with_refiner(pipe, name)
    return pipe


def _opened(
    source: str | Path, taesd: str | Path | None, reading: Mapping[str, Any]
) -> StoredModel:
    model = open_model(source, **reading)
    if model.spec.vae is None:
        raise ValueError(f"{source} has no VAE; pass a model that has one")
    return model if taesd is None else with_tiny_vae(model, taesd)


def _unread(model: StoredModel, dtype: str, programs: Executables) -> Pipeline:
    computed = computed_in(dtype)
    tensors = model.outline(dtype_named(computed), keep_halves=True)

    def shape(path: tuple[Any, ...], lazy: LazyTensor) -> Any:
        if dtype == INT8 and is_int8(path_name(path), lazy.shape):
            ones = (1,) * (len(lazy.shape) - 1)
            scale = jax.ShapeDtypeStruct((*ones, lazy.shape[-1]), np.float32)
            return Int8(jax.ShapeDtypeStruct(lazy.shape, np.int8), scale)
        return jax.ShapeDtypeStruct(lazy.shape, lazy.dtype)

    shapes = jax.tree_util.tree_map_with_path(shape, tensors)
    return Pipeline(model.spec, shapes, model.tokenizers, computed, programs=programs)


def _in_files(model: StoredModel, dtype: str, place: Place) -> Params:
    """A model's parameters as they are in its files."""
    tensors = model.outline(dtype_named(dtype), keep_halves=True)
    return jax.tree_util.tree_map_with_path(
        lambda path, lazy: InFile(lazy, path_name(path), place), tensors
    )


def placed_as_int8(place: Place, path: str, array: np.ndarray) -> Array | Int8:
    """A parameter where `place` puts it, kernels in 8 bits."""
    if not is_int8(path, array.shape):
        return place(path, array)
    packed = to_int8(array)._asdict()
    return Int8(**{name: place(f"{path}/{name}", one) for name, one in packed.items()})


def check_adapters(settings: Sequence[Settings], spec: ModelSpec) -> None:
    """Reads adapters and upscaling networks, for which no weights of the model are needed.

    Raises:
      ValueError: a file is none, or one of another model.
      OSError: there is no such file.
    """
    for adapters in dict.fromkeys(with_faces(adapters_of([one]), one) for one in settings):
        words_of(adapters, spec)
    for files in dict.fromkeys(encoders_of(one) for one in settings):
        for file, encoder in files:
            open_seeing(spec, file, encoder)
    paths = [path for path, _ in cross_attentions(spec.unet)]
    for prompt in {prompt for one in settings for prompt in one.ip_adapter}:
        prompt.weights_of(paths)
    check_clips(settings, spec)
    for file in {one.upscaler_file for one in settings} - {""}:
        open_upscaler(Path(file))


def check_t2i_adapter(source: str | Path, config: T2IAdapterConfig, spec: ModelSpec) -> None:
    """Refuses a T2I-Adapter for another U-Net.

    Raises:
      ValueError: naming both.
    """

    def takes(model: ModelSpec) -> bool:
        unit = spec.vae.downscale
        own = [(channels, unit * scale) for _, channels, scale in places(model.unet)]
        return config.features == own[: len(config.features)]

    if not takes(spec):
        made_for = [name for name, one in FAMILIES.items() if takes(one)]
        widths = ", ".join(map(str, config.channels))
        raise ValueError(
            f"{source} is a T2I-Adapter for {made_for[0] if made_for else 'another U-Net'}, with "
            f"features of {widths} channels, and the model is {spec.family}; take one that was "
            "trained for it"
        )


def with_controlnet(pipe: Pipeline, source: str | Path, name: str | None = None) -> Pipeline:
    """The pipeline with one more ControlNet or T2I-Adapter; its other weights are shared.

    Args:
      pipe: of a model with the U-Net that the network was trained on.
      source: what `jaxsd.convert.read_controlnet` reads: a built-in name, a diffusers folder, or a
        single file of any kind.
      name: its name in `Control.model`; None for the source itself.

    Raises:
      ValueError: the source is neither, or one of another U-Net.
    """
    unet = pipe.spec.unet
    own = replace(unet, in_channels=unet.out_channels, guidance_dim=None, label_dim=None)
    config, params = read_controlnet(source, unet=(own, pipe.params["unet"]), dtype=pipe.dtype)
    if isinstance(config, T2IAdapterConfig):
        check_t2i_adapter(source, config, pipe.spec)
    elif replace(config.unet, in_channels=own.in_channels) != own:
        raise ValueError(
            f"{source} is a ControlNet of another U-Net than that of this {pipe.spec.family} model"
        )
    name = str(source) if name is None else name
    place = placing(pipe.mesh)
    placed = jax.tree_util.tree_map_with_path(
        lambda path, leaf: place(f"controlnet/{path_name(path)}", leaf), params
    )
    trees = pipe.params.get("controlnet", {}) | {name: placed}
    return replace(
        pipe,
        params=pipe.params | {"controlnet": trees},
        controlnets=pipe.controlnets | {name: config},
    )
