"""Text to image: `load` a model, then ask it for pictures."""

from jaxsd.pipeline.line import Order, ordered
from jaxsd.pipeline.loading import load, outline
from jaxsd.pipeline.pipeline import Pipeline

__all__ = ["Order", "Pipeline", "load", "ordered", "outline"]
