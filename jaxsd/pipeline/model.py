"""A model in memory: its networks and weights, with what was added to them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Self

import jax
import jax.numpy as jnp
from jax.sharding import Mesh

from jaxsd.config import ControlNetConfig, ModelSpec, T2IAdapterConfig, TinyVAEConfig
from jaxsd.executables import IN_MEMORY, Executables
from jaxsd.models import VAE, ControlNet, TextEncoder, UNet
from jaxsd.models.clip_vision import VisionEncoder
from jaxsd.models.ip_adapter import IPAdapter
from jaxsd.models.motion import Motion
from jaxsd.models.t2i_adapter import T2IAdapter
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.parallel import images_per_step
from jaxsd.pipeline import clips
from jaxsd.pipeline.adapting import Adapted, Last, with_weights, with_words
from jaxsd.pipeline.batches import batch_size
from jaxsd.pipeline.drawing import Programs
from jaxsd.pipeline.forms import changed
from jaxsd.pipeline.image_prompts import Loaded, Reader, Source, encoders_of, with_faces
from jaxsd.pipeline.order import Order
from jaxsd.sampling.program import Networks
from jaxsd.settings import (
    Adapters,
    Embedding,
    Lora,
    Settings,
    adapters_of,
    check_kind,
    in_range,
    settings_from,
)
from jaxsd.text import Tokenizer
from jaxsd.types import Params


@dataclass(frozen=True, repr=False)
class Model:
    """Networks and weights, from which drawings take what they use.

    Attributes:
      params: `{"unet": tree, "vae": tree, "text": [tree, ...]}` on the device; of models that see
        a picture by CLIP also `"vision"` and `"normalizer"`, with ControlNets
        `{"controlnet": {name: tree}}`.
      tokenizers: one per text encoder.
      dtype: what the networks compute in.
      mesh: the devices, over `jaxsd.parallel.MESH_AXES`, that share the images and the weights;
        None for JAX's default device. On several hosts each host asks for its own images, the same
        number on all, and gets only those.
      device: one that weights were put on, beside other pipelines on other devices.
      programs: runs the programs of `jaxsd.sampling.program`, and may keep them on disk.
      controlnets: those that `with_controlnet` of `jaxsd.pipeline` added, by name.
      refiners: likewise the models of `with_refiner`.
      worded: remembers the learnt words of the last drawings.
      merged: remembers the weights with LoRAs of the last drawing.
      seeing: reads IP-Adapters, and remembers the last ones.
      moving: reads motion modules, and remembers the last ones.
    """

    spec: ModelSpec
    params: Params
    tokenizers: tuple[Tokenizer, ...]
    dtype: str = "float32"
    mesh: Mesh | None = None
    device: jax.Device | None = None
    programs: Executables = IN_MEMORY
    controlnets: dict[str, ControlNetConfig | T2IAdapterConfig] = field(default_factory=dict)
    refiners: dict[str, "Model"] = field(default_factory=dict)
    worded: Last = field(default_factory=lambda: Last(with_words, 4), compare=False)
    merged: Last = field(default_factory=lambda: Last(with_weights, 1), compare=False)
    seeing: Reader = field(default_factory=Reader, compare=False)
    moving: clips.Reader = field(default_factory=clips.Reader, compare=False)

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

    def on(self, device: jax.Device) -> Self:
        """The same with weights on a device, which remembers adapters of its own."""
        own = {one.name: getattr(self, one.name) for one in fields(self) if one.compare}
        params = jax.device_put(self.params, device)
        refiners = {name: one.on(device) for name, one in self.refiners.items()}
        return type(self)(**own | {"device": device, "params": params, "refiners": refiners})

    @property
    def networks(self) -> Networks:
        """The networks as functions of parameters, without ControlNets."""
        dtype, spec = jnp.dtype(self.dtype), self.spec
        encoders = tuple(TextEncoder(config, dtype) for config in spec.text)
        vae = TinyVAE if isinstance(spec.vae, TinyVAEConfig) else VAE
        vision = spec.sight and VisionEncoder(spec.sight.vision, dtype)
        unet = UNet(spec.unet, dtype)
        return Networks(unet, vae(spec.vae, dtype), encoders, self.mesh, vision=vision)

    def batch(self, count: int) -> int:
        """How many images this host draws if `count` are requested."""
        mesh = self.mesh
        here = 1 if mesh is None else images_per_step(mesh) * mesh.local_mesh.size // mesh.size
        return batch_size(count, here)

    def with_adapters(
        self,
        lora: Sequence[str | Lora] = (),
        embedding: Sequence[str | Embedding] = (),
    ) -> Self:
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

    def _adapted(self, adapters: Adapters) -> Self:
        worded = self._with_words(adapters)
        merged = self.merged(worded, adapters) if adapters.lora else worded
        return replace(self, **merged._asdict())

    def _with_words(self, adapters: Adapters) -> Adapted:
        model = Adapted(self.spec, self.params, self.tokenizers)
        return self.worded(model, adapters) if adapters.files else model

    def _programs(self, order: Order) -> Programs:
        """The programs with those adapters and ControlNets alone that a drawing uses."""
        own = self._adapted(with_faces(adapters_of(order.settings), order.settings[0]))
        programs = own._own_programs(order.controls, order.settings[0])
        if seeing := self._ip_adapters(order.settings[0]):
            nets = tuple(IPAdapter(one.config, jnp.dtype(self.dtype)) for one in seeing)
            programs = programs._replace(
                networks=programs.networks._replace(ip_adapters=nets),
                params=programs.params | {"ip_adapter": [one.params for one in seeing]},
            )
        if motion := order.settings[0].motion:
            source = clips.Source(motion, order.settings[0].motion_lora, self.dtype, self.mesh)
            moving = self.moving(Adapted(self.spec, self.params, self.tokenizers), source)
            programs = programs._replace(
                networks=programs.networks._replace(
                    motion=Motion(moving.config, jnp.dtype(self.dtype))
                ),
                params=programs.params | {"motion": moving.params},
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

    def _refiner(self, name: str) -> Self:
        if name not in self.refiners:
            there = ", ".join(self.refiners) or "none"
            raise ValueError(f"no refiner {name!r} was added; there are: {there}")
        return replace(self.refiners[name], dtype=self.dtype)

    def _check_controls(self, settings: Settings) -> None:
        for control in settings.control:
            if (config := self.controlnets.get(name := control.model)) is None:
                continue
            check_kind(control, getattr(config, "kinds", 0))
            unit = config.downscale
            for side, pixels in zip(("height", "width"), settings.drawn_size, strict=True):
                if pixels % unit:
                    why = f"is not a multiple of {unit} pixels, which {name} sees as one"
                    raise ValueError(f"{side} {pixels} {why}")


def _control(config: ControlNetConfig | T2IAdapterConfig, dtype: jnp.dtype) -> Any:
    network = T2IAdapter if isinstance(config, T2IAdapterConfig) else ControlNet
    return network(config, dtype)
