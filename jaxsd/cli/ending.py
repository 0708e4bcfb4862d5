"""What a command says when it can not go on, and its exit status."""

import os
import sys

EXTRAS = {
    "parity": ("diffusers", "torch", "transformers"),
    "train": ("grain", "matplotlib", "tensorboardX"),
    "server": ("fastapi", "prometheus_client", "python_multipart", "sse_starlette", "uvicorn"),
}
"""Extra -> packages that come with it."""


def ending(error: BaseException) -> tuple[int, str] | None:
    """The status and the line for an error that the user can repair; None for a defect of ours."""
    line = str(error)
    if _interrupted(error):
        return 130, "interrupted"
    if isinstance(error, FloatingPointError):
        return 1, line
    if isinstance(error, ValueError | OSError):
        return 2, line
    for extra, packages in EXTRAS.items():
        if isinstance(error, ModuleNotFoundError) and error.name in packages:
            return 2, f"this needs the package {error.name}: pip install 'jaxsd[{extra}]'"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in line:
        return (2, "out of memory; take fewer or smaller pictures at a time, or 16-bit dtypes")
    if "jax" in sys.modules:
        from jaxsd.parallel.devices import has_devices

        if not has_devices():
            asked = f"JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}"
            return 2, f"{asked}: no such device for JAX here; unset it, or take cpu"
    return None


def _interrupted(error: BaseException | None) -> bool:
    """Whether it is Ctrl-C, or an error that modules in C make of it while they are imported."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False
