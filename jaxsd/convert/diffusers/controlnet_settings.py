"""A ControlNet's config.json, read and written: a U-Net's without the way up, and the image's."""

from typing import Any

from jaxsd.config import ControlNetConfig, UNetConfig
from jaxsd.convert.added_conditions import TIME_IDS, pooled_dim
from jaxsd.convert.diffusers.fields import Config, Fields
from jaxsd.convert.diffusers.unet_settings import unet_config, unet_settings

_WANTED: dict[str, Any] = {
    "controlnet_conditioning_channel_order": "rgb",
    "global_pool_conditions": False,
}
_HINT = {"conditioning_channels", "conditioning_embedding_out_channels"}
_NOT_HERE = {
    "attention_type",
    "center_input_sample",
    "class_embeddings_concat",
    "conv_in_kernel",
    "conv_out_kernel",
    "cross_attention_norm",
    "dropout",
    "dual_cross_attention",
    "mid_block_only_cross_attention",
    "out_channels",
    "resnet_out_scale_factor",
    "resnet_skip_time_act",
    "reverse_transformer_layers_per_block",
    "sample_size",
    "time_cond_proj_dim",
    "time_embedding_act_fn",
    "time_embedding_dim",
    "time_embedding_type",
    "timestep_post_act",
    "up_block_types",
}
"""Settings of diffusers' `UNet2DConditionModel` that its `ControlNetModel` does not have."""


def controlnet_config(config: Config, where: str) -> ControlNetConfig:
    """The numbers of a diffusers ControlNet.

    Raises:
      ValueError: naming a setting that networks here do not have.
    """
    fields = Fields(config, where)
    fields.require(_WANTED | {"time_cond_proj_dim": None, "num_class_embeds": None})
    unet = {name: value for name, value in config.items() if name not in _WANTED.keys() | _HINT}
    down = config.get("down_block_types")
    if isinstance(down, list):
        unet["up_block_types"] = [str(name).replace("Down", "Up") for name in reversed(down)]
    return fields.build(
        ControlNetConfig,
        {"hint_channels": "conditioning_embedding_out_channels"},
        unet=unet_config(unet, pooled_dim=_pooled_dim(fields), where=where),
        condition_channels=fields.number("conditioning_channels", default=3),
        hint_channels=fields.numbers(
            "conditioning_embedding_out_channels", default=[16, 32, 96, 256]
        ),
    )


def _pooled_dim(fields: Fields) -> int | None:
    """Width of the pooled text of XL's added conditions, which is what its time ids leave."""
    if fields.get("addition_embed_type") != "text_time":
        return None
    features = fields.number("projection_class_embeddings_input_dim")
    return pooled_dim(features, fields.number("addition_time_embed_dim"), fields.where)


def linear_by_heads(config: UNetConfig) -> bool:
    """Whether transformers begin and end with dense layers in files of such a U-Net.

    Only SD 1 has 1x1 convolutions there, and only SD 1 has the same number of heads at every level.
    """
    return len({level.heads for level in config.levels}) > 1


def controlnet_settings(config: ControlNetConfig, *, linear_projection: bool) -> dict[str, Any]:
    """The config.json that makes diffusers build this ControlNet.

    Raises:
      ValueError: if diffusers cannot build it, or it could not be read again.
    """
    added, resnets = config.unet.added, {level.resnets for level in config.unet.levels}
    if len(resnets) > 1:
        raise ValueError(f"diffusers has no ControlNet with {sorted(resnets)} resnets per level")
    if added is not None and added.time_ids != TIME_IDS:
        raise ValueError(
            f"a ControlNet's files cannot tell {added.time_ids} time ids from {TIME_IDS}, which is "
            "what SDXL has"
        )
    unet = unet_settings(
        config.unet,
        linear_projection=linear_projection,
        sample_size=0,
        # SD 2.1's 768 pixel model overflows in half precision without it, and so does its copy.
        upcast_attention=linear_projection and added is None,
    )
    unet = {name: value for name, value in unet.items() if name not in _NOT_HERE}
    return (
        unet
        | _WANTED
        | {
            "_class_name": "ControlNetModel",
            "conditioning_channels": config.condition_channels,
            "conditioning_embedding_out_channels": list(config.hint_channels),
        }
    )
