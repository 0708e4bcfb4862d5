"""A model that draws: settings to orders, orders to drawings."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.canvases import Pictures, canvas_of, picture_of
from jaxsd.images import to_uint8
from jaxsd.memory import check_drawing
from jaxsd.parallel import own_share, share
from jaxsd.pipeline.batches import filled, given_noise, image_keys, placed
from jaxsd.pipeline.callbacks import Callback, on_step_end
from jaxsd.pipeline.clips import clip_of, in_contexts
from jaxsd.pipeline.drawing import Programs, Shown, as_it_is, finished, prepare_steps, steps, whole
from jaxsd.pipeline.drawing import prepare_whole as prepare_program
from jaxsd.pipeline.image_prompts import image_prompts
from jaxsd.pipeline.model import Model
from jaxsd.pipeline.noise import initial
from jaxsd.pipeline.order import Order, check_alike, given_arrays, numbered_from, runs_of
from jaxsd.pipeline.requests import request_of
from jaxsd.pipeline.slots import Slots
from jaxsd.sampling import first_non_finite
from jaxsd.sampling.program import DRAWING, Drawing
from jaxsd.settings import Settings, adapters_of, passes_of, tableau_of

Progress = Callable[[int, int], None]
"""(rows done, rows in all)."""


@dataclass(frozen=True, repr=False)
class Drawer(Model):
    """What `Pipeline` draws with."""

    def draw(
        self,
        prompt: str | Settings | Sequence[str] | Sequence[Settings],
        negative_prompt: str | Sequence[str] | None = None,
        *,
        progress: Progress | None = None,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        **options: Any,
    ) -> Drawing:
        """Draws pictures and returns them unrounded, with their latents.

        Image i of a call with seed s has seed s + i. It depends only on its own prompt, settings
        and seed, so it can be drawn again by itself. If no batch size fits the number of images
        (see `jaxsd.pipeline.batches`), the next larger batch is drawn, and cut.

        Args:
          prompt: a text, or several; or `Settings`, one per image, which may differ in anything but
            size, `noise`, `guidance_rescale`, `reuse`, kinds of pictures and ControlNets.
          negative_prompt: what guidance leads away from; one, or one per image.
          progress: called after every row with (done, all). The work is then three programs
            instead of one; the result is the same up to rounding.
          callback_on_step_end: called after every row with (pipeline, row, timestep, tensors); the
            drawing goes on from the "latents" of the dict that it returns. See
            `jaxsd.pipeline.callbacks`.
          callback_on_step_end_tensor_inputs: the tensors: "latents", "x0".
          **options: fields of `jaxsd.settings.Settings`, one value, or a list with one per image
            (of `seed`, one value is that of the first image); options of the sampler (`eta`,
            `spacing`, ...), see `jaxsd.schedulers.build`; and
            `num_images`: per prompt;
            `image`, `mask`: arrays as in `image_to_image` and `inpaint`;
            `control_images`: uint8 [H, W, 3], one for each of `control`;
            `ip_adapter_images`: likewise for each of `ip_adapter`, of any size;
            `ip_adapter_masks`: uint8 [H, W], 255 where the first ones of `ip_adapter` act;
            `region_masks`: uint8 [H, W], 255 where it counts, for each of `region` with a mask;
            `latents`: [B, h, w, c] float32 noise of unit variance, which replaces that of the
            seeds; its size is drawn if no other is given.

        Raises:
          ValueError: in one line, for any argument that does not fit.
          FloatingPointError: the latents or the image were not finite; names the step.
        """
        order = self.order(prompt, negative_prompt, **options)
        inputs = callback_on_step_end_tensor_inputs
        return self.drawn(order, progress, callback_on_step_end, inputs)

    def begin(self, order: Order) -> Drawing:
        """Starts to draw in one program, without waiting for it or checking for NaN."""
        return whole(self._programs(order), order)

    def drawn(
        self,
        order: Order,
        progress: Progress | None = None,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
    ) -> Drawing:
        """The drawing of an order; see `draw`."""
        on_step = as_it_is
        if callback_on_step_end is not None:
            inputs = callback_on_step_end_tensor_inputs
            on_step = on_step_end(callback_on_step_end, self, order, inputs)
        programs, finite = self._programs(order), []
        if progress is None and callback_on_step_end is None and not programs.in_files:
            drawing = Drawing(*self._own(whole(programs, order), DRAWING))
        else:
            for shown in steps(programs, order, on_step=on_step):
                finite.append(np.asarray(self._own(shown.finite, DRAWING.finite)))
                if progress is not None:
                    progress(shown.row, shown.rows)
            images, latents, flags = finished(programs, shown, finite)
            drawing = Drawing(*self._own((images, latents), DRAWING[:2]), flags)
        count = len(order.settings)
        if len(drawing.images) > count:
            drawing = Drawing(*(part[:count] for part in drawing[:2]), drawing.finite[:, :count])
        jax.block_until_ready(drawing)  # a process that ends under a running program can crash
        self._check_finite(drawing)
        return drawing

    def _own(self, tree: Any, specs: Any) -> Any:
        """The part of this host in arrays that all hosts share."""
        return tree if self.mesh is None else own_share(tree, specs, self.mesh)

    def pictures(self, drawing: Drawing, order: Order) -> np.ndarray | list[np.ndarray]:
        """The pictures of a drawing, uint8 [B, H, W, 3], with the kept pixels, and watermarks.

        A list of [H, W, 3] where `only_masked` puts parts back into pictures of several sizes.
        """
        rounded = to_uint8(np.asarray(drawing.images))
        own = zip(rounded, order.canvases, order.settings, strict=True)
        made = [picture_of(*one) for one in own]
        return np.stack(made) if len({image.shape for image in made}) == 1 else made

    def slots(self, order: Order, size: int) -> Slots:
        """Places for `size` images of the bucket of an order, which join and leave at any time."""
        return Slots(self._programs(order), size, self.device)

    def programs_of(self, order: Order) -> Programs:
        """The networks and the parameters that draw an order, adapters and ControlNets included."""
        return self._programs(order)

    def steps(self, order: Order, rows_per_call: int = 1) -> Iterator[Shown]:
        """Draws row by row, for previews; to cancel, stop iterating."""
        return steps(self._programs(order), order, rows_per_call)

    def order(
        self,
        prompt: str | Settings | Sequence[str] | Sequence[Settings],
        negative_prompt: str | Sequence[str] | None = None,
        *,
        batch: int | None = None,
        **options: Any,
    ) -> Order:
        """Turns the arguments of `draw` into what the programs take.

        Args:
          prompt: as for `draw`.
          negative_prompt: as for `draw`.
          batch: how many images this host draws; None for the next larger of a few sizes.
          **options: as for `draw`, or `pictures` that are read already, one for all images or one
            for each.

        Raises:
          ValueError: in one line, for any argument that does not fit.
        """
        if negative_prompt is not None:
            options["negative_prompt"] = negative_prompt
        settings, pictures, latents = request_of(self.spec, prompt, options)
        check_alike(settings)
        count = len(settings)
        devices = self.batch(1)
        if settings[0].motion and batch is None and devices > 1:
            raise ValueError(
                f"motion draws a clip on one device, and this mesh shares images among {devices}; "
                "draw it without a mesh, or with jaxsd video"
            )
        batch = batch or self.batch(count)
        check_drawing(settings[0], self.spec, images=count, together=-(-batch // devices))
        unit = self.spec.vae.downscale if self.spec.unet.sees == "small" else 1
        canvases = [canvas_of(*one, unit) for one in zip(settings, pictures, strict=True)]
        height, width = settings[0].drawn_size
        self._check_controls(settings[0])
        unit = self.spec.vae.downscale
        shape = (height // unit, width // unit, self.spec.vae.latent_channels)
        keys = image_keys(filled([one.seed for one in settings], batch), self.mesh)
        all_settings, all_canvases = filled(settings, batch), filled(canvases, batch)
        tokenizers = self._with_words(adapters_of(settings)).tokenizers
        given = given_arrays(self.spec, tokenizers, all_settings, all_canvases)
        if settings[0].ip_adapter:
            configs = [one.config for one in self._ip_adapters(settings[0])]
            prompts = image_prompts(self.spec, all_settings, all_canvases, configs)
            given = given._replace(features=given.features | {"ip_adapter": prompts})
        runs = runs_of(self.spec, all_settings)
        if settings[0].motion:
            frames = count if devices == 1 else batch // devices
            clip = clip_of(settings[0], frames, batch)
            given = given._replace(features=given.features | {"motion": clip})
            runs = in_contexts(runs, settings[0], frames, batch)
        if latents is None and given.noise is not None:
            latents = given.noise[:count]
        if latents is None:
            noise = initial(self.programs, all_settings, shape, unit, keys, self.mesh)
        else:
            noise = placed(given_noise(latents, (count, *shape), batch), self.mesh)
        if self.mesh is not None:
            given = share(given._replace(noise=None), self.mesh)
        return Order(
            given=given._replace(noise=noise, keys=keys),
            runs=runs,
            settings=settings,
            canvases=tuple(canvases),
            later=self._later(settings, pictures, batch),
        )

    def _later(
        self, settings: Sequence[Settings], pictures: Sequence[Pictures], batch: int
    ) -> Order | None:
        """The second pass, if there is one, with zeros for what it begins from."""
        second = [one for first in settings for one in passes_of(first)[1:]]
        if not second:
            return None
        height, width = second[0].drawn_size
        blank = [one._replace(image=np.zeros((height, width, 3), np.uint8)) for one in pictures]
        pipe = self
        if settings[0].refiner:
            pipe = self._refiner(settings[0].refiner)
            blank = [one._replace(controls=(), reference=None) for one in blank]
        later = pipe.order(second, pictures=blank, batch=batch)
        if later.takes_over:
            before = [tableau_of(one, self.spec).rows for one in filled(settings, batch)]
            later = later._replace(runs=numbered_from(later.runs, before))
        elif settings[0].hires_upscaler != "latent":
            return later
        given = later.given
        return later._replace(given=given._replace(image=None, source=jnp.zeros_like(given.noise)))

    def prepare(self, order: Order) -> None:
        """Loads or compiles what `draw` runs for such an order, without drawing it.

        Args:
          order: from `order`; only its shapes and structure matter.
        """
        prepare_program(self._programs(order), order)

    def prepare_parts(self, order: Order) -> None:
        """The same for what `draw` runs with `progress`, any number of rows. Not on a mesh."""
        prepare_steps(self._programs(order), order)

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
