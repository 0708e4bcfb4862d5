"""The programs of a training step for any devices, from shapes alone."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding

from jaxsd.config import ModelSpec
from jaxsd.nn.processor import traced_for
from jaxsd.parallel import EVERYWHERE, IMAGES_SECOND, bytes_on_a_device
from jaxsd.training.cached import is_cache
from jaxsd.training.captioned import sizes_of
from jaxsd.training.config import TrainConfig
from jaxsd.training.diffusion import Batch, diffusion_loss
from jaxsd.training.exports import Model
from jaxsd.training.finetune import finetune_over, lora_over, trained_spec
from jaxsd.training.loop import Task, refuse_unequal, shardings
from jaxsd.training.optimizer import optimizer
from jaxsd.training.step import initial_state, step_programs
from jaxsd.types import Params

TASKS: dict[str, Callable[[TrainConfig, Model], Task]] = {
    "finetune": finetune_over,
    "lora": partial(lora_over, loss=diffusion_loss),
}
"""Tasks that need nothing of a model but its shapes."""


class Shape(jax.ShapeDtypeStruct):
    """A parameter without its numbers; tasks ask for another dtype as they do of an array."""

    def astype(self, dtype: str) -> "Shape":
        """The same shape in another dtype."""
        return Shape(self.shape, jnp.dtype(dtype))


def check_lowered(config: TrainConfig) -> None:
    """Refuses runs whose step follows from more than the shapes of a model and of pictures.

    Raises:
      ValueError: a task that is not of `TASKS`, no model, or latents as data.
    """
    if config.task not in TASKS:
        raise ValueError(f"task {config.task!r} needs more than shapes; take {' or '.join(TASKS)}")
    if not config.model:
        raise ValueError(f"task {config.task!r} starts from a model: set model to a folder or file")
    if is_cache(config.data):
        raise ValueError(f"{config.data} holds latents; set data to a folder of pictures")


def lowered(
    config: TrainConfig, spec: ModelSpec, params: Params, mesh: Mesh
) -> Iterator[tuple[str, jax.stages.Lowered, int]]:
    """The programs of a step on square pictures, which `make_step` runs one after the other.

    Args:
      config: of a run that `check_lowered` lets through; its data are not read.
      spec: of the model that training starts from.
      params: its parameters, or their shapes.
      mesh: of devices that need not be here.

    Yields:
      "gradient" of a batch; "add" where an update takes several; "update". With each, the bytes
      that lie on a device while it runs: the state, what is frozen, batches, and gradients that
      are there already.

    Raises:
      ValueError: a model that cannot be trained, or a batch that cannot be split over the mesh.
    """
    refuse_unequal(config.batch_size, mesh)
    spec = trained_spec(config, spec)
    shapes = jax.tree.map(lambda leaf: Shape(leaf.shape, jnp.float32), params)
    task, rule = TASKS[config.task](config, Model(spec, shapes, ())), optimizer(config)

    state = jax.eval_shape(partial(initial_state, optimizer=rule), task.start(jax.random.key(0)))
    places, everywhere = shardings(state, mesh), NamedSharding(mesh, EVERYWHERE)
    state, frozen = _placed(state, places), _placed(task.frozen, shardings(task.frozen, mesh))
    batches = _at(NamedSharding(mesh, IMAGES_SECOND), batch_shapes(config, spec))
    key = _at(everywhere, jax.eval_shape(lambda: jax.random.key(config.seed)))
    held = bytes_on_a_device((state, frozen, batches))

    programs = step_programs(task.loss, rule, config.ema_decay, places)
    program = _traced(mesh, programs.gradient, state.params, frozen, batches, key, state.step, 0)
    gradient, metrics = program.out_info
    sums = _placed(gradient, places.params), _at(everywhere, metrics)
    each, several = bytes_on_a_device(sums), config.accumulate > 1
    yield "gradient", _lowered(program, mesh), held + each * several
    if several:
        yield "add", _lowered(_traced(mesh, programs.add, sums, sums), mesh), held + 2 * each
    program = _traced(mesh, programs.update, state, sums, config.accumulate)
    yield "update", _lowered(program, mesh), held + each


def batch_shapes(config: TrainConfig, spec: ModelSpec) -> Batch:
    """Shapes of the batches of a step, [A, B, ...], of pictures that are all square."""
    (sides,) = sizes_of(replace(config, max_aspect=1.0), spec)

    def array(*shape: int, dtype: str = "float32") -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((config.accumulate, config.batch_size, *shape), dtype)

    added = spec.unet.added
    return Batch(
        array(*sides, 3, dtype="uint8"),
        tuple(array(text.max_length, dtype="int32") for text in spec.text),
        keep=array(),
        time_ids=None if added is None else array(added.time_ids),
        weight=array(),
    )


def _traced(mesh: Mesh, program: Any, *arguments: Any) -> jax.stages.Traced:
    with traced_for(mesh.devices.flat[0].platform):
        return program.trace(*arguments)


def _lowered(program: jax.stages.Traced, mesh: Mesh) -> jax.stages.Lowered:
    return program.lower(lowering_platforms=(mesh.devices.flat[0].platform,))


def _at(sharding: NamedSharding, tree: Any) -> Any:
    return _placed(tree, jax.tree.map(lambda leaf: sharding, tree))


def _placed(tree: Any, places: Any) -> Any:
    return jax.tree.map(
        lambda leaf, place: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place),
        tree,
        places,
    )
