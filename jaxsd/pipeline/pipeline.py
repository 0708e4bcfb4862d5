"""A model that draws pictures."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from jaxsd.canvases import Pictures, canvas_of, pasted_back
from jaxsd.config import ControlNetConfig, ModelSpec, T2IAdapterConfig, TinyVAEConfig
from jaxsd.executables import IN_MEMORY, Executables
from jaxsd.images import to_uint8
from jaxsd.memory import check_drawing
from jaxsd.models import VAE, ControlNet, TextEncoder, UNet
from jaxsd.models.ip_adapter import IPAdapter
from jaxsd.models.t2i_adapter import T2IAdapter
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.parallel import images_per_step, own_share, share
from jaxsd.pipeline.adapting import Adapted, Last, with_weights, with_words
from jaxsd.pipeline.batches import batch_size, filled, given_noise, image_keys, placed
from jaxsd.pipeline.callbacks import Callback, on_step_end
from jaxsd.pipeline.drawing import (
    Programs,
    Shown,
    as_it_is,
    finished,
    prepare_steps,
    steps,
    whole,
)
from jaxsd.pipeline.drawing import prepare_whole as prepare_program
from jaxsd.pipeline.forms import changed
from jaxsd.pipeline.image_prompts import Loaded, Reader, Source, encoders_of, image_prompts
from jaxsd.pipeline.kinds import encoded, output_of, pictures_of
from jaxsd.pipeline.noise import initial
from jaxsd.pipeline.order import Order, check_alike, given_arrays, numbered_from, runs_of
from jaxsd.pipeline.requests import request_of
from jaxsd.sampling import first_non_finite
from jaxsd.sampling.program import DRAWING, Drawing, Networks
from jaxsd.settings import (
    Adapters,
    Embedding,
    Lora,
    Settings,
    adapters_of,
    in_range,
    passes_of,
    settings_from,
    tableau_of,
)
from jaxsd.text import Tokenizer
from jaxsd.types import Array, Params

Progress = Callable[[int, int], None]
"""(rows done, rows in all)."""
WATCHING = ("progress", "callback_on_step_end", "callback_on_step_end_tensor_inputs")
"""Arguments of `Pipeline.draw` that are called while it draws."""


@dataclass(frozen=True, repr=False)
class Pipeline:
    """A model, ready to draw.

    Attributes:
      params: `{"unet": tree, "vae": tree, "text": [tree, ...]}` on the device; with ControlNets
        also `{"controlnet": {name: tree}}`.
      tokenizers: one per text encoder.
      dtype: what the networks compute in.
      mesh: the devices, over `jaxsd.parallel.MESH_AXES`, that share the images and the weights;
        None for JAX's default device. On several hosts each host asks for its own images, the same
        number on all, and gets only those.
      programs: runs the programs of `jaxsd.sampling.program`, and may keep them on disk.
      controlnets: those that `with_controlnet` of `jaxsd.pipeline` added, by name.
      refiners: likewise the models of `with_refiner`.
      worded: remembers the learnt words of the last drawings.
      merged: remembers the weights with LoRAs of the last drawing.
      seeing: reads IP-Adapters, and remembers the last ones.
    """

    spec: ModelSpec
    params: Params
    tokenizers: tuple[Tokenizer, ...]
    dtype: str = "float32"
    mesh: Mesh | None = None
    programs: Executables = IN_MEMORY
    controlnets: dict[str, ControlNetConfig | T2IAdapterConfig] = field(default_factory=dict)
    refiners: dict[str, "Pipeline"] = field(default_factory=dict)
    worded: Last = field(default_factory=lambda: Last(with_words, 4), compare=False)
    merged: Last = field(default_factory=lambda: Last(with_weights, 1), compare=False)
    seeing: Reader = field(default_factory=Reader, compare=False)

    def __repr__(self) -> str:
        devices = self._devices()
        added = "".join(f", ControlNet {name!r}" for name in self.controlnets)
        return f"Pipeline({self.spec.family!r}, {self.dtype}, {devices}{added})"

    def _devices(self) -> str:
        if self.mesh is not None:
            return f"mesh {dict(self.mesh.shape)}"
        leaf = next(iter(jax.tree.leaves(self.params)), None)
        if not isinstance(leaf, jax.Array):
            return "no weights"
        return " ".join(sorted(f"{one.platform}:{one.id}" for one in leaf.devices()))

    def text_to_image(self, prompt: str | Sequence[str], **options: Any) -> Any:
        """Draws pictures of prompts.

        Args:
          prompt: a text, or several; `num_images` are drawn for each.
          **options: see `draw`; and `output_type`: "np" (the default), "pil", "jax" or "latent",
            see `jaxsd.pipeline.kinds`.

        Returns:
          uint8 [B, H, W, 3], or what `output_type` says; the images of the first prompt first.
        """
        return self._pictures(prompt, options)

    def image_to_image(self, image: np.ndarray, prompt: str | Sequence[str], **options: Any) -> Any:
        """Draws pictures that begin from a picture.

        Args:
          image: uint8 [H, W, 3] of any size: it is scaled to cover the size that is drawn, and its
            middle is cut out. Or several, one per image.
          prompt: a text, or several.
          **options: see `draw`; `strength` says how much of the picture changes. And `output_type`.

        Returns:
          As `text_to_image`.
        """
        return self._pictures(prompt, options | {"image": image})

    def inpaint(
        self,
        image: np.ndarray,
        mask: np.ndarray | None,
        prompt: str | Sequence[str],
        **options: Any,
    ) -> Any:
        """Repaints a part of a picture, or paints beyond its edges (`outpaint`).

        Args:
          image: uint8 [H, W, 3] of any size, or several, one per image.
          mask: uint8 [H, W], 255 where to paint, 0 where the picture stays; None to paint only
            beyond the edges. Or several, one per image.
          prompt: a text, or several.
          **options: see `draw`; `mask_blur`, `composite` and `outpaint` among them. And
            `output_type`.

        Returns:
          As `text_to_image`.
        """
        return self._pictures(prompt, options | {"image": image, "mask": mask})

    def _pictures(self, prompt: str | Sequence[str], options: dict[str, Any]) -> Any:
        watched = {name: options.pop(name) for name in WATCHING if name in options}
        output = output_of(options.pop("output_type", "np"))
        order = self.order(prompt, **options)
        drawing = self.drawn(order, **watched)
        return output(drawing.images, drawing.latents, lambda: self.pictures(drawing, order))

    def encode(self, images: np.ndarray, *, vae_tile: int = 0) -> Array:
        """Scaled latents [B, h, w, c] float32 of pictures uint8 [B, H, W, 3], see `encoded`.

        `vae_tile` is that of `Settings`.
        """
        programs = self._own_programs((), Settings(vae_tile=vae_tile))
        return encoded(programs, images, self.batch(len(images)))

    def decode(self, latents: Array, *, vae_tile: int = 0) -> np.ndarray:
        """Pictures, uint8 [B, H, W, 3], of scaled latents [B, h, w, c]; see `pictures_of`."""
        programs = self._own_programs((), Settings(vae_tile=vae_tile))
        return pictures_of(programs, latents, self.batch(len(latents)))

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
        if progress is None and callback_on_step_end is None:
            drawing = Drawing(*self._own(self.begin(order), DRAWING))
        else:
            programs, finite = self._programs(order), []
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
        """The pictures of a drawing, uint8 [B, H, W, 3], with the kept pixels pasted back.

        A list of [H, W, 3] where `only_masked` puts parts back into pictures of several sizes.
        """
        rounded = to_uint8(np.asarray(drawing.images))
        own = zip(rounded, order.canvases, order.settings, strict=True)
        made = [pasted_back(*one) for one in own]
        return np.stack(made) if len({image.shape for image in made}) == 1 else made

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
        batch = batch or self.batch(count)
        check_drawing(settings[0], self.spec, images=count, together=-(-batch // self.batch(1)))
        canvases = [canvas_of(*one) for one in zip(settings, pictures, strict=True)]
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
            runs=runs_of(self.spec, all_settings),
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
            blank = [one._replace(controls=()) for one in blank]
        later = pipe.order(second, pictures=blank, batch=batch)
        if later.takes_over:
            before = [tableau_of(one, self.spec).rows for one in filled(settings, batch)]
            later = later._replace(runs=numbered_from(later.runs, before))
        elif settings[0].hires_upscaler != "latent":
            return later
        given = later.given
        return later._replace(given=given._replace(image=None, source=jnp.zeros_like(given.noise)))

    def _refiner(self, name: str) -> "Pipeline":
        if name not in self.refiners:
            there = ", ".join(self.refiners) or "none"
            raise ValueError(f"no refiner {name!r} was added; there are: {there}")
        return replace(self.refiners[name], dtype=self.dtype)

    def prepare(self, order: Order) -> None:
        """Loads or compiles what `draw` runs for such an order, without drawing it.

        Args:
          order: from `order`; only its shapes and structure matter.
        """
        prepare_program(self._programs(order), order)

    def prepare_parts(self, order: Order) -> None:
        """The same for what `draw` runs with `progress`, any number of rows. Not on a mesh."""
        prepare_steps(self._programs(order), order)

    def batch(self, count: int) -> int:
        """How many images this host draws if `count` are requested."""
        mesh = self.mesh
        here = 1 if mesh is None else images_per_step(mesh) * mesh.local_mesh.size // mesh.size
        return batch_size(count, here)

    @property
    def networks(self) -> Networks:
        """The networks as functions of parameters, without ControlNets."""
        dtype, spec = jnp.dtype(self.dtype), self.spec
        encoders = tuple(TextEncoder(config, dtype) for config in spec.text)
        vae = TinyVAE if isinstance(spec.vae, TinyVAEConfig) else VAE
        return Networks(UNet(spec.unet, dtype), vae(spec.vae, dtype), encoders, self.mesh)

    def with_adapters(
        self,
        lora: Sequence[str | Lora] = (),
        embedding: Sequence[str | Embedding] = (),
    ) -> "Pipeline":
        """The pipeline with LoRAs merged into its weights, and with learnt words.

        To draw with adapters, options of `draw` are enough: `lora="FILE:0.7"`. This is for a model
        that is to keep them.

        Args:
          lora: files with their weights, FILE[:UNET_WEIGHT[:TEXT_WEIGHT]].
          embedding: files of textual inversions, FILE or NAME=FILE.

        Raises:
          ValueError: in one line, for a file of another kind or of another model.
          OSError: there is no such file.
        """
        options = {"lora": list(lora), "embedding": list(embedding)}
        one = in_range(settings_from(options))
        return self._adapted(Adapters(one.lora, one.embedding))

    def _adapted(self, adapters: Adapters) -> "Pipeline":
        worded = self._with_words(adapters)
        merged = self.merged(worded, adapters) if adapters.lora else worded
        return replace(self, **merged._asdict())

    def _with_words(self, adapters: Adapters) -> Adapted:
        model = Adapted(self.spec, self.params, self.tokenizers)
        return self.worded(model, adapters) if adapters.files else model

    def _programs(self, order: Order) -> Programs:
        """The programs with those adapters and ControlNets alone that a drawing uses."""
        own = self._adapted(adapters_of(order.settings))
        programs = own._own_programs(order.controls, order.settings[0])
        if seeing := self._ip_adapters(order.settings[0]):
            nets = tuple(IPAdapter(one.config, jnp.dtype(self.dtype)) for one in seeing)
            programs = programs._replace(
                networks=programs.networks._replace(ip_adapters=nets),
                params=programs.params | {"ip_adapter": [one.params for one in seeing]},
            )
        if order.later is None or not order.later.takes_over:
            return programs
        refiner = self._refiner(order.settings[0].refiner)
        return programs._replace(refiner=refiner._programs(order.later))

    def _ip_adapters(self, settings: Settings) -> list[Loaded]:
        model = Adapted(self.spec, self.params, self.tokenizers)
        sources = [Source(*own, self.dtype, self.mesh) for own in encoders_of(settings)]
        return [self.seeing(model, source) for source in sources]

    def _own_programs(self, controls: tuple[str, ...], settings: Settings) -> Programs:
        params = {name: tree for name, tree in self.params.items() if name != "controlnet"}
        networks = self.networks
        if controls:
            for name in controls:
                if name not in self.controlnets:
                    there = ", ".join(self.controlnets) or "none"
                    raise ValueError(f"no ControlNet {name!r} was added; there are: {there}")
            dtype = jnp.dtype(self.dtype)
            nets = tuple(_control(self.controlnets[name], dtype) for name in controls)
            networks = networks._replace(controlnets=nets)
            params["controlnet"] = [self.params["controlnet"][name] for name in controls]
        return Programs(changed(networks, settings), params, self.programs)

    def _check_controls(self, settings: Settings) -> None:
        for name in {control.model for control in settings.control} & self.controlnets.keys():
            unit = self.controlnets[name].downscale
            for side, pixels in zip(("height", "width"), settings.drawn_size, strict=True):
                if pixels % unit:
                    why = f"is not a multiple of {unit} pixels, which {name} sees as one"
                    raise ValueError(f"{side} {pixels} {why}")

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


def _control(config: ControlNetConfig | T2IAdapterConfig, dtype: jnp.dtype) -> Any:
    network = T2IAdapter if isinstance(config, T2IAdapterConfig) else ControlNet
    return network(config, dtype)
