"""From a prompt to pictures: `load` a model, then draw with it."""

from jaxsd.pipeline.loading import (
    check_adapters,
    load,
    outline,
    with_beside,
    with_controlnet,
    with_refiner,
)
from jaxsd.pipeline.many import draw_many
from jaxsd.pipeline.order import Order
from jaxsd.pipeline.pipeline import Pipeline

__all__ = [
    "Order",
    "Pipeline",
    "check_adapters",
    "draw_many",
    "load",
    "outline",
    "with_beside",
    "with_controlnet",
    "with_refiner",
]
