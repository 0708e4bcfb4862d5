"""Weights that are in files: which networks are in memory when, by a program that only looks."""

import gc
import weakref

import jax
import numpy as np
import pytest
from tiny_models import TINY, pipeline_params
from tiny_pipelines import LetterTokenizer

import jaxsd
from jaxsd.convert.files.tensors import in_memory as lazy
from jaxsd.executables import Executables
from jaxsd.parallel import placing
from jaxsd.parallel.sharing import path_name
from jaxsd.pipeline import Pipeline
from jaxsd.pipeline.drawing import finished, steps
from jaxsd.pipeline.stored import InFile, in_memory
from jaxsd.sampling.call import Conditions
from jaxsd.sampling.loop import State

SPEC = TINY["sd1"]


class Looking(Executables):
    """Runs nothing; writes down which networks a program was given, and which were there."""

    def __init__(self):
        super().__init__()
        self.seen, self.alive = [], {}

    def __call__(self, function, static, **arrays):
        if (params := arrays.get("params")) is None:
            return super().__call__(function, static, **arrays)
        gc.collect()
        leaves = {name: jax.tree.leaves(tree) for name, tree in params.items()}
        assert all(isinstance(one, jax.Array) for own in leaves.values() for one in own)
        self.alive |= {name: weakref.ref(own[0]) for name, own in leaves.items()}
        there = sorted(name for name, own in self.alive.items() if own() is not None)
        self.seen.append((function.__name__, sorted(params), there))
        latents = np.zeros((1, 8, 8, 4), np.float32)
        state = State(np.zeros((1, 2, 8, 8, 4)), np.zeros((1, 5, 8, 8, 4)), latents, {})
        return {
            "encode": (Conditions(latents, None, None, latents, {}), state),
            "denoise": (state, np.ones((1, 1), bool)),
            "decode": latents,
        }[function.__name__]


def stored(params, place=placing(None)):  # noqa: B008
    return jax.tree_util.tree_map_with_path(
        lambda path, array: InFile(lazy(array), path_name(path), place), params
    )


def test_each_network_is_in_memory_only_while_it_runs():
    run = Looking()
    tokenizers = tuple(map(LetterTokenizer, SPEC.text))
    params = stored(pipeline_params(SPEC))
    pipe = Pipeline(SPEC, params, tokenizers, programs=run)
    order = pipe.order("a", steps=2, height=64, width=64)
    programs = pipe._programs(order)
    assert programs.in_files
    *_, last = steps(programs, order)
    finished(programs, last, [last.finite])
    assert run.seen == [
        ("encode", ["text"], ["text"]),
        ("denoise", ["unet"], ["unet"]),
        ("denoise", ["unet"], ["unet"]),
        ("decode", ["vae"], ["vae"]),
    ]


def test_what_is_read_is_what_is_in_the_file():
    kernel = np.arange(6, dtype=np.float16).reshape(2, 3)
    params = {"unet": {"a": {"kernel": kernel}}, "text": [{"b": kernel + 1}]}
    waited = []
    there = in_memory(stored(params), lambda: waited.append(1))
    assert len(waited) == 2  # before each
    jax.tree.map(np.testing.assert_array_equal, there, params)
    assert in_memory(there) is there
    doubled = jax.tree.map(lambda one: one.changed(lambda path, own: 2 * own), stored(params))
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, 2 * b), in_memory(doubled), params)
    np.testing.assert_array_equal(doubled["text"][0]["b"], kernel + 1)  # the file's own


@pytest.mark.release
def test_the_built_in_model_draws_the_same_to_the_bit():
    pictures = {}
    options = {"steps": 3, "progress": lambda row, rows: None}
    for dtype in ("float32", "int8"):
        for low in (False, True):
            pipe = jaxsd.load("emoji", dtype, low_memory=low)
            drawing = pipe.draw("a red apple", **options)
            pictures[dtype, low] = np.asarray(drawing.images)
        np.testing.assert_array_equal(pictures[dtype, False], pictures[dtype, True])
    error = pictures["int8", False] - pictures["float32", False]
    assert 10 * np.log10(4 / np.mean(np.square(error))) > 40
