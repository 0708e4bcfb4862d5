"""A U-Net's config.json, read and written."""

from typing import Any

from jaxsd.config import AddedConditions, Level, UNetConfig
from jaxsd.convert.added_conditions import added_conditions
from jaxsd.convert.diffusers.fields import Config, Fields

_WANTED: dict[str, Any] = {
    "act_fn": "silu",
    "attention_type": "default",
    "center_input_sample": False,
    "class_embeddings_concat": False,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "cross_attention_norm": None,
    "downsample_padding": 1,
    "dropout": 0.0,
    "dual_cross_attention": False,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "mid_block_only_cross_attention": None,
    "mid_block_scale_factor": 1,
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "norm_eps": 1e-5,
    "num_attention_heads": None,
    "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False,
    "resnet_time_scale_shift": "default",
    "reverse_transformer_layers_per_block": None,
    "time_embedding_act_fn": None,
    "time_embedding_dim": None,
    "time_embedding_type": "positional",
    "timestep_post_act": None,
}
"""Settings of diffusers' `UNet2DConditionModel` that have one value in Stable Diffusion."""

_IGNORED = {
    "addition_embed_type_num_heads",
    "addition_time_embed_dim",
    "projection_class_embeddings_input_dim",
    "sample_size",
    "split_head_dim",  # of Flax, about speed
    "upcast_attention",  # about float16 only; softmax here is always float32
    "use_linear_projection",
    "use_memory_efficient_attention",  # of Flax
    *("attention_kernel", "flash_block_sizes", "flash_min_seq_length", "mesh", "precision"),
}  # the last five are MaxDiffusion's, about speed
_PROJECTED = "projection_class_embeddings_input_dim"
_SETTINGS = {
    "attention_depth": "transformer_layers_per_block",
    "channels": "block_out_channels",
    "context_dim": "cross_attention_dim",
    "guidance_dim": "time_cond_proj_dim",
    "heads": "attention_head_dim",
    "label_dim": _PROJECTED,
    "mid_depth": "transformer_layers_per_block",
    "noise_levels": "num_class_embeds",
    "norm_groups": "norm_num_groups",
    "resnets": "layers_per_block",
}
"""Our names of numbers -> diffusers'."""
_CROSS, _PLAIN = "CrossAttn{}Block2D", "{}Block2D"
_SD1_DOWN = ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"]
_SD1_UP = ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3


def unet_config(config: Config, *, pooled_dim: int | None, where: str) -> UNetConfig:
    """The numbers of a diffusers U-Net.

    `pooled_dim` is the width of the text encoder's pooled vector, which XL's added conditions
    start with.

    Raises:
      ValueError: naming a setting that networks here do not have.
    """
    fields = Fields(config, where)
    fields.require(_WANTED)
    channels = fields.numbers("block_out_channels", default=[320, 640, 1280, 1280])
    count = len(channels)
    crossed = _crossed(fields, count)
    depths = fields.per_level("transformer_layers_per_block", count, default=1)
    # Named head dim, but it is the number of heads (huggingface/diffusers#2011).
    heads = fields.per_level("attention_head_dim", count, default=8)
    resnets = fields.per_level("layers_per_block", count, default=2)
    alone = _only_cross(fields, count)
    levels = tuple(
        fields.build(
            Level,
            _SETTINGS,
            channels=channels[i],
            resnets=resnets[i],
            attention_depth=depths[i] if crossed[i] else 0,
            heads=heads[i],
            self_attends=not (alone[i] and crossed[i]),
        )
        for i in range(count)
    )
    guidance, noise_levels = fields.get("time_cond_proj_dim"), fields.get("num_class_embeds")
    unet = fields.build(
        UNetConfig,
        _SETTINGS,
        levels=levels,
        context_dim=fields.number("cross_attention_dim", default=1280),
        mid_depth=depths[-1],
        in_channels=fields.number("in_channels", default=4),
        out_channels=fields.number("out_channels", default=4),
        norm_groups=fields.number("norm_num_groups", default=32),
        added=_added(fields, pooled_dim),
        guidance_dim=None if guidance is None else fields.number("time_cond_proj_dim"),
        noise_levels=None if noise_levels is None else fields.number("num_class_embeds"),
        label_dim=_label_dim(fields),
    )
    fields.refuse_others(_IGNORED)
    return unet


