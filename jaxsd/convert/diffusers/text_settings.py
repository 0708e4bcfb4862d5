"""A CLIP text encoder's config.json, read and written."""

from typing import Any, Literal

from jaxsd.config import TextConfig
from jaxsd.convert.diffusers.fields import Config, Fields

ACTIVATIONS = ("quick_gelu", "gelu")
SETTINGS = {
    "heads": "num_attention_heads",
    "layers": "num_hidden_layers",
    "max_length": "max_position_embeddings",
    "mlp_width": "intermediate_size",
    "width": "hidden_size",
}
"""Our names of numbers -> transformers'."""


def tower(config: Config, name: str, where: str) -> Config:
    """The settings of one half of a CLIP: `name` of a whole CLIP's, or all there are.

    Raises:
      ValueError: if they are no table.
    """
    if config.get("model_type") != "clip":
        return config
    # Early files have each table twice, and transformers takes the second.
    half: dict[str, Any] = {}
    for key in (name, f"{name}_dict"):
        table = config.get(key) or {}
        if not isinstance(table, dict):
            raise Fields(config, where).wrong(key, table, "should be a table of settings")
        half |= table
    return half | {key: config[key] for key in ("projection_dim",) if key in config}


def text_config(
    config: Config, *, projected: bool, hidden_layer: Literal[-1, -2], where: str
) -> TextConfig:
    """The numbers of a transformers CLIP text encoder; its padding comes from the tokenizer.

    `projected` is whether its class has a projection, and `hidden_layer` the pipeline's choice.
    Absent settings get the defaults of `CLIPTextConfig`.

    Raises:
      ValueError: naming a setting that the encoder here does not have.
    """
    fields = Fields(tower(config, "text_config", where), where)
    fields.require({"model_type": "clip_text_model", "layer_norm_eps": 1e-5})
    vocabulary = fields.number("vocab_size", 49408)
    return fields.build(
        TextConfig,
        SETTINGS,
        width=fields.number("hidden_size", 512),
        layers=fields.number("num_hidden_layers", 12),
        heads=fields.number("num_attention_heads", 8),
        mlp_width=fields.number("intermediate_size", 2048),
        activation=fields.one_of("hidden_act", ACTIVATIONS, "quick_gelu"),
        vocab_size=vocabulary,
        max_length=fields.number("max_position_embeddings", 77),
        hidden_layer=hidden_layer,
        projection_dim=fields.number("projection_dim", 512) if projected else None,
        added_tokens=_added_tokens(fields, vocabulary, projected),
    )


def _added_tokens(fields: Fields, vocabulary: int, projected: bool) -> int:
    """How many ids come after the end token, which is the last id of CLIP's own vocabulary.

    transformers takes an `eos_token_id` of 2 (a mistake in all early configs) to mean the highest
    id of a prompt. Without a projection the end does not matter, and may be wrong.
    """
    end = fields.get("eos_token_id", 49407)
    if end != 2 and isinstance(end, int) and 2 < end < vocabulary:
        return vocabulary - 1 - end
    if end != 2 and projected:
        why = f"is not supported, only 2 or an id up to the last, {vocabulary - 1}"
        raise fields.wrong("eos_token_id", end, why)
    return 0


def text_settings(config: TextConfig) -> dict[str, Any]:
    """The config.json that makes transformers build this text encoder."""
    projected = config.projection_dim is not None
    end = config.vocab_size - config.added_tokens - 1
    return {
        "architectures": [f"CLIPTextModel{'WithProjection' if projected else ''}"],
        "attention_dropout": 0.0,
        "bos_token_id": end - 1,
        "eos_token_id": end,
        "hidden_act": config.activation,
        "hidden_size": config.width,
        "intermediate_size": config.mlp_width,
        "layer_norm_eps": 1e-5,
        "max_position_embeddings": config.max_length,
        "model_type": "clip_text_model",
        "num_attention_heads": config.heads,
        "num_hidden_layers": config.layers,
        "pad_token_id": config.pad_token,
        "projection_dim": config.projection_dim if projected else config.width,
        "vocab_size": config.vocab_size,
    }
