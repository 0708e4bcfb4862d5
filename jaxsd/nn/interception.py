"""Functions around parts of a network while it is traced, so that the network has no flags."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from flax import linen as nn

Change = Callable[[str, tuple[Any, ...], Any], Any]
"""(path of the module, its arguments, its result) -> the result that takes its place."""


def changing(method: str, change: Change) -> AbstractContextManager[None]:
    """While this is open, `change` replaces what a method gives, in every module that has it.

    Paths begin inside of the network that runs, as those of its parameters.
    """

    def intercept(
        run: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        context: nn.module.InterceptorContext,
    ) -> Any:
        result = run(*args, **kwargs)
        if context.method_name != method:
            return result
        return change("/".join(context.module.path), args, result)

    return nn.intercept_methods(intercept)
