"""A CLIP vision tower's config.json."""

from jaxsd.config import VisionConfig
from jaxsd.convert.diffusers.fields import Config, Fields
from jaxsd.convert.diffusers.text_settings import ACTIVATIONS, SETTINGS


def vision_config(config: Config, where: str) -> VisionConfig:
    """The numbers of a transformers CLIP vision tower.

    Raises:
      ValueError: naming a setting that the tower here does not have.
    """
    wanted = {"model_type": "clip_vision_model", "layer_norm_eps": 1e-5, "num_channels": 3}
    fields = Fields(config, where)
    fields.require(wanted)
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
