"""A trained model of arrays: its folder, what it draws, and how known beginnings go on."""

import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.arrays.network import network_of, new_params, predicted
from jaxsd.arrays.spec import ArraySpec
from jaxsd.checkpoint import Checkpoints
from jaxsd.models import UNet
from jaxsd.sampling import Step, sample
from jaxsd.sampling.loop import per_image
from jaxsd.schedulers import Tableau, build
from jaxsd.text_files import read_json
from jaxsd.typed import built
from jaxsd.types import Array, Params
from jaxsd.writing import replacing

SPEC, WEIGHTS = "arrays.json", "weights"
SAMPLER, STEPS = "dpm++_2m", 20
TOGETHER = 256
"""Rows that one call of the network sees."""


class ArrayModel(NamedTuple):
    """A model of arrays."""

    spec: ArraySpec
    params: Params  # float32


def write_arrays(folder: Path, model: ArrayModel) -> None:
    """Writes `arrays.json` and, by Orbax, the weights; the weights first."""
    saved = Checkpoints(folder / WEIGHTS, keep=1)
    saved.save((saved.latest or 0) + 1, model.params)
    saved.close()
    with replacing(folder / SPEC) as part:
        part.write_text(json.dumps(model.spec.table(), indent=2) + "\n", encoding="utf-8")


def read_arrays(folder: str | Path) -> ArrayModel:
    """The model that a finished run of task "arrays" wrote: RUN/model.

    Raises:
      FileNotFoundError: there is none.
      ValueError: it is damaged.
    """
    path = Path(folder) / SPEC
    if not path.is_file():
        raise FileNotFoundError(f"no {path}; give the folder `model` of a run of task 'arrays'")
    try:
        spec = built(ArraySpec, read_json(path))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    like = jax.eval_shape(partial(new_params, network_of(spec), spec), jax.random.key(0))
    saved = Checkpoints(Path(folder) / WEIGHTS)
    params = saved.restore(like)
    saved.close()
    return ArrayModel(spec, params)


def draw(
    model: ArrayModel, count: int, *, seed: int = 0, sampler: str = SAMPLER, steps: int = STEPS
) -> np.ndarray:
    """New rows [count, *shape] float32, in the units of the data.

    Args:
      model: as `read_arrays` gives it.
      count: of rows, 1 or more; row i depends on (seed, i) alone, but for rounding.
      seed: 0 to 2^32 - 1.
      sampler: a name of `jaxsd.schedulers.SAMPLERS`.
      steps: of the sampler.

    Raises:
      ValueError: no such sampler, or steps that it does not take.
    """
    spec = model.spec
    nothing = np.zeros((count, *spec.sides, spec.shape[-1]), np.float32)
    return spec.restored(_drawn(model, nothing, nothing, seed, sampler, steps))


def forecast(model: ArrayModel, past: np.ndarray, count: int, **options: Any) -> np.ndarray:
    """Continues beginnings: `complete` with a known part that ends at some time.

    Args:
      model: as `read_arrays` gives it.
      past: [N, *shape] but shorter along the model's time axis, finite, in the units of the data.
      count: of futures of each row.
      **options: of `complete`.

    Returns:
      [count, N, *shape] float32, the past included.

    Raises:
      ValueError: as `complete`, or nothing is left to forecast.
    """
    spec, axis = model.spec, model.spec.time_axis
    known = past.shape[axis] if axis < past.ndim else 0
    if past.shape[1:] != (*spec.shape[: axis - 1], known, *spec.shape[axis:]):
        raise ValueError(
            f"the past has the shape {list(past.shape)}, and data of the model {['N', *spec.shape]}"
        )
    if not 1 <= known < spec.times:
        raise ValueError(
            f"the past has {known} times on axis {axis}; the model has {spec.times}, so it can be "
            f"1 to {spec.times - 1}"
        )
    after = [(0, spec.times - known if i == axis else 0) for i in range(past.ndim)]
    mask = spec.past(np.array([known]))[0]
    return complete(model, np.pad(past, after), mask, count, **options)


