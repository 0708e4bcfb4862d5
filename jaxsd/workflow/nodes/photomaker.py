"""Nodes of PhotoMaker: a person of a picture, meant by a word of the prompt."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import jax.numpy as jnp
import numpy as np

from jaxsd.convert.photomaker import open_photomaker
from jaxsd.models.photomaker import PhotoMaker as PhotoMakerNetwork
from jaxsd.sampling.program import fused
from jaxsd.workflow.networks import encoded_text, loaded
from jaxsd.workflow.nodes.texts import with_embeddings
from jaxsd.workflow.schema import InFolder, node
from jaxsd.workflow.sights import clip_seen
from jaxsd.workflow.values import CLIP, IMAGE, PHOTOMAKER, Clip, Conditions, PhotoMaker
from jaxsd.workflow.workspace import Workspace

TRIGGER = "photomaker"
"""Stands behind the word that becomes the person."""


@node("PhotoMakerLoader", "PHOTOMAKER")
def photo_maker_loader(
    place: Workspace, *, photomaker_model_name: Annotated[str, InFolder("photomaker")]
) -> PhotoMaker:
    """What sees a person, and fuses them with a word; the LoRA of the same file is not read."""
    config, tensors = open_photomaker(Path(place.model("photomaker", photomaker_model_name)))
    params = loaded(tensors, place.dtype, "photomaker")
    return PhotoMaker(config, params, place.programs, place.computes_in)


@node("PhotoMakerEncode", "CONDITIONING")
def photo_maker_encode(
    place: Workspace,
    *,
    photomaker: PHOTOMAKER,
    image: IMAGE,
    clip: CLIP,
    text: str = "photograph of photomaker",
) -> Conditions:
    """A prompt for XL, in which the word before "photomaker" is the person in the first picture.

    Words are counted by single spaces, and each is taken for one token, as in ComfyUI 0.33. It
    also leaves out the piece of the text whose number is that of "photomaker". In its first
    versions a piece was a word, so that this was "photomaker" itself. Today pieces end where the
    weight changes, so that mostly none has this number, and "photomaker" stays in the text.

    Raises:
      ValueError: text encoders of another width, or a text of more than one chunk.
    """
    _check_width(photomaker, clip)
    words = text.split(" ")
    number = words.index(TRIGGER) + 1 if TRIGGER in words else 0
    texts = [text] * len(clip.tokenizers)
    own, names = with_embeddings(place, clip, texts)
    made = encoded_text(own, texts, names, without=number)
    if not number:
        line = f'its text has no word "{TRIGGER}" between spaces, so that its picture is not used'
        warnings.warn(f"PhotoMakerEncode: {line}", stacklevel=2)
        return (made,)
    context, at, longest = np.array(made.context), number - 1, clip.spec.text[0].max_length
    if context.shape[1] > longest:
        line = f"PhotoMakerEncode: its text has more than {longest - 2} tokens; shorten it"
        raise ValueError(line)
    if at < longest:
        context[:, at] = _fused(photomaker, context[:, at], image)
    return (replace(made, context=context),)


def _check_width(photomaker: PhotoMaker, clip: Clip) -> None:
    """Raises ValueError for text encoders of a model that the PhotoMaker is not for."""
    width, needed = sum(one.width for one in clip.spec.text), photomaker.config.projection_dim
    if width != needed:
        raise ValueError(
            f"the PhotoMaker changes tokens of {needed} numbers, and the text encoders give "
            f"{width}; take the model that it was trained with: XL"
        )


def _fused(photomaker: PhotoMaker, tokens: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Tokens [1, d], fused with the first of pictures [B, H, W, 3]."""
    config = photomaker.config
    network = PhotoMakerNetwork(config, jnp.dtype(photomaker.dtype))
    pixels = clip_seen(image[:1, ..., :3], config.image_size, crop=True)
    arrays = {"tokens": jnp.asarray(tokens), "images": jnp.asarray(pixels)}
    return photomaker.run(fused, {"network": network}, params=photomaker.params, **arrays)
