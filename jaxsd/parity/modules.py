"""Runs a network in jaxsd and its twin in PyTorch on one input and compares every module.

For `jaxsd parity` and the tests marked parity; needs the extra [parity].
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionPipeline, UNet2DConditionModel
from flax import linen as nn
from transformers import CLIPTextModel, CLIPTextModelWithProjection

from jaxsd.config import TextConfig
from jaxsd.models import Residuals
from jaxsd.types import Array, Params


class ModuleError(NamedTuple):
    """How far one module's output is from PyTorch's."""

    path: str
    shape: tuple[int, ...]
    error: float


def compare_modules(ours: dict[str, Array], theirs: dict[str, Array]) -> list[ModuleError]:
    """Compares the outputs of modules, in the order in which PyTorch called them.

    Raises:
      ValueError: a module of ours that PyTorch does not have, or did not call.
    """
    unknown = sorted(set(ours) - set(theirs))
    if unknown:
        raise ValueError(f"PyTorch has no output of {', '.join(unknown)}")
    return [
        ModuleError(path, ours[path].shape, relative_error(ours[path], value))
        for path, value in theirs.items()
        if path in ours
    ]


def first_apart(errors: list[ModuleError], tolerance: float) -> ModuleError | None:
    """The first module that differs, None for none: in the order in which they finished.

    A module finishes after those inside of it, so it is the innermost one.
    """
    return next((one for one in errors if not one.error <= tolerance), None)


def relative_error(got: Array, want: Array) -> float:
    """Largest difference over the largest value of `want`, which may have another layout.

    Infinite where either has a value that is not finite.
    """
    if want.ndim == 4 and got.shape != want.shape:  # a 1x1 convolution where ours is dense
        want = want.reshape(got.shape)
    elif want.ndim == 3 and got.ndim == 4:  # the norm of the VAE's attention: [B, c, h w]
        want = want.transpose(0, 2, 1).reshape(got.shape)
    got, want = np.asarray(got, np.float64), want.reshape(got.shape).astype(np.float64)
    error = np.abs(got - want).max() / np.abs(want).max()
    return float(error) if np.isfinite(error) else float("inf")


def flax_outputs(
    network: nn.Module,
    params: Params,
    inputs: Params,
    method: str | None = None,
) -> tuple[Any, dict[str, Array]]:
    """A network's result, and the first output of each module inside it by its path."""

    def run(params: Params, inputs: Params) -> tuple[Any, Params]:
        return network.apply(
            {"params": params},
            method=method,
            capture_intermediates=True,
            mutable=["intermediates"],
            **inputs,
        )

    result, state = jax.jit(run)(params, inputs)
    return result, dict(_calls(state["intermediates"], ""))


def tree_path(name: str) -> str:
    """`down_blocks.0.conv` -> `down_blocks_0/conv`; CLIP's towers lose their `text_model.`."""
    parts: list[str] = []
    for part in name.removeprefix("text_model").removeprefix("vision_model").lstrip(".").split("."):
        if part.isdigit():
            parts[-1] += f"_{part}"
        else:
            parts.append(part)
    return "/".join(parts)


def torch_outputs(
    module: torch.nn.Module,
    run: Callable[[], Any],
    path_of: Callable[[str], str | None] = tree_path,
) -> tuple[Any, dict[str, Array]]:
    """The result of `run`, and each called module's first output, in jaxsd's paths and axes.

    Those for whose name `path_of` has no path are left out.
    """
    outputs: dict[str, Array] = {}

    def keep(path: str) -> Callable[[torch.nn.Module, Any, Any], None]:
        def hook(part: torch.nn.Module, inputs: Any, output: Any) -> None:
            del part, inputs
            tensor = output if isinstance(output, torch.Tensor) else output[0]
            outputs[path] = nhwc(tensor) if tensor.ndim == 4 else tensor.numpy(force=True)

        return hook

    hooks = [
        part.register_forward_hook(keep(path))
        for name, part in module.named_modules()
        if (path := path_of(name))
    ]
    try:
        with torch.no_grad():
            return run(), outputs
    finally:
        for hook in hooks:
            hook.remove()


def run_unet(
    unet: UNet2DConditionModel, inputs: dict[str, Array], residuals: Residuals | None = None
) -> Array:
    """The output of diffusers' U-Net for the keyword arguments of jaxsd's, [B, h, w, c]."""
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in inputs.items()}
    guidance, extra = None, {}
    if residuals is not None:
        down, mid = residuals
        extra["down_block_additional_residuals"] = [nchw(residual) for residual in down]
        extra["mid_block_additional_residual"] = nchw(mid)
    if "guidance" in tensors:
        width = unet.config.time_cond_proj_dim
        guidance = StableDiffusionPipeline.get_guidance_scale_embedding(
            None, tensors["guidance"] - 1, width
        )
    out = unet(
        nchw(inputs["x"]),
        tensors["timestep"],
        tensors["context"],
        class_labels=tensors.get("label"),
        added_cond_kwargs=_added(tensors),
        timestep_cond=guidance,
        **extra,
    )
    return nhwc(out.sample)


def run_controlnet(controlnet: ControlNetModel, inputs: dict[str, Array]) -> Residuals:
    """The output of diffusers' ControlNet for the keyword arguments of jaxsd's."""
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in inputs.items()}
    down, mid = controlnet(
        nchw(inputs["x"]),
        tensors["timestep"],
        tensors["context"],
        nchw(inputs["condition"]),
        added_cond_kwargs=_added(tensors),
        return_dict=False,
    )
    return Residuals(tuple(nhwc(residual) for residual in down), nhwc(mid))


def _added(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor] | None:
    """XL's conditions as diffusers takes them."""
    if "pooled" not in tensors:
        return None
    return {"text_embeds": tensors["pooled"], "time_ids": tensors["time_ids"]}


def run_text(
    encoder: CLIPTextModel | CLIPTextModelWithProjection, config: TextConfig, ids: Array
) -> tuple[Array, Array]:
    """Context and pooled vector as diffusers' pipelines take them from transformers' encoders."""
    out = encoder(torch.from_numpy(ids).long(), output_hidden_states=True)
    last = config.hidden_layer == -1
    context = out.last_hidden_state if last else out.hidden_states[config.hidden_layer]
    pooled = out.pooler_output if config.projection_dim is None else out.text_embeds
    return context.numpy(force=True), pooled.numpy(force=True)


def nchw(images: Array) -> torch.Tensor:
    """[B, h, w, c] -> a tensor [B, c, h, w]."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))


def nhwc(images: torch.Tensor) -> Array:
    """A tensor [B, c, h, w] -> [B, h, w, c]."""
    return images.numpy(force=True).transpose(0, 2, 3, 1)


def _calls(node: Params, path: str) -> Iterator[tuple[str, Array]]:
    for name, value in node.items():
        if name != "__call__":
            yield from _calls(value, f"{path}/{name}" if path else name)
        elif path:  # `flax_outputs` returns the output of the network itself anyway
            first = value[0]
            if isinstance(first, list):  # the states of a stack of layers, of which torch's has one
                first = first[-1]
            yield path, np.asarray(first[0] if isinstance(first, tuple) else first)