def _crossed(fields: Fields, count: int) -> list[bool]:
    """Which levels have attention, from the names of the blocks; the way up must mirror it."""
    down = fields.words("down_block_types", _SD1_DOWN)
    up = fields.words("up_block_types", _SD1_UP)
    for direction, types in (("Down", down), ("Up", up)):
        known = (_CROSS.format(direction), _PLAIN.format(direction))
        for name in types:
            if name not in known:
                setting = f"{direction.lower()}_block_types"
                raise fields.wrong(setting, name, f"is not one of {', '.join(known)}")
    crossed = [name.startswith("CrossAttn") for name in down]
    if len(down) != count or [name.startswith("CrossAttn") for name in up] != crossed[::-1]:
        why = f"should mirror up_block_types = {up}, {count} each"
        raise fields.wrong("down_block_types", down, why)
    return crossed


def _only_cross(fields: Fields, count: int) -> list[bool]:
    """Which levels have no self-attention, if they have attention."""
    value = fields.get("only_cross_attention", False)
    values = value if isinstance(value, list) else [value] * count
    if len(values) != count or not all(isinstance(one, bool) for one in values):
        why = f"should be true or false, or {count} of them"
        raise fields.wrong("only_cross_attention", value, why)
    return values


def _label_dim(fields: Fields) -> int | None:
    kind = fields.one_of("class_embed_type", (None, "projection"), None)
    return None if kind is None else fields.number(_PROJECTED)


def _added(fields: Fields, pooled_dim: int | None) -> AddedConditions | None:
    kind = fields.get("addition_embed_type")
    if kind is None:
        return None
    if kind != "text_time" or pooled_dim is None:
        why = (
            "is not supported, only None, or 'text_time' with a text encoder that has a projection"
        )
        raise fields.wrong("addition_embed_type", kind, why)
    features = fields.number(_PROJECTED)
    width = fields.number("addition_time_embed_dim")
    return added_conditions(features, pooled_dim, width, fields.where)


def unet_settings(
    config: UNetConfig, *, linear_projection: bool, sample_size: int, upcast_attention: bool
) -> dict[str, Any]:
    """The config.json that makes diffusers build this U-Net.

    Raises:
      ValueError: if diffusers cannot build it.
    """
    levels, depths = config.levels, [level.attention_depth or 1 for level in config.levels]
    if config.mid_depth == 0 or levels[-1].attention_depth not in (0, config.mid_depth):
        raise ValueError(
            f"diffusers has no U-Net with {config.mid_depth} transformer blocks in the middle and "
            f"{levels[-1].attention_depth} in its last level; they must be equal, or the latter 0"
        )
    depths[-1] = config.mid_depth
    crossed = [level.attention_depth > 0 for level in levels]
    added = config.added
    return _WANTED | {
        "_class_name": "UNet2DConditionModel",
        "addition_embed_type": "text_time" if added else None,
        "addition_time_embed_dim": added.time_id_dim if added else None,
        "attention_head_dim": _one_or_all([level.heads for level in levels]),
        "class_embed_type": "projection" if config.label_dim else None,
        "block_out_channels": [level.channels for level in levels],
        "cross_attention_dim": config.context_dim,
        "down_block_types": [_block("Down", cross) for cross in crossed],
        "in_channels": config.in_channels,
        "layers_per_block": _one_or_all([level.resnets for level in levels]),
        "norm_num_groups": config.norm_groups,
        "num_class_embeds": config.noise_levels,
        "only_cross_attention": _one_or_all([not level.self_attends for level in levels]),
        "out_channels": config.out_channels,
        _PROJECTED: added.features if added else config.label_dim,
        "sample_size": sample_size,
        "time_cond_proj_dim": config.guidance_dim,
        "transformer_layers_per_block": _one_or_all(depths),
        "up_block_types": [_block("Up", cross) for cross in crossed[::-1]],
        "upcast_attention": upcast_attention,
        "use_linear_projection": linear_projection,
    }


def _block(direction: str, crossed: bool) -> str:
    return (_CROSS if crossed else _PLAIN).format(direction)


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(set(values)) == 1 else values
