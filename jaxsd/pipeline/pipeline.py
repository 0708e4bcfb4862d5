"""A model that is asked for pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxsd.config import ModelSpec, TinyVAEConfig
from jaxsd.executables import IN_MEMORY, Executables
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.parallel import images_per_step, own_share
from jaxsd.pipeline.asking import latent_shape, text_request
from jaxsd.pipeline.line import Line, Order, Progress, ordered
from jaxsd.requests import (
    as_list,
    batch_size,
    checked_noise,
    filled,
    image_keys,
    per_image,
)
from jaxsd.sampling import first_non_finite
from jaxsd.sampling.program import DRAWING, Drawing, Networks, Request, initial_noise
from jaxsd.schedulers import NoiseSchedule, build
from jaxsd.text import Tokenizer
from jaxsd.types import Array, Params


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
        vae = TinyVAE if isinstance(spec.vae, TinyVAEConfig) else VAE
        return Networks(UNet(spec.unet, dtype), vae(spec.vae, dtype), encoders, self.mesh)

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
        num_images: int = 1,
        progress: Progress | None = None,
        **options: Any,
    ) -> Drawing:
        """Draws pictures and gives them unrounded, with their latents.

        Image i of a call with seed s has seed s + i, and depends on its own prompt, settings and
        seed alone: it can be made again by itself. A number of images for which a device has no
        batch (see `jaxsd.requests.batch_size`) is drawn in the next larger one, and cut.

        Args:
          prompt: a text, or several.
          negative_prompt: what guidance leads away from; one, or one per image.
          num_images: images per prompt.
          progress: called after every row with (done, all). The work is then three programs in
            place of one; the result is the same to rounding.
          **options: see `order`.

        Raises:
          ValueError: one line, for anything that does not fit.
          FloatingPointError: the latents or the image were not finite; names the step.
        """
        count = len(as_list(prompt)) * num_images
        order = self.order(prompt, negative_prompt, num_images=num_images, **options)
        line = self._line
        drawing = line.whole(order) if progress is None else line.in_parts(order, progress)
        drawing = drawing if self.mesh is None else own_share(drawing, DRAWING, self.mesh)
        if self._batch(count) > count:
            drawing = Drawing(*(part[:count] for part in drawing[:2]), drawing.finite[:, :count])
        self._check_finite(drawing)
        return drawing

    def order(
        self,
        prompt: str | Sequence[str],
        negative_prompt: str | Sequence[str] = "",
        *,
        steps: int = 20,
        guidance_scale: float | Sequence[float] | None = None,
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        reuse: int = 1,
        sampler: str = "ddim",
        seed: int | Sequence[int] = 0,
        num_images: int = 1,
        height: int | None = None,
        width: int | None = None,
        latents: Array | None = None,
        **sampler_options: Any,
    ) -> Order:
        """What `draw` is asked for, as the programs take it.

        Args:
          prompt: a text, or several.
          negative_prompt: what guidance leads away from; one, or one per image.
          steps: network calls, but for samplers with more than one a step.
          guidance_scale: one, or one per image; 1 means none. None is what suits the model.
          guidance_interval: from where to where on the way from noise (0) to picture (1) there is
            guidance (Kynkaanniemi et al. 2024); a row without it takes half the time. Anything but
            (0, 1) gives other pictures.
          reuse: in how many rows deep features of the U-Net are used, computed in the first of them
            (Ma et al. 2024, DeepCache); in the others its outermost level alone runs. Anything but
            1 gives other pictures.
          sampler: a name of `jaxsd.schedulers.SAMPLERS` or an alias.
          seed: 0 to 2**32 - 1; of the first image, or one per image.
          num_images: images per prompt.
          height: in pixels, a multiple of 8; None is what suits the model.
          width: likewise.
          latents: [B, h, w, c] float32 noise of unit variance in place of the seeds'.
          **sampler_options: `eta`, `spacing`, `sigmas`, ...: see `jaxsd.schedulers.build`.

        Raises:
          ValueError: one line, for anything that does not fit.
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
            else list(range(int(seed), int(seed) + count))
        )
        batch = self._batch(count)
        shape = latent_shape(self.spec, count, height, width)
        keys = image_keys(filled(seeds, batch), self.mesh)
        if latents is None:
            noise = self.programs(initial_noise, {"shape": shape[1:]}, keys=keys)
        else:
            noise = checked_noise(latents, shape, batch, self.mesh)
        guided = self.spec.unet.guidance_dim is None and bool((scales != 1).any())
        negatives = per_image("negative_prompt", negative_prompt, count) if guided else []
        texts = filled(negatives, batch), filled(prompts, batch)
        request = self.request(*texts, np.float32(filled(scales.tolist(), batch)), noise, keys)
        plans = {"guidance_interval": guidance_interval, "reuse": reuse}
        return ordered(tableau, request, guided=guided, **plans)

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
        texts = {"negatives": negatives, "prompts": prompts}
        return text_request(
            self.spec, self.tokenizers, self.mesh, **texts, scales=scales, noise=noise, keys=keys
        )

    def prepare(self, order: Order) -> None:
        """Loads or compiles what `draw` runs for such an order, without drawing it. Not on a mesh.

        Args:
          order: of `order`; its shapes and plans matter, and not its values.
        """
        self._line.prepare_whole(order)

    def prepare_parts(self, order: Order) -> None:
        """The same for what `draw` runs with `progress`, which serves any number of rows."""
        self._line.prepare_parts(order)

    def _batch(self, count: int) -> int:
        """Images of this host that are drawn for so many."""
        mesh = self.mesh
        here = 1 if mesh is None else images_per_step(mesh) * mesh.local_mesh.size // mesh.size
        return batch_size(count, here)

    @property
    def _line(self) -> Line:
        return Line(self.networks, self.params, self.programs)

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
