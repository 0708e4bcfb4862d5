"""What `jaxsd bulk` draws with: a pipeline, its programs compiled ahead, the files it makes."""

import argparse
import hashlib
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxsd
from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.plan import Kind, Program, Unit, programs
from jaxsd.bulk.rows import Row, TableauOf
from jaxsd.bulk.run import Host
from jaxsd.cli.generate import model_hash as file_hash
from jaxsd.cli.hosts import join_hosts
from jaxsd.convert.stored_model import StoredModel
from jaxsd.executables import compiler_options
from jaxsd.images import Recipe, png_bytes, webp_bytes
from jaxsd.parallel import images_per_step, mesh_of
from jaxsd.pipeline import Order, Pipeline, load, ordered
from jaxsd.requests import image_keys
from jaxsd.sampling.program import Drawing, initial_noise
from jaxsd.sampling.program import draw as draw_program

ENCODERS = {"png": png_bytes, "webp": webp_bytes}


def joined(args: argparse.Namespace) -> tuple[int, int]:
    """Number of this host, and of all; joins JAX's own runtime where there are several.

    Hosts draw on their own devices and pass nothing to each other, so one that ends long before
    the others is no error.
    """
    join_hosts(args, patience=7 * 24 * 3600)
    return jax.process_index(), jax.process_count()


def weights_hash(model: StoredModel) -> str:
    """sha256 of a model's parameters as stored, whatever files they lie in."""
    digest = hashlib.sha256()
    for part, tree in sorted(model.tensors.items()):
        for path, tensor in sorted(tree.items()):
            digest.update(f"{part}/{path} {tensor.shape} {tensor.dtype}\n".encode())
            digest.update(np.ascontiguousarray(tensor.read()).view(np.uint8).data)
    return digest.hexdigest()


class Artist:
    """Draws rows on all devices of this host."""

    def __init__(self, config: BulkConfig, tableau_of: TableauOf, model_hash: str) -> None:
        self.config, self.tableau_of, self.model_hash = config, tableau_of, model_hash
        self.mesh = mesh_of(config.mesh, jax.local_devices())
        self.devices = images_per_step(self.mesh)
        self._file_hash = file_hash(Path(config.model))
        self._compiled: dict[tuple[str, Program], Any] = {}

    def prepare(self, units: Sequence[Unit]) -> float:
        """Loads the model, and compiles what units need; seconds that the compiling took."""
        config = self.config
        self.pipe = load(
            config.model,
            config.dtype,
            config.prediction or None,
            self.mesh,
            taesd=config.taesd or None,
        )
        began = time.perf_counter()
        for program in programs(units):
            unit = next(unit for unit in units if unit.kind.program == program)
            rows = [unit.rows[0]] * (config.batch_size * self.devices)
            self._program(self.pipe, unit.kind, self._order(self.pipe, unit.kind, rows))
        return time.perf_counter() - began

    def host(self, stop: Callable[[], bool], committed: Callable[[int], None]) -> Host:
        """What `jaxsd.bulk.run` is told of this host."""
        again = None if self.config.dtype == "float32" else partial(self._draw, "float32")
        return Host(
            draw=partial(self._draw, self.config.dtype),
            draw_again=again,
            describe=self.describe,
            encode=self.encode,
            batch_size=self.config.batch_size,
            devices=self.devices,
            threads=os.cpu_count() or 1,
            stop=stop,
            committed=committed,
        )

    def describe(self, row: Row) -> dict[str, Any]:
        """All that the image of a row depends on."""
        config, settings = self.config, asdict(row)
        if cut := max(self.pipe.tokenizers[0].cut([row.prompt])):
            settings["tokens_cut"] = cut
        return settings | {
            "model": config.model,
            "model_hash": self.model_hash,
            "dtype": config.dtype,
            "batch_size": config.batch_size,
            "guidance_interval": config.guidance_interval,
            "reuse": config.reuse,
            "taesd": config.taesd,
            "version": jaxsd.__version__,
        }

    def encode(self, row: Row, picture: np.ndarray) -> bytes:
        """The picture file, with the recipe in it."""
        config = self.config
        settings = {name: value for name, value in asdict(row).items() if name != "id"}
        recipe = Recipe(
            **settings,
            model=config.model,
            dtype=config.dtype,
            version=jaxsd.__version__,
            model_hash=self._file_hash,
            guidance_from=config.guidance_interval[0],
            guidance_to=config.guidance_interval[1],
            reuse=config.reuse,
            taesd=config.taesd,
        )
        return ENCODERS[config.picture](picture, recipe)

    def _draw(self, dtype: str, kind: Kind, rows: Sequence[Row]) -> Drawing:
        pipe = replace(self.pipe, dtype=dtype)
        order = self._order(pipe, kind, rows)
        return self._program(pipe, kind, order)(**order.for_draw(pipe.params)[1])

    def _order(self, pipe: Pipeline, kind: Kind, rows: Sequence[Row]) -> Order:
        vae, program = pipe.spec.vae, kind.program
        keys = image_keys([row.seed for row in rows], self.mesh)
        sides = (program.height // vae.downscale, program.width // vae.downscale)
        noise = initial_noise(keys, (*sides, vae.latent_channels))
        scales = np.array([row.guidance_scale for row in rows], np.float32)
        negatives = [row.negative_prompt for row in rows] if program.guided else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of prompts that are cut the manifest tells
            request = pipe.request(negatives, [row.prompt for row in rows], scales, noise, keys)
        return ordered(
            self.tableau_of(kind.sampler, kind.steps),
            request,
            guided=program.guided,
            guidance_interval=self.config.guidance_interval,
            reuse=self.config.reuse,
        )

    def _program(self, pipe: Pipeline, kind: Kind, order: Order) -> Any:
        """The compiled program of a kind; a sampler with as many calls has the same."""
        key = (pipe.dtype, kind.program)
        if key not in self._compiled:
            static, arrays = order.for_draw(pipe.params)
            lowered = draw_program.lower(networks=pipe.networks, **static, **arrays)
            self._compiled[key] = lowered.compile(compiler_options())
        return self._compiled[key]
