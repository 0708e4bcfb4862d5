"""The options of a picture, their checks, and what they mean for the sampling loop."""

from jaxsd.settings.adapters import Adapters, Embedding, Lora, without_tags
from jaxsd.settings.checks import check_inside, checked
from jaxsd.settings.controls import UNION_KINDS, Control, ImagePrompt, check_kind
from jaxsd.settings.guiding import guidance_of, is_guided, perturbation, scale_of
from jaxsd.settings.inverting import of_drawing
from jaxsd.settings.options import LARGEST_SEED, OPTIONS, SHARED, UPSCALERS, Settings
from jaxsd.settings.plans import (
    Bucket,
    Call,
    adapters_of,
    beside,
    bucket_of,
    calls_of,
    passes_of,
    rows_of,
    tableau_of,
)
from jaxsd.settings.ranges import image_count, in_range
from jaxsd.settings.recipe import Recipe
from jaxsd.settings.regions import Region, box_of
from jaxsd.settings.values import SIZE, option_value, settings_from, with_sides

__all__ = [
    "LARGEST_SEED",
    "OPTIONS",
    "SHARED",
    "SIZE",
    "UNION_KINDS",
    "UPSCALERS",
    "Adapters",
    "Bucket",
    "Call",
    "Control",
    "Embedding",
    "ImagePrompt",
    "Lora",
    "Recipe",
    "Region",
    "Settings",
    "adapters_of",
    "beside",
    "box_of",
    "bucket_of",
    "calls_of",
    "check_inside",
    "check_kind",
    "checked",
    "guidance_of",
    "image_count",
    "in_range",
    "is_guided",
    "of_drawing",
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
