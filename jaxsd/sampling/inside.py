"""What a U-Net holds while it draws: attention to each token, and what modules give.

One row of a table at a time: the network runs outside of the scan, which takes its answer.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from jaxsd.models.openings import Path, attention_by, outputs_by
from jaxsd.sampling.call import Conditions, Networks
from jaxsd.sampling.loop import State, Step, advance, per_image
from jaxsd.sampling.program import of_loop
from jaxsd.types import Array, Params

Edit = Callable[[str, Array, Step], Array]
"""(path, what the module gives [B*K, ...], row) -> what it gives instead."""


def unchanged(path: str, output: Array, step: Step) -> Array:
    """What the module gives."""
    return output


@partial(jax.jit, static_argnames=("networks", "paths", "edit"))
def features(
    networks: Networks,
    params: Params,
    steps: Step,
    conditions: Conditions,
    state: State,
    keys: Array,
    paths: tuple[str, ...],
    edit: Edit = unchanged,
) -> tuple[State, dict[str, Array]]:
    """A row of `denoise`, and what modules of these paths gave: [B, K, ...] for K branches.

    Args:
      networks: static.
      params: of all networks.
      steps: one row, leaves [1, B, ...].
      conditions: of the drawing.
      state: before the row.
      keys: of the images.
      paths: static; as those of parameters, such as "mid_block" or "up_blocks_0/resnets_1".
      edit: static; changes what each of these modules gives.
    """
    seen: dict[str, Array] = {}

    def changed(path: Path, output: Any) -> Any:
        if (name := "/".join(path)) not in paths:
            return output
        output = edit(name, output, jax.tree.map(lambda a: a[0], steps))
        seen[name] = output.reshape(len(keys), -1, *output.shape[1:])
        return output

    state = _row(networks, params, steps, conditions, state, keys, outputs_by(changed))
    return state, seen


@partial(jax.jit, static_argnames="networks")
def attention_to_tokens(
    networks: Networks,
    params: Params,
    steps: Step,
    conditions: Conditions,
    state: State,
    keys: Array,
    words: Array,
) -> tuple[State, Array]:
    """A row of `denoise`, and how much pixels look at tokens in its last branch: [B, h, w, L].

    The mean over heads and over the cross-attentions of `upper`, each enlarged to the latents' size
    (Tang et al. 2022, "What the DAAM", equations 4 and 5, but the mean, and of fewer layers).

    Args:
      networks: static.
      params: of all networks.
      steps: one row, leaves [1, B, ...].
      conditions: of the drawing.
      state: before the row.
      keys: of the images.
      words: bool [B, L], tokens that share the attention; that of the others is 0.
    """
    size, maps = state.samples.shape[2:4], {}

    def looked(path: Path, attend: Any, q: Array, k: Array, v: Array) -> Array:
        if path[-1] == "attn2":
            own = [a.reshape(len(keys), -1, *a.shape[1:])[:, -1] for a in (q, k)]
            maps[path] = enlarged(shares(*own, words), size)
        return attend(q, k, v)

    state = _row(networks, params, steps, conditions, state, keys, attention_by(looked))
    return state, jnp.stack([maps[path] for path in upper(list(maps))]).mean(0)


def upper(paths: Sequence[Path]) -> list[Path]:
    """Of cross-attentions, in the order of their calls, those that say where a word is.

    They are those of the up blocks, without the deepest of these blocks. In the blocks below, what
    a noun tells goes to all pixels (docs/inside.md has figures). All, where none are above.
    """
    blocks = [path[0] for path in paths if path[0].startswith("up_blocks")]
    return [path for path in paths if path[0] in blocks and path[0] != blocks[0]] or list(paths)


def shares(q: Array, k: Array, words: Array) -> Array:
    """The mean over heads of attention from q to k, [B, P, heads, d] each: [B, P, L].

    Tokens that are not among `words`, bool [B, L], have none of it: a text's beginning and its end
    take most of it, more or less by the pixel.
    """
    logits = jnp.einsum("blhd,bmhd->bhlm", q, k, preferred_element_type=jnp.float32)
    among = words[:, None, None]
    return jax.nn.softmax(logits * q.shape[-1] ** -0.5, axis=-1, where=among).mean(1)


def enlarged(shares: Array, size: tuple[int, int]) -> Array:
    """Maps [B, P, L] of a picture that was halved some times, at the size of the latents."""
    height, width = size
    while height * width > shares.shape[1]:
        height, width = -(-height // 2), -(-width // 2)
    maps = shares.reshape(len(shares), height, width, -1)
    return jax.image.resize(maps, (len(maps), *size, maps.shape[-1]), "cubic")


def _row(
    networks: Networks,
    params: Params,
    steps: Step,
    conditions: Conditions,
    state: State,
    keys: Array,
    opened: AbstractContextManager[None],
) -> State:
    network, begun, hooks = of_loop(networks, params, steps, conditions, state)
    state = state._replace(memory=begun | state.memory)
    step = jax.tree.map(lambda a: a[0], steps)
    with opened:
        x = per_image(step.row.c_in, state.samples[:, 0])
        answer = network(x, step, state.memory)
    return advance(steps, lambda x, step, memory: answer, state, keys, **hooks)[0]
