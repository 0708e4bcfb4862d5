"""A CLIP vision tower's config.json, read and written, and what its pictures are made into."""

from typing import Any

from jaxsd.config import VisionConfig
from jaxsd.convert.diffusers.fields import Config, Fields
from jaxsd.convert.diffusers.text_settings import ACTIVATIONS, SETTINGS

MEAN = (0.48145466, 0.4578275, 0.40821073)
"""Means of red, green and blue, 0 to 1, in CLIP's training pictures."""
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Their standard deviations."""
_WANTED = {"model_type": "clip_vision_model", "layer_norm_eps": 1e-5, "num_channels": 3}


def vision_config(config: Config, where: str) -> VisionConfig:
    """The numbers of a transformers CLIP vision tower.

    Raises:
      ValueError: naming a setting that the tower here does not have.
    """
    fields = Fields(config, where)
    fields.require(_WANTED)
    return fields.build(
        VisionConfig,
        SETTINGS,
        width=fields.number("hidden_size", 768),
        layers=fields.number("num_hidden_layers", 12),
        heads=fields.number("num_attention_heads", 12),
        mlp_width=fields.number("intermediate_size", 3072),
        activation=fields.one_of("hidden_act", ACTIVATIONS, "quick_gelu"),
        image_size=fields.number("image_size", 224),
        patch_size=fields.number("patch_size", 32),
        projection_dim=fields.number("projection_dim", 512),
    )


def vision_settings(config: VisionConfig) -> dict[str, Any]:
    """The config.json that makes transformers build this vision tower."""
    return _WANTED | {
        "architectures": ["CLIPVisionModelWithProjection"],
        "hidden_act": config.activation,
        "hidden_size": config.width,
        "image_size": config.image_size,
        "intermediate_size": config.mlp_width,
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "patch_size": config.patch_size,
        "projection_dim": config.projection_dim,
    }


def preparation(config: VisionConfig) -> dict[str, Any]:
    """The preprocessor_config.json that makes transformers prepare pictures for it."""
    side = config.image_size
    return {
        "crop_size": {"height": side, "width": side},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "image_mean": list(MEAN),
        "image_processor_type": "CLIPImageProcessor",
        "image_std": list(DEVIATION),
        "resample": 3,
        "size": {"shortest_edge": side},
    }
