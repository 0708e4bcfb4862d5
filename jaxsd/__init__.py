"""Stable Diffusion in JAX and Flax.

`pipe = jaxsd.load("emoji"); images = pipe.text_to_image("a red apple")`
"""

from typing import Any

__version__ = "0.1.0"
__all__ = ["Pipeline", "load"]


def __getattr__(name: str) -> Any:
    """Imports the pipeline when it is first asked for: `import jaxsd` itself costs nothing."""
    if name in __all__:
        from jaxsd import pipeline

        return getattr(pipeline, name)
    raise AttributeError(f"module 'jaxsd' has no attribute {name!r}")
