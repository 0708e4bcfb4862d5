"""The options of a picture, their checks, and what they mean for the sampling loop."""

from jaxsd.settings.adapters import Adapters, Embedding, Lora, without_tags
from jaxsd.settings.checks import checked, image_count, in_range
from jaxsd.settings.guiding import guidance_of, is_guided, perturbation, scale_of
from jaxsd.settings.options import (
    LARGEST_SEED,
    OPTIONS,
    SHARED,
    SIZE,
    Control,
    Recipe,
    Region,
    Settings,
    option_value,
    settings_from,
    with_sides,
)
from jaxsd.settings.plans import (
    Bucket,
    Call,
    adapters_of,
    bucket_of,
    calls_of,
    passes_of,
    rows_of,
    tableau_of,
)

__all__ = [
    "LARGEST_SEED",
    "OPTIONS",
    "SHARED",
    "SIZE",
    "Adapters",
    "Bucket",
    "Call",
    "Control",
    "Embedding",
    "Lora",
    "Recipe",
    "Region",
    "Settings",
    "adapters_of",
    "bucket_of",
    "calls_of",
    "checked",
    "guidance_of",
    "image_count",
    "in_range",
    "is_guided",
    "option_value",
    "passes_of",
    "perturbation",
    "rows_of",
    "scale_of",
    "settings_from",
    "tableau_of",
    "with_sides",
    "without_tags",
]