def complete(
    model: ArrayModel,
    rows: np.ndarray,
    known: np.ndarray,
    count: int,
    *,
    seed: int = 0,
    sampler: str = SAMPLER,
    steps: int = STEPS,
) -> np.ndarray:
    """Completes rows of which some numbers are known (inpainting); these stay, to the bit.

    After each row of the sampler's table the known numbers are put back at the same noise level
    (Lugmayr et al. 2022, "RePaint", equation 8). A network that was trained with `arrays.told` is
    told them as well; it has learnt beginnings, and no other masks.

    Args:
      model: as `read_arrays` gives it.
      rows: [N, *shape] in the units of the data, finite where known.
      known: [*shape] or [N, *shape] bool.
      count: of completions of each row.
      seed: 0 to 2^32 - 1.
      sampler: a name of `jaxsd.schedulers.SAMPLERS`.
      steps: of the sampler.

    Returns:
      [count, N, *shape] float32.

    Raises:
      ValueError: shapes that do not fit, known numbers that are not finite, no such sampler, or
        steps that it does not take.
    """
    spec, rows = model.spec, np.asarray(rows, np.float32)
    if rows.shape[1:] != spec.shape or np.shape(known) not in (spec.shape, rows.shape):
        raise ValueError(
            f"rows have the shape {list(rows.shape)} and known {list(np.shape(known))}; the model "
            f"has rows {['N', *spec.shape]}, and known may be of one or of all"
        )
    mask = np.broadcast_to(np.asarray(known, bool), rows.shape)
    if not np.isfinite(rows[mask]).all():
        raise ValueError("rows have known numbers that are not finite")
    seen = spec.standardised(np.where(mask, rows, np.float32(spec.mean)))
    told = mask.astype(np.float32).reshape(seen.shape)
    several = (np.tile(array, (count, 1, 1, 1)) for array in (seen, told))
    drawn = spec.restored(_drawn(model, *several, seed, sampler, steps))
    return np.where(mask[None], rows[None], drawn.reshape(count, *rows.shape))


def _drawn(
    model: ArrayModel, known: np.ndarray, mask: np.ndarray, seed: int, sampler: str, steps: int
) -> np.ndarray:
    """Standardised rows like `known` [B, h, w, C], of which `mask` is fixed."""
    spec = model.spec
    table = build(sampler, spec.schedule, steps, spec.prediction)
    unet, key, drawn = network_of(spec), jax.random.key(seed), []
    together = min(TOGETHER, len(known))
    for first in range(0, len(known), together):
        numbers = np.minimum(np.arange(first, first + together), len(known) - 1)
        keys = jax.vmap(partial(jax.random.fold_in, key))(numbers)
        rows = completed(unet, model.params, table, known[numbers], mask[numbers], keys)
        drawn.append(np.asarray(rows)[: len(known) - first])
    return np.concatenate(drawn)


@partial(jax.jit, static_argnames="unet")
def completed(
    unet: UNet, params: Params, table: Tableau, known: Array, mask: Array, keys: Array
) -> Array:
    """Draws rows [B, h, w, C] of which the numbers under the mask are known.

    The last noise level of most schedules still has some signal. A drawing that begins with noise
    alone lacks it, and is drawn towards the mean of all data (Lin et al. 2023, section 3.1): a bias
    of forecasts. Here the signal is the network's own first estimate, for one more call.

    Args:
      unet: as `network_of` makes it.
      params: its weights.
      table: of the sampler.
      known: [B, h, w, C] standardised, 0 where not known.
      mask: [B, h, w, C] float32, 1 where known.
      keys: [B] typed keys of the rows' noise.
    """
    noise = jax.vmap(lambda key: jax.random.normal(key, known.shape[1:]))(keys)

    def at(level: Array) -> Array:
        """The known rows at noise levels [B, 2]."""
        return per_image(level[:, 0], known) + per_image(level[:, 1], noise)

    def fixed(z: Array, step: Step) -> Array:
        return mask * at(step.row.next_level) + (1 - mask) * z

    def first(x0: Array) -> Array:
        """The first sample for an estimate of x0."""
        x0 = mask * known + (1 - mask) * x0
        return table.alpha[0] * x0 + table.sigma[0] * noise

    network = partial(predicted, unet, params, known=known, mask=mask)
    z = first(jnp.zeros_like(known))
    x0 = table.c_skip[0] * z + table.c_out[0] * network(table.c_in[0] * z, table.timestep[0])
    # `sample` multiplies what it is given by the weight of noise.
    return sample(table, network, first(x0) / table.start[1], keys, on_sample=fixed)
