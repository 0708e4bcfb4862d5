"""Draws the rows of a bulk run with a pipeline on the devices of this host."""

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxsd
from jaxsd.bulk.plan import Unit, first_units
from jaxsd.bulk.rows import Row
from jaxsd.bulk.run import Ready, filled
from jaxsd.bulk.work import Work
from jaxsd.canvases import Pictures, masks_of, pictures_alone, read_pictures
from jaxsd.executables import Executables
from jaxsd.images import ENCODERS
from jaxsd.images.faces import ENDING as FACE
from jaxsd.outputs import adapter_hashes, model_hash
from jaxsd.parallel import images_per_step, mesh_of
from jaxsd.pipeline import check_adapters, load, with_beside
from jaxsd.provenance import MADE, MADE_OF
from jaxsd.safety import open_checker
from jaxsd.sampling.program import Drawing
from jaxsd.settings import Recipe, Settings, without_tags
from jaxsd.webui import as_json, texts_of

PICTURES_KEPT = 32
"""Rows whose pictures stay in memory, for later rows that name the same pictures."""


class PipelineArtist:
    """Draws rows on all devices of this host.

    Attributes:
      batch_size: rows for each device.
      devices: number of devices that take their own rows.
    """

    def __init__(self, work: Work, weights: str, programs: Executables) -> None:
        """Reads nothing yet.

        Args:
          work: what to draw.
          weights: hash of the model's weights.
          programs: keeps compiled programs.
        """
        self.config, self.weights, self.programs = work.config, weights, programs
        self.batch_size = self.config.batch_size
        mesh = mesh_of(self.config.mesh, jax.local_devices())
        self.devices = images_per_step(mesh)
        # One device runs the programs that `jaxsd compile` makes, which have no mesh.
        self.mesh = None if mesh.size == 1 else mesh
        self._file_hash = model_hash(Path(self.config.model))
        self._rows, self._spec, self._signer = work.rows, work.model.spec, work.signer
        place = self.config.safety_checker
        self._checker = open_checker(place) if place else None
        self._read = lru_cache(PICTURES_KEPT)(self._pictures)

    def prepare(self, units: Sequence[Unit]) -> float:
        """Loads the model and compiles what units need; returns the seconds of compiling."""
        config = self.config
        check_adapters([row.settings for unit in units for row in unit.rows], self._spec)
        pipe = load(
            config.model,
            config.dtype,
            mesh=self.mesh,
            programs=self.programs,
            taesd=config.taesd or None,
            **config.reading,
        )
        self.pipe = pipe = with_beside(pipe, (row.settings for row in self._rows))
        began = time.perf_counter()
        for unit in first_units(units):
            pipe.prepare(self.ready(filled(self, [unit])).order)
        return time.perf_counter() - began

    def ready(self, rows: Sequence[Row]) -> Ready:
        """An order of `batch_size` rows for each device, with their pictures; see `Artist`."""
        settings = [row.settings for row in rows]
        read = [self._read(pictures_alone(one)) for one in settings]
        pictures, hashes, errors = zip(*read, strict=True)
        order = self.pipe.order(settings, pictures=pictures, batch=len(rows))
        return Ready(order, hashes, errors)

    def begin(self, ready: Ready) -> Drawing:
        """Begins to draw, and does not wait."""
        return self.pipe.begin(ready.order)

    def again(self, ready: Ready) -> Drawing | None:
        """The same in float32; None if it was in float32 already."""
        if self.pipe.dtype == "float32":
            return None
        return replace(self.pipe, dtype="float32").begin(ready.order)

    def unfit(self, picture: np.ndarray) -> str:
        """Why a safety checker holds a picture back; empty where it does not."""
        reason = self._checker(picture).reason if self._checker else ""
        return reason and f"{self.config.safety_checker} finds {reason}"

    def describe(self, row: Row, hashes: dict[str, str]) -> dict[str, Any]:
        """Everything that the image of a row depends on."""
        said = {"id": row.id, **as_json(self._recipe(row, hashes)), "model_hash": self.weights}
        is_cut = row.settings.prompt_weights == "none" and self.pipe.tokenizers
        if is_cut and (
            cut := max(self.pipe.tokenizers[0].cut([without_tags(row.settings.prompt)[0]]))
        ):
            said["tokens_cut"] = cut
        return said | {"batch_size": self.batch_size}

    def encode(self, row: Row, hashes: dict[str, str], picture: np.ndarray) -> bytes:
        """The picture file, with the recipe in it, signed if there is a signer."""
        kind = self.config.picture
        packed = ENCODERS[kind](picture, texts_of(self._recipe(row, hashes)))
        if self._signer is None:
            return packed
        source = MADE_OF if row.settings.image else MADE
        return self._signer.signed(packed, f"{row.id}.{kind}", source)

    def _recipe(self, row: Row, hashes: dict[str, str]) -> Recipe:
        return Recipe(
            row.settings,
            model=self.config.model,
            dtype=self.config.dtype,
            version=jaxsd.__version__,
            model_hash=self._file_hash,
            taesd=self.config.taesd,
            pictures=hashes,
            reading=self.config.stated,
            adapters=adapter_hashes(row.settings),
        )

    def _pictures(self, named: Settings) -> tuple[Pictures, dict[str, str], str]:
        """Pictures, hashes and an error; with an error the pictures are black, and not kept."""
        try:
            return *read_pictures(named, Path(self.config.inputs)), ""
        except ValueError as error:
            black = np.zeros((64, 64, 3), np.uint8)
            image = black if named.image else None
            mask = black[..., 0] if named.mask else None
            depth = black[..., 0] if named.depth else None
            face = np.eye(1, 512, dtype=np.float32)[0]
            seen = (
                tuple(face if one.image.endswith(FACE) else black for one in each)
                for each in (named.control, named.ip_adapter)
            )
            masks = (
                (black[..., 0],) * len(each) for each in (named.ip_adapter_mask, masks_of(named))
            )
            reference = black if named.reference else None
            return Pictures(image, mask, *seen, depth, *masks, reference), {}, str(error)
