"""Text to image: `load` a model, then ask it for pictures."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxsd.config import ModelSpec
from jaxsd.convert import open_model
from jaxsd.convert.tensors import dtype_named
from jaxsd.executables import IN_MEMORY, Executables
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.parallel import own_share, place_param, share
from jaxsd.requests import (
    as_list,
    checked_noise,
    guided_rows,
    image_keys,
    initial_noise,
    per_image,
)
from jaxsd.sampling import first_non_finite, rows
from jaxsd.sampling.program import (
    DRAWING,
    Drawing,
    Networks,
    Request,
    draw,
    finish,
    go_on,
    start,
)
from jaxsd.schedulers import NoiseSchedule, Tableau, build
from jaxsd.text import Tokenizer
from jaxsd.types import Array, Params, Prediction

Progress = Callable[[int, int], None]
"""(rows done, rows in all)."""


@dataclass(frozen=True)
class Pipeline:
    """A model, ready to draw.

    Attributes:
      params: `{"unet": tree, "vae": tree, "text": [tree, ...]}` on the device.
      tokenizers: one per text encoder.
      dtype: what the networks compute in.
      mesh: the devices, over `jaxsd.parallel.MESH_AXES`, that share the images and the weights;
        None for JAX's default device. On several hosts each asks for its own images, as many as
        the others, and is given those.
      programs: runs the programs of `jaxsd.sampling.program`, and may keep them on disk.
    """

    spec: ModelSpec
    params: Params
    tokenizers: tuple[Tokenizer, ...]
    dtype: str = "float32"
    mesh: Mesh | None = None
    programs: Executables = IN_MEMORY

    @property
    def networks(self) -> Networks:
        """The networks as functions of parameters."""
        dtype, spec = jnp.dtype(self.dtype), self.spec
        encoders = tuple(TextEncoder(config, dtype) for config in spec.text)
        return Networks(UNet(spec.unet, dtype), VAE(spec.vae, dtype), encoders, self.mesh)

    def text_to_image(self, prompt: str | Sequence[str], **options: Any) -> np.ndarray:
        """Draws pictures.

        Args:
          prompt: a text, or several. Image i of `num_images` for each.
          **options: see `draw`.

        Returns:
          uint8 [B, H, W, 3], the images of the first prompt first.
        """
        images = np.asarray(self.draw(prompt, **options).images)
        return np.round((images.clip(-1, 1) + 1) * 127.5).astype(np.uint8)

    def draw(
        self,
        prompt: str | Sequence[str],
        negative_prompt: str | Sequence[str] = "",
        *,
        steps: int = 20,
        guidance_scale: float | Sequence[float] | None = None,
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        sampler: str = "ddim",
        seed: int | Sequence[int] = 0,
        num_images: int = 1,
        height: int | None = None,
        width: int | None = None,
        latents: Array | None = None,
        progress: Progress | None = None,
        **sampler_options: Any,
    ) -> Drawing:
        """Draws pictures and gives them unrounded, with their latents.

        Image i of a call with seed s has seed s + i, and depends on its own prompt, settings and
        seed alone: it can be made again by itself.

        Args:
          prompt: a text, or several.
          negative_prompt: what guidance leads away from; one, or one per image.
          steps: network calls, but for samplers with more than one a step.
          guidance_scale: one, or one per image; 1 means none. None is what suits the model.
          guidance_interval: from where to where on the way from noise (0) to picture (1) there is
            guidance (Kynkaanniemi et al. 2024); a row without it takes half the time. Anything but
            (0, 1) gives other pictures.
          sampler: a name of `jaxsd.schedulers.SAMPLERS` or an alias.
          seed: 0 to 2**32 - 1; of the first image, or one per image.
          num_images: images per prompt.
          height: in pixels, a multiple of 8; None is what suits the model.
          width: likewise.
          latents: [B, h, w, c] float32 noise of unit variance in place of the seeds'.
          progress: called after every row with (done, all). The work is then three programs in
            place of one; the result is the same to rounding.
          **sampler_options: `eta`, `spacing`, `sigmas`, ...: see `jaxsd.schedulers.build`.

        Raises:
          ValueError: one line, for anything that does not fit.
          FloatingPointError: the latents or the image were not finite; names the step.
        """
        schedule = NoiseSchedule.from_config(self.spec.schedule)
        tableau = build(sampler, schedule, steps, self.spec.prediction, **sampler_options)
        prompts = [text for text in as_list(prompt) for _ in range(num_images)]
        if not prompts:
            raise ValueError(f"no images: num_images is {num_images} and prompts are {prompt!r}")
        count = len(prompts)
        scale = self.spec.guidance_scale if guidance_scale is None else guidance_scale
        scales = np.asarray(per_image("guidance_scale", scale, count), np.float32)
        seeds = (
            per_image("seed", seed, count)
            if not np.isscalar(seed)
            else range(int(seed), int(seed) + count)
        )
        keys = image_keys(seeds, self.mesh)
        shape = self._latent_shape(count, height, width)
        if latents is None:
            noise = initial_noise(keys, shape)
        else:
            noise = checked_noise(latents, shape, self.mesh)
        guided = self.spec.unet.guidance_dim is None and bool((scales != 1).any())
        negatives = per_image("negative_prompt", negative_prompt, count) if guided else []
        request = self.request(negatives, prompts, scales, noise, keys)
        interval = guided_rows(guidance_interval, tableau.rows) if guided else (0, 0)

        if progress is None:
            static = {"networks": self.networks, "guided": guided}
            if guided and interval != (0, tableau.rows):
                static["interval"] = interval
            arrays = {"params": self.params, "tableau": tableau, "request": request}
            drawing = self.programs(draw, static, **arrays)
        else:
            drawing = self._in_parts(tableau, request, interval, progress)
        drawing = drawing if self.mesh is None else own_share(drawing, DRAWING, self.mesh)
        self._check_finite(drawing)
        return drawing

    def request(
        self,
        negatives: Sequence[str],
        prompts: Sequence[str],
        scales: np.ndarray,
        noise: Array,
        keys: Array,
    ) -> Request:
        """What `draw` passes to the programs of `jaxsd.sampling.program`.

        Args:
          negatives: one text per image, or none where there is no guidance.
          prompts: one text per image.
          scales: [B] float32 guidance scales.
          noise: [B, h, w, c] float32, unit variance.
          keys: [B] typed keys.
        """
        pairs = zip(negatives, prompts, strict=True)
        texts = [text for pair in pairs for text in pair] if negatives else list(prompts)
        if cut := max(self.tokenizers[0].cut(texts)):
            warnings.warn(
                f"a prompt is {cut} tokens too long for this model; the end was left out",
                stacklevel=4,
            )
        keep = np.ones(len(texts), np.float32)
        if self.spec.zero_empty_negative and negatives:
            keep[::2] = [bool(text) for text in negatives]
        asked = (
            tuple(tokenizer(texts) for tokenizer in self.tokenizers),
            keep,
            self._time_ids(len(prompts), len(negatives) > 0, noise.shape),
            scales,
        )
        return Request(*(asked if self.mesh is None else share(asked, self.mesh)), noise, keys)

    def _time_ids(self, count: int, guided: bool, shape: tuple[int, ...]) -> np.ndarray | None:
        """XL's sizes and crop (Podell et al. 2023, section 2.2), or the refiner's with a score."""
        added = self.spec.unet.added
        if added is None:
            return None
        size = (shape[1] * self.spec.vae.downscale, shape[2] * self.spec.vae.downscale)
        if added.time_ids == 6:
            return np.tile(np.array([*size, 0, 0, *size], np.float32), (count * (1 + guided), 1))
        # The refiner was told how much people liked each picture; these are diffusers' values.
        scores = [2.5, 6.0] if guided else [6.0]
        return np.array([[*size, 0, 0, score] for score in scores] * count, np.float32)

    def _latent_shape(
        self, count: int, height: int | None, width: int | None
    ) -> tuple[int, int, int, int]:
        unit = self.spec.vae.downscale
        sides = []
        for name, side in (("height", height), ("width", width)):
            side = self.spec.default_size if side is None else side
            if side <= 0 or side % unit:
                raise ValueError(f"{name} {side} is not a multiple of {unit} pixels above 0")
            sides.append(side // unit)
        return (count, *sides, self.spec.vae.latent_channels)

    def _in_parts(
        self, tableau: Tableau, request: Request, interval: tuple[int, int], progress: Progress
    ) -> Drawing:
        networks, params = {"networks": self.networks}, self.params
        conditions, state = self.programs(
            start, networks, params=params, tableau=rows(tableau, 0, 1), request=request
        )
        finite = []
        for row in range(tableau.rows):
            state, ok = self.programs(
                go_on,
                networks | {"guided": interval[0] <= row < interval[1]},
                params=params,
                part=rows(tableau, row, row + 1),
                first_row=np.int32(row),
                conditions=conditions,
                state=state,
                keys=request.keys,
            )
            finite.append(np.asarray(ok))
            progress(row + 1, tableau.rows)
        latents = state.samples[0]
        images = self.programs(finish, networks, params=params, latents=latents)
        return Drawing(images, latents, np.concatenate(finite))

    def blank_request(
        self, count: int, height: int | None, width: int | None, *, guided: bool
    ) -> Request:
        """A request for empty pictures, for the shapes in it; arguments as those of `draw`."""
        keys = image_keys(range(count), self.mesh)
        noise = initial_noise(keys, self._latent_shape(count, height, width))
        scales = np.full(count, self.spec.guidance_scale, np.float32)
        blank = [""] * count
        return self.request(blank if guided else [], blank, scales, noise, keys)

    def prepare(self, request: Request, tableau: Tableau, *, guided: bool) -> None:
        """Loads or compiles what `draw` runs for such a request, without drawing it.

        Args:
          request: of `request`; only its shapes matter. Not on a mesh.
          tableau: likewise, above all its rows.
          guided: whether some guidance scale is not 1.
        """
        static = {"networks": self.networks, "guided": guided}
        arrays = {"params": self.params, "tableau": tableau, "request": request}
        self.programs.prepared(draw, static, **arrays)

    def prepare_parts(self, request: Request, tableau: Tableau, *, guided: bool) -> None:
        """The same for what `draw` runs with `progress`, which serves any number of rows."""
        assert self.mesh is None, "parts for a mesh are compiled when they are needed"
        networks, params = {"networks": self.networks}, self.params
        started = self.programs.prepared(
            start, networks, params=params, tableau=rows(tableau, 0, 1), request=request
        )
        conditions, state = jax.tree.map(
            lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), started.out_info
        )
        self.programs.prepared(
            go_on,
            networks | {"guided": guided},
            params=params,
            part=rows(tableau, 0, 1),
            first_row=np.int32(0),
            conditions=conditions,
            state=state,
            keys=request.keys,
        )
        self.programs.prepared(finish, networks, params=params, latents=request.noise)

    def _check_finite(self, drawing: Drawing) -> None:
        row = first_non_finite(drawing.finite)
        if row is not None:
            where = f"latents were not finite after step {row + 1} of {len(drawing.finite)}"
        elif not np.isfinite(drawing.images).all():
            where = "the autoencoder's output was not finite"
        else:
            return
        raise FloatingPointError(
            f"{where} in {self.dtype}; try dtype float32, or check the weights"
        )


def load(
    source: str | Path,
    dtype: str = "float32",
    prediction: Prediction | None = None,
    mesh: Mesh | None = None,
    programs: Executables = IN_MEMORY,
) -> Pipeline:
    """Reads a model.

    Args:
      source: a built-in name ("emoji"), a diffusers folder, a .safetensors or .ckpt file, or a hub
        id.
      dtype: "float32", "bfloat16" or "float16": of weights and of what the networks compute in.
      prediction: "epsilon", "v" or "sample", for files that do not say what the U-Net predicts.
      mesh: devices that share the work, of `jaxsd.parallel.mesh_of`. Each is given its piece of a
        tensor as it is read.
      programs: see `Pipeline`.

    Raises:
      ValueError: one line, for anything wrong with the source, or a tensor that does not fit the
        mesh.
    """
    model = open_model(source, prediction=prediction)
    if model.spec.vae is None:
        raise ValueError(f"{source} has no VAE; pass a model that has one")
    place = on_device if mesh is None else partial(place_param, mesh)
    params = model.params(dtype_named(dtype), place)
    return Pipeline(model.spec, params, model.tokenizers, dtype, mesh, programs)


def on_device(path: str, array: np.ndarray) -> Array:
    """A parameter on JAX's default device."""
    del path
    return jnp.asarray(array)
