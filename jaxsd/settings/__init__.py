"""The options of a picture, their checks, and what they mean for the sampling loop."""

from jaxsd.settings.checks import checked, image_count, in_range
from jaxsd.settings.options import (
    LARGEST_SEED,
    OPTIONS,
    SHARED,
    SIZE,
    Control,
    Recipe,
    Settings,
    option_value,
    settings_from,
    with_sides,
)
from jaxsd.settings.plans import (
    Bucket,
    Call,
    bucket_of,
    calls_of,
    guidance_of,
    is_guided,
    passes_of,
    rows_of,
    scale_of,
    tableau_of,
)

__all__ = [
    "LARGEST_SEED",
    "OPTIONS",
    "SHARED",
    "SIZE",
    "Bucket",
    "Call",
    "Control",
    "Recipe",
    "Settings",
    "bucket_of",
    "calls_of",
    "checked",
    "guidance_of",
    "image_count",
    "in_range",
    "is_guided",
    "option_value",
    "passes_of",
    "rows_of",
    "scale_of",
    "settings_from",
    "tableau_of",
    "with_sides",
]
