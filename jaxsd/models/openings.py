"""Where features change what a U-Net does: functions around methods of its modules.

They are for attention, its tokens, what lies between two attentions, joined skips, and what modules
give. The network knows nothing of them.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from flax import linen as nn

from jaxsd.models.unet import UpBlock
from jaxsd.nn.convolution import Downsample
from jaxsd.nn.layers import Dense
from jaxsd.nn.resnet import ResnetBlock
from jaxsd.nn.transformer import WHOLE, Attention, SpatialTransformer, TransformerBlock

Path = tuple[str, ...]
"""Names of modules from the outermost to the layer, as those of its parameters."""


def attention_by(change: Callable[..., Any]) -> AbstractContextManager[None]:
    """Within it, attention layers call `change(path, attend, q, k, v)` in place of `attend`."""
    return _intercepted(Attention, "attend", change)


def self_attention_by(change: Callable[..., Any]) -> AbstractContextManager[None]:
    """Within it, self-attention calls `change(path, run, x)` in place of `run(x)`.

    `run(x, context)` lets `x` attend to other tokens.
    """

    def changed(path: Path, run: Any, x: Any, context: Any = None) -> Any:
        return change(path, run, x) if context is None else run(x, context)

    return _intercepted(Attention, "__call__", changed)


def joins_by(change: Callable[..., Any]) -> AbstractContextManager[None]:
    """Within it, up blocks call `change(path, join, x, skip)` in place of `join`."""
    return _intercepted(UpBlock, "join", change)


def between_by(change: Callable[..., Any]) -> AbstractContextManager[None]:
    """Within it, transformer blocks call `change(path, between, x)` in place of `between`."""
    return _intercepted(TransformerBlock, "between", change)


def blocks_by(change: Callable[..., Any]) -> AbstractContextManager[None]:
    """Within it, resnets, transformers and downsamplings call `change(path, run, x, *rest)` in
    place of `run(x, *rest)`.
    """
    return _intercepted((ResnetBlock, SpatialTransformer, Downsample), "__call__", change)


@contextmanager
def projected_by(change: Callable[[Path, Any], Any]) -> Iterator[None]:
    """Within it, keys and values are projections of `change(path, tokens)` in place of tokens.

    The path ends in "to_k" or "to_v".
    """

    def changed(path: Path, run: Any, tokens: Any) -> Any:
        return run(change(path, tokens) if path[-1] in ("to_k", "to_v") else tokens)

    with _layer_by_layer(), _intercepted(Dense, "__call__", changed):
        yield


@contextmanager
def outputs_by(change: Callable[[Path, Any], Any]) -> Iterator[None]:
    """Within it, `change(path, output)` takes the place of what each module gives."""

    def changed(path: Path, run: Any, *args: Any, **kwargs: Any) -> Any:
        return change(path, run(*args, **kwargs))

    with _layer_by_layer(), _intercepted(nn.Module, "__call__", changed):
        yield


@contextmanager
def _layer_by_layer() -> Iterator[None]:
    """Within it, each layer runs by itself: no parts of it, and no product of several."""
    before = WHOLE.set(True)
    try:
        yield
    finally:
        WHOLE.reset(before)


def is_self_attention_of_middle(path: Path) -> bool:
    """Whether a layer is where guidance perturbs attention, as its papers do in U-Nets."""
    return path[0] == "mid_block" and path[-1] == "attn1"


def _intercepted(
    kind: type[nn.Module] | tuple[type[nn.Module], ...], method: str, change: Callable[..., Any]
) -> AbstractContextManager[None]:
    def intercept(run: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, kind) and context.method_name == method:
            return change(context.module.path, run, *args, **kwargs)
        return run(*args, **kwargs)

    return nn.intercept_methods(intercept)
