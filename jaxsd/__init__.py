"""Stable Diffusion in JAX and Flax.

`pipe = jaxsd.load("emoji"); images = pipe.text_to_image("a red apple")`
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` takes half of the time until Ctrl-C is listened for
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"

_PARTS = (
    "adapters",
    "convert",
    "diffusion_map",
    "models",
    "pipeline",
    "sampling",
    "schedulers",
    "settings",
)
_NAMES = {"Control": "settings", "Pipeline": "pipeline", "Settings": "settings", "load": "pipeline"}

__all__ = ["Control", "Pipeline", "Settings", "load"]


def __getattr__(name: str) -> Any:
    """Imports a part at its first use, so that `import jaxsd` itself costs nothing."""
    from importlib import import_module

    if name in _PARTS:
        return import_module(f"jaxsd.{name}")
    if name in _NAMES:
        return getattr(import_module(f"jaxsd.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'jaxsd' has no attribute {name!r}")
