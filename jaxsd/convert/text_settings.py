"""A CLIP text encoder's config.json, both ways."""

from typing import Any, Literal

from jaxsd.config import TextConfig
from jaxsd.convert.config_fields import Config, number, require

PROJECTED = "CLIPTextModelWithProjection"
ACTIVATIONS = ("quick_gelu", "gelu")


def text_config(
    config: Config, *, projected: bool, hidden_layer: Literal[-1, -2], where: str
) -> TextConfig:
    """The numbers of a transformers CLIP text encoder; its padding is the tokenizer's to say.

    `projected` is whether its class has a projection, and `hidden_layer` the pipeline's choice.
    Absent settings mean what `CLIPTextConfig` gives them.

    Raises:
      ValueError: naming a setting that the encoder here does not have.
    """
    require(config, {"model_type": "clip_text_model", "layer_norm_eps": 1e-5}, where)
    activation = config.get("hidden_act", "quick_gelu")
    if activation not in ACTIVATIONS:
        raise ValueError(f"{where}: hidden_act = {activation!r} is not one of {ACTIVATIONS}")

    def size(name: str, default: int) -> int:
        return number(config, name, where, default)

    vocabulary = size("vocab_size", 49408)
    return TextConfig(
        width=size("hidden_size", 512),
        layers=size("num_hidden_layers", 12),
        heads=size("num_attention_heads", 8),
        mlp_width=size("intermediate_size", 2048),
        activation=activation,
        vocab_size=vocabulary,
        max_length=size("max_position_embeddings", 77),
        hidden_layer=hidden_layer,
        projection_dim=size("projection_dim", 512) if projected else None,
        added_tokens=_added_tokens(config, vocabulary, projected, where),
    )


def _added_tokens(config: Config, vocabulary: int, projected: bool, where: str) -> int:
    """How many ids come after the end token, which is the highest of every CLIP.

    transformers takes an `eos_token_id` of 2 (a mistake in all early configs) to mean the highest
    id of a prompt. Without a projection the end does not matter, and may be wrong.
    """
    end = config.get("eos_token_id", 49407)
    if end != 2 and isinstance(end, int) and 2 < end < vocabulary:
        return vocabulary - 1 - end
    if end != 2 and projected:
        raise ValueError(
            f"{where}: eos_token_id = {end!r} is not supported, only 2 or an id up to the last, "
            f"{vocabulary - 1}"
        )
    return 0


def text_settings(config: TextConfig) -> dict[str, Any]:
    """The config.json that makes transformers build this text encoder."""
    projected = config.projection_dim is not None
    end = config.vocab_size - config.added_tokens - 1
    return {
        "architectures": [PROJECTED if projected else "CLIPTextModel"],
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
