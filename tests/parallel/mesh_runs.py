"""Draws the same eight pictures on meshes of eight devices; prints what came of it as JSON.

With a second argument, "int8", kernels have 8 bits, and only the pictures are kept.
"""

import json
import re
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec
from tiny_models import pipeline_params
from tiny_pipelines import SMALL, SMALLEST, LetterTokenizer

from jaxsd.config import ModelSpec
from jaxsd.executables import Executables
from jaxsd.nn import int8
from jaxsd.nn.plain_attention import plain_attention
from jaxsd.nn.shared_kernel import IMAGES, PARTS, shared_kernel
from jaxsd.parallel import mesh_of, placing
from jaxsd.parallel.sharing import path_name
from jaxsd.pipeline import Pipeline
from jaxsd.pipeline.loading import placed_as_int8

MESHES = {"one": (1, 1, 1), "data": (8, 1, 1), "fsdp": (1, 8, 1), "all": (2, 2, 2)}
COLLECTIVE = r"\b(all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter)\w*\("


def pipeline_on(
    shape: tuple[int, ...], first: int = 0, spec: ModelSpec = SMALLEST, *, packs: bool = False
) -> Pipeline:
    mesh = mesh_of(shape, jax.devices()[first : first + int(np.prod(shape))])
    place = partial(placed_as_int8, placing(mesh)) if packs else placing(mesh)
    params = jax.tree_util.tree_map_with_path(
        lambda path, array: place(path_name(path), array), pipeline_params(spec)
    )
    tokenizers = tuple(LetterTokenizer(text) for text in spec.text)
    return Pipeline(spec, params, tokenizers, mesh=mesh)


def run(shape: tuple[int, ...], folder: str, *, packs: bool = False) -> dict[str, object]:
    programs = Executables()
    pipe = replace(pipeline_on(shape, spec=SMALL, packs=packs), programs=programs)
    drawing = pipe.draw(
        [f"picture {i}" for i in range(8)],
        "a dog",
        seed=[4, 5, 6, 7, 10, 11, 12, 13],
        sampler="euler_a",
        steps=3,
        height=8,
        width=8,
    )
    *_, compiled = programs._ready.values()  # after that of the noise
    text = compiled.as_text()
    np.save(f"{folder}/{'-'.join(map(str, shape))}.npy", drawing.latents)
    return {
        "collectives": sorted(set(re.findall(COLLECTIVE, text))),
        "largest_batch": max(map(int, re.findall(r"f32\[(\d+),4,4,4\]", text))),
        "images": [list(shard.data.shape) for shard in drawing.images.addressable_shards],
        "bytes": {
            part: sum(leaf.addressable_shards[0].data.nbytes for leaf in jax.tree.leaves(tree))
            for part, tree in pipe.params.items()
        },
    }


def too_few(shape: tuple[int, ...]) -> np.ndarray:
    """Latents of fewer pictures than devices, of which some steps use deep features again."""
    prompts, options = ["a cat", "a dog", "a hat"], {"steps": 3, "height": 8, "width": 8}
    return np.asarray(pipeline_on(shape).draw(prompts, "a dog", reuse=2, **options).latents)


def beside_each_other(folder: str) -> list[list[int]]:
    """The devices of drawings of pipelines that share a folder of programs, and then a process."""
    alone = replace(pipeline_on((1, 1, 1)), mesh=None)
    pipes = [pipeline_on((2, 1, 1), first) for first in (0, 2)] + [
        replace(alone, params=jax.device_put(alone.params, jax.devices()[at])) for at in (4, 5)
    ]
    found, images = [], []
    for programs in [Executables(Path(folder) / "programs") for _ in pipes] + [Executables()] * 4:
        pipe = replace(pipes[len(found) % 4], programs=programs)
        drawing = pipe.draw(["a cat"] * 2, seed=3, steps=2, height=8, width=8)
        found.append(sorted(device.id for device in drawing.images.devices()))
        images.append(np.asarray(drawing.images))
    for image in images:
        np.testing.assert_allclose(image, images[0], atol=1e-4)
    return found


def shared_attention() -> dict[str, object]:
    """Attention as a kernel that devices share, as XLA splits a program, beside one device's."""
    mesh, split = mesh_of((2, 2, 2)), (IMAGES, None, PARTS, None)
    form = shared_kernel(plain_attention, (split,) * 3, split)
    qkv = np.random.default_rng(0).normal(size=(3, 4, 6, 4, 8)).astype(np.float32)

    def program(qkv: jax.Array) -> jax.Array:
        with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
            return form(*qkv)

    lies = PartitionSpec(None, ("data", "fsdp"), None, "tensor")
    placed = jax.device_put(qkv, NamedSharding(mesh, lies))
    compiled = jax.jit(program).lower(placed).compile()
    out = compiled(placed)
    return {
        "error": float(np.abs(out - plain_attention(*qkv)).max()),
        "share": list(out.addressable_shards[0].data.shape),
        "collectives": re.findall(COLLECTIVE, compiled.as_text()),
    }


if __name__ == "__main__":
    if sys.argv[2:] == ["int8"]:
        int8.LEAST_NUMBERS = 1
        print(json.dumps([run(shape, sys.argv[1], packs=True) for shape in MESHES.values()]))
        sys.exit()
    found = {name: run(shape, sys.argv[1]) for name, shape in MESHES.items()}
    few = {"-".join(map(str, shape)): too_few(shape) for shape in ((1, 1, 1), (4, 2, 1))}
    np.savez(f"{sys.argv[1]}/few.npz", **few)
    found |= {"beside": beside_each_other(sys.argv[1]), "attention": shared_attention()}
    print(json.dumps(found))
