"""The same tiny models in diffusers and transformers, built without jaxsd's converter."""

from collections.abc import Callable
from unittest import mock

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from jaxsd.config import ControlNetConfig, TextConfig, UNetConfig, VAEConfig
from jaxsd.parity.modules import tree_path
from jaxsd.types import Array, Params

torch.set_num_threads(1)

INITIALIZERS = ("kaiming_uniform_", "uniform_", "normal_")
UNFILLED = mock.patch.multiple(
    torch.nn.init, **{name: lambda *_, **__: None for name in INITIALIZERS}
)
"""Around the making of a large module whose first weights are not used."""


def unet_twin(
    config: UNetConfig, *, linear_projection: bool, upcast_attention: bool = False
) -> UNet2DConditionModel:
    """A U-Net by the settings that its family's config.json has."""
    levels = config.levels
    cross = [bool(level.attention_depth) for level in levels]
    added = config.added
    return UNet2DConditionModel(
        in_channels=config.in_channels,
        out_channels=config.out_channels,
        block_out_channels=[level.channels for level in levels],
        layers_per_block=[level.resnets for level in levels],
        down_block_types=["CrossAttnDownBlock2D" if c else "DownBlock2D" for c in cross],
        up_block_types=["CrossAttnUpBlock2D" if c else "UpBlock2D" for c in reversed(cross)],
        # The mid block takes the last level's depth, so a level without attention has the mid's.
        transformer_layers_per_block=[
            level.attention_depth or (1 if level is not levels[-1] else config.mid_depth)
            for level in levels
        ],
        attention_head_dim=[level.heads for level in levels],
        cross_attention_dim=config.context_dim,
        norm_num_groups=config.norm_groups,
        use_linear_projection=linear_projection,
        upcast_attention=upcast_attention,
        addition_embed_type="text_time" if added else None,
        addition_time_embed_dim=added.time_id_dim if added else None,
        projection_class_embeddings_input_dim=added.features if added else None,
        time_cond_proj_dim=config.guidance_dim,
    ).eval()


def controlnet_twin(config: ControlNetConfig, *, linear_projection: bool) -> ControlNetModel:
    """A ControlNet by the settings that its family's config.json has."""
    levels, added = config.unet.levels, config.unet.added
    return ControlNetModel(
        in_channels=config.unet.in_channels,
        conditioning_channels=config.condition_channels,
        conditioning_embedding_out_channels=config.hint_channels,
        block_out_channels=[level.channels for level in levels],
        layers_per_block=levels[0].resnets,
        down_block_types=[
            "CrossAttnDownBlock2D" if level.attention_depth else "DownBlock2D" for level in levels
        ],
        transformer_layers_per_block=[
            *(level.attention_depth or 1 for level in levels[:-1]),
            config.unet.mid_depth,
        ],
        attention_head_dim=[level.heads for level in levels],
        cross_attention_dim=config.unet.context_dim,
        norm_num_groups=config.unet.norm_groups,
        use_linear_projection=linear_projection,
        addition_embed_type="text_time" if added else None,
        addition_time_embed_dim=added.time_id_dim if added else None,
        projection_class_embeddings_input_dim=added.features if added else None,
    ).eval()


def vae_twin(config: VAEConfig) -> AutoencoderKL:
    """An autoencoder by the settings of Stable Diffusion's."""
    levels = len(config.channels)
    return AutoencoderKL(
        block_out_channels=config.channels,
        layers_per_block=config.resnets,
        latent_channels=config.latent_channels,
        norm_num_groups=config.norm_groups,
        scaling_factor=config.scaling_factor,
        force_upcast=config.force_upcast,
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
    ).eval()


def text_twin(config: TextConfig) -> CLIPTextModel | CLIPTextModelWithProjection:
    """A text encoder, with a projection where the config has one."""
    numbers = CLIPTextConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.width,
        intermediate_size=config.mlp_width,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        max_position_embeddings=config.max_length,
        hidden_act=config.activation,
        projection_dim=config.projection_dim or config.width,
        bos_token_id=config.vocab_size - 2,
        eos_token_id=config.vocab_size - 1,
        pad_token_id=config.pad_token,
    )
    projected = config.projection_dim is not None
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(numbers).eval()


def load(module: torch.nn.Module, tree: Params) -> torch.nn.Module:
    """Copies a tree into a module: every tensor from a leaf, every leaf into a tensor."""
    leaves = _flatten(tree)
    state = {}
    for name, tensor in module.state_dict().items():
        path = tree_path(name.removesuffix(".weight").removesuffix(".bias"))
        leaf = f"{path}/{_leaf(name, tensor.ndim)}"
        value = torch.from_numpy(np.asarray(leaves.pop(leaf)))
        if leaf.endswith("/kernel"):
            value = value.permute(3, 2, 0, 1) if value.ndim == 4 else value.T
        if "proj_" in name:
            value = value.reshape(tensor.shape)
        state[name] = value.clone(memory_format=torch.contiguous_format)
    assert not leaves, f"no tensor takes {sorted(leaves)}"
    module.load_state_dict(state, assign=True)
    return module


def _leaf(name: str, rank: int) -> str:
    if name.endswith(".bias"):
        return "bias"
    if "_embedding." in name and "embeddings." in name:
        return "embedding"
    return "scale" if rank == 1 else "kernel"


def _flatten(tree: Params, prefix: str = "") -> dict[str, Array]:
    flat = {}
    for name, value in tree.items():
        path = f"{prefix}/{name}" if prefix else name
        flat |= _flatten(value, path) if isinstance(value, dict) else {path: value}
    return flat


def leaves_of(
    module: torch.nn.Module, value: Callable[[torch.nn.Parameter], torch.Tensor]
) -> Params:
    """Path -> NumPy array in our layout, of some value of each parameter, such as its gradient."""
    leaves = {}
    for name, parameter in module.named_parameters():
        path = tree_path(name.removesuffix(".weight").removesuffix(".bias"))
        leaf = f"{path}/{_leaf(name, parameter.ndim)}"
        array = value(parameter).detach().numpy()
        if leaf.endswith("/kernel"):
            array = array[:, :, 0, 0] if "proj_" in name and array.ndim == 4 else array
            array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        leaves[leaf] = array.copy()
    return leaves
