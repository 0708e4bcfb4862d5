"""Programs for devices that are not here, which a CPU can compile.

XLA needs the description of a device to compile for it, not the device (`jax.experimental.
topologies`). TPUs come with the package libtpu.
"""

import importlib.util
import os
import re
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxsd.benchmark.compiled import CHIPS, facts, largest_batch, table
from jaxsd.benchmark.jobs import PROGRAMS
from jaxsd.config import ModelSpec
from jaxsd.convert.files.tensors import nested
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.parameters import parameters
from jaxsd.memory import check_drawing
from jaxsd.nn.processor import traced_for
from jaxsd.parallel import IMAGES, IMAGES_SECOND, bytes_on_a_device, images_per_step, mesh_of
from jaxsd.parallel.rules import param_sharding
from jaxsd.parallel.sharing import path_name
from jaxsd.pipeline import Order, Pipeline
from jaxsd.sampling.program import decode, denoise, encode
from jaxsd.settings import Settings
from jaxsd.text import clip_tokenizer
from jaxsd.types import Params

NO_TPU_HERE = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
"""Answers what libtpu asks about this machine, and then complains about. Several processes may
compile at a time, since none takes a TPU.
"""

NOT_KEPT = (
    "No program was kept: one for chips that are not here cannot be loaded here, so it could not "
    "be checked. On the chips, jaxsd compile without --for keeps them."
)


def chip_of(target: str) -> str:
    """The chip of a topology such as `v5e:2x2`.

    Raises:
      ValueError: it is not known, or there are no sides behind it.
    """
    chip, _, sides = target.partition(":")
    if chip not in CHIPS or not re.fullmatch(r"[1-9]\d?(x[1-9]\d?){1,2}", sides):
        known = f"{', '.join(CHIPS)} and sides: v5e:2x2; or a GPU: h100:1"
        raise ValueError(f"{target!r} is no topology: give a chip of {known}")
    return chip


def devices_of(target: str) -> Sequence[jax.Device]:
    """The devices of a topology such as `v5e:2x2`, as far as a compiler needs them.

    Raises:
      ValueError: there is no such topology, or libtpu is not installed.
    """
    chip_of(target)
    if importlib.util.find_spec("libtpu") is None:
        raise ValueError(f"programs for {target} need libtpu: pip install 'jaxsd[tpu]'")
    for name, value in NO_TPU_HERE.items():
        os.environ.setdefault(name, value)
    try:
        return topologies.get_topology_desc(platform="tpu", topology_name=target).devices
    except Exception as error:  # libtpu raises what it likes
        reason = str(error).partition("\n")[0]
        raise ValueError(f"there is no topology {target}: {reason}") from error


def shapes_only(spec: ModelSpec, dtype: str) -> Pipeline:
    """A pipeline with shapes instead of weights, and CLIP's words."""

    def tree(shapes: Shapes) -> Params:
        return nested((path, jax.ShapeDtypeStruct(shapes[path], dtype)) for path in shapes)

    parts = {part: tree(shapes) for part, shapes in parameters(spec).items()}
    text = [parts.pop(f"text_{k}") for k in range(len(spec.text))]
    tokenizers = tuple(clip_tokenizer(config) for config in spec.text)
    return Pipeline(spec, parts | {"text": text}, tokenizers, dtype)


def reports(
    target: str,
    shape: Sequence[int],
    pipe: Pipeline,
    wanted: Sequence[tuple[Settings, int]],
    programs: Collection[str] = PROGRAMS,
) -> Iterator[str]:
    """Compiles the programs of drawings; a table in Markdown for each, then what fits.

    A chip is taken to hold the weights of all networks while any program runs.

    Args:
      target: a topology.
      shape: of its mesh, as for `mesh_of`.
      pipe: with weights or with their shapes.
      wanted: settings, without pictures, and the images of a device.
      programs: of `PROGRAMS`, those that are compiled.

    Raises:
      ValueError: no such topology, a mesh that does not fit it, or images that do not fit a chip.
    """
    mesh, chip = mesh_of(shape, devices_of(target)), CHIPS[chip_of(target)]
    weights = bytes_on_a_device(placed(pipe, mesh))
    memory: dict[tuple[int, int], dict[int, int]] = {}
    for settings, count in wanted:
        images = count * images_per_step(mesh)
        check_drawing(settings, pipe.spec, count, count, chip.memory)
        order = order_of(pipe, settings, images)
        found = [
            facts(name, program, weights) for name, program in lowered(pipe, order, mesh, programs)
        ]
        height, width = settings.drawn_size
        needed = memory.setdefault((width, height), {})
        needed[count] = max(one.memory for one in found)
        yield (
            f"{width}x{height}, {count} on each of {mesh.size} {target.partition(':')[0]}, "
            f"mesh {dict(mesh.shape)}\n\n{table(found, chip)}\n"
        )
        if len(needed) > 1:
            yield (
                f"{width}x{height}: {largest_batch(needed, chip.memory)} on each fit, by the "
                f"straight line through the memory of both batches of {', '.join(programs)}\n"
            )
    yield NOT_KEPT


def order_of(pipe: Pipeline, settings: Settings, images: int) -> Order:
    """Shapes of the order of so many equal images, more of which need not fit into memory here."""
    if settings.motion:  # frames of a clip are not one like the other
        return pipe.order([settings] * images, batch=images)

    def of_all(tree: Any, axis: int) -> Any:
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(
                (*leaf.shape[:axis], images, *leaf.shape[axis + 1 :]), leaf.dtype
            ),
            tree,
        )

    one = pipe.order([settings], batch=1)
    return one._replace(given=of_all(one.given, 0), runs=of_all(one.runs, 1))


def placed(pipe: Pipeline, mesh: Mesh) -> Params:
    """The shapes of a pipeline's parameters, and where they lie on a mesh."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=param_sharding(path_name(path), leaf.shape, mesh)
        ),
        pipe.params,
    )


def lowered(
    pipe: Pipeline, order: Order, mesh: Mesh, programs: Collection[str] = PROGRAMS
) -> Iterator[tuple[str, jax.stages.Lowered]]:
    """`encode`, `denoise` with all rows of each run, and `decode`, for the devices of a mesh.

    Args:
      pipe: with weights or with their shapes.
      order: from the pipeline, which has no mesh. Its batch is that of all devices together.
      mesh: of `devices_of`.
      programs: of `PROGRAMS`, those that are lowered.
    """
    platform = mesh.devices.flat[0].platform.replace("gpu", "cuda")

    def at(spec: PartitionSpec, tree: Any) -> Any:
        sharding = NamedSharding(mesh, spec)
        return jax.tree.map(
            lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), tree
        )

    def lower(function: Any, *arguments: Any) -> jax.stages.Lowered:
        with traced_for(platform):
            return function.trace(networks, *arguments).lower(lowering_platforms=(platform,))

    networks, params = pipe.networks._replace(mesh=mesh), placed(pipe, mesh)
    given = at(IMAGES, order.given)
    if "encode" in programs:
        yield "encode", lower(encode, params, given)
    if "denoise" in programs:
        with traced_for(platform):
            begun = jax.eval_shape(partial(encode, networks), params, given)
        conditions, state = at(IMAGES, begun)
        state = state._replace(memory={})
        for run in order.runs:
            steps = at(IMAGES_SECOND, run)
            yield "denoise", lower(denoise, params, steps, conditions, state, given.keys)
    if "decode" in programs:
        yield "decode", lower(decode, {"vae": params["vae"]}, given.noise)
