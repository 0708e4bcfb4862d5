"""The IP-Adapters of a drawing: their files, their weights, and the pictures that they see."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from jaxsd.canvases import Canvas
from jaxsd.config import IPAdapterConfig, ModelSpec, ProjectionConfig, VisionConfig
from jaxsd.convert.clip import clip_pixels
from jaxsd.convert.files.tensors import FlatTree, dtype_named, load, nested, unwidened
from jaxsd.convert.image_encoder import encoder_place, open_image_encoder
from jaxsd.convert.ip_adapter import StoredAdapter, faces_in, open_ip_adapter
from jaxsd.images import faces
from jaxsd.images.resize import sampled
from jaxsd.parallel import placing
from jaxsd.pipeline.adapting import Adapted, Last
from jaxsd.pipeline.given_features import negatives_in
from jaxsd.pipeline.requests import GIVEN
from jaxsd.pipeline.texts import banks_of
from jaxsd.sampling.features.ip_adapter import ImagePrompts
from jaxsd.settings import Adapters, ImagePrompt, Lora, Settings
from jaxsd.settings.adapters import adapter_place
from jaxsd.types import Params


class Source(NamedTuple):
    """Where an adapter and its image encoder lie, and how their weights are kept."""

    file: str
    encoder: Path | None  # None of one for faces
    dtype: str
    mesh: Mesh | None


class Loaded(NamedTuple):
    """An adapter with its weights, `{"vision", "projection", "layers"}`."""

    config: IPAdapterConfig
    params: Params


def encoders_of(settings: Settings) -> tuple[tuple[str, Path | None], ...]:
    """The file of each adapter of an image, and the place of its image encoder, if it has one.

    Raises:
      ValueError: a file holds no weights, or a picture is given for a face, or the reverse.
      FileNotFoundError: there is no adapter, or no image encoder.
    """
    return tuple(
        (one.model, _encoder_of(one, settings.image_encoder)) for one in settings.ip_adapter
    )


def _encoder_of(prompt: ImagePrompt, place: str) -> Path | None:
    file = adapter_place(prompt.model)
    of_face, sees = prompt.image.endswith(faces.ENDING), faces_in(file).sees
    if of_face and not sees:
        raise ValueError(f"{file} sees a picture, and {prompt.image} is the embedding of a face")
    if prompt.image not in ("", GIVEN) and sees and not of_face:
        raise ValueError(
            f"{file} is an IP-Adapter FaceID, which sees the embedding of a face; give its "
            f"{faces.ENDING} file in place of {prompt.image}"
        )
    return None if sees else encoder_place(place, str(file))


def with_faces(adapters: Adapters, settings: Settings) -> Adapters:
    """The adapters with the LoRAs inside of those for faces, each once."""
    files = dict.fromkeys(one.model for one in settings.ip_adapter)
    within = [Lora(file) for file in files if faces_in(adapter_place(file)).has_lora]
    return adapters._replace(lora=(*adapters.lora, *within)) if within else adapters


def open_seeing(
    spec: ModelSpec, file: str, encoder: Path | None
) -> tuple[StoredAdapter, VisionConfig | None]:
    """An adapter, and the numbers of the image encoder that it sees with; no weight is read yet.

    Raises:
      ValueError: a file is no IP-Adapter, or one of another model, or of another image encoder.
      OSError: there is no such file.
    """
    adapter = open_ip_adapter(adapter_place(file), spec.unet, spec.family)
    if encoder is None:
        return adapter, None
    vision, _ = open_image_encoder(encoder)
    takes_patches = not isinstance(adapter.projection, ProjectionConfig)
    width = vision.width if takes_patches else vision.projection_dim
    if adapter.projection.inputs != width:
        raise ValueError(
            f"{file} sees by an image encoder of width {adapter.projection.inputs}, and {encoder} "
            f"has {width}; say with image_encoder where the one is that it was trained with"
        )
    return adapter, vision


class Reader:
    """Reads adapters; the last ones are remembered, and so are encoders, which several share."""

    def __init__(self) -> None:
        """Reads nothing yet."""
        self._adapters, self._encoders = Last(self._adapter, 4), Last(_encoder, 2)

    def __call__(self, model: Adapted, source: Source) -> Loaded:
        """An adapter for the model, on its devices; only shapes if the model has only shapes.

        Raises:
          ValueError: as `open_seeing`.
          OSError: likewise.
        """
        return self._adapters(model, source)

    def _adapter(self, model: Adapted, source: Source) -> Loaded:
        adapter, vision = open_seeing(model.spec, source.file, source.encoder)
        params = _placed(model, source, adapter.tensors)
        if vision is not None:
            params["vision"] = self._encoders(model, source._replace(file=""))
        return Loaded(IPAdapterConfig(vision, adapter.projection), params)


def _encoder(model: Adapted, source: Source) -> Params:
    return _placed(model, source, open_image_encoder(source.encoder)[1])


def _placed(model: Adapted, source: Source, tensors: FlatTree) -> Params:
    """A tree of parameters where those of the model lie, or of shapes if the model has shapes."""
    dtype = dtype_named(source.dtype)
    kept = {path: unwidened(tensor, dtype, path) for path, tensor in tensors.items()}
    if isinstance(jax.tree.leaves(model.params)[0], jax.ShapeDtypeStruct):
        return nested((path, jax.ShapeDtypeStruct(t.shape, t.dtype)) for path, t in kept.items())
    place = placing(source.mesh)
    return load(kept, lambda path, array: place(f"ip_adapter/0/{path}", array))


def image_prompts(
    spec: ModelSpec,
    settings: Sequence[Settings],
    canvases: Sequence[Canvas],
    configs: Sequence[IPAdapterConfig],
) -> ImagePrompts:
    """What the feature is given.

    Args:
      spec: of the model.
      settings: checked settings, one per image of the batch.
      canvases: pictures, one per image of the batch.
      configs: of the adapters, in their order.
    """
    negatives = negatives_in(banks_of(spec, settings))
    seen = [
        np.stack([_seen(canvas.prompts[i], config, one.model) for canvas in canvases])
        for i, (config, one) in enumerate(zip(configs, settings[0].ip_adapter, strict=True))
    ]
    return ImagePrompts(tuple(seen), negatives, _masks(spec, settings[0], canvases))


def _seen(given: np.ndarray, config: IPAdapterConfig, file: str) -> np.ndarray:
    """What an adapter is given of a picture or of a face.

    Raises:
      ValueError: one is given for the other.
    """
    if config.vision is None:
        return faces.face_embedding(given, config.projection.inputs, file)
    if given.ndim != 3:
        raise ValueError(f"{file} sees a picture, and not an array of shape {list(given.shape)}")
    return clip_pixels(given, config.vision.image_size)


def _masks(
    spec: ModelSpec, settings: Settings, canvases: Sequence[Canvas]
) -> tuple[np.ndarray, ...]:
    """Where adapters act, [B, A, T] for each level of the U-Net; none without masks.

    As diffusers' `IPAdapterMaskProcessor`: 0 and 1, by a bicubic filter of the picture's pixels.
    """
    if not settings.ip_adapter_mask:
        return ()
    height, width = (side // spec.vae.downscale for side in settings.drawn_size)
    sizes = [(-(-height // 2**i), -(-width // 2**i)) for i in range(len(spec.unet.levels))]
    rest = len(settings.ip_adapter) - len(settings.ip_adapter_mask)

    def at(size: tuple[int, int], canvas: Canvas) -> np.ndarray:
        own = [sampled(np.float32(mask >= 128), *size).ravel() for mask in canvas.prompt_masks]
        return np.stack([*own, *[np.ones(math.prod(size), np.float32)] * rest])

    return tuple(
        np.stack([at(size, canvas) for canvas in canvases]) for size in dict.fromkeys(sizes)
    )
