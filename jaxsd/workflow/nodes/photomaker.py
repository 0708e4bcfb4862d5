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
from jaxsd.workflow.values import CLIP, IMAGE, PHOTOMAKER, Conditions, PhotoMaker
from jaxsd.workflow.workspace import Workspace

TRIGGER = "photomaker"
"""The token at the place of the word before it is the person's."""


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

    As ComfyUI 0.33 does it: words are counted by single spaces, and each is taken for one token.
    What is left out of the text is the piece of the word's number. That was "photomaker" while
    pieces were words; now they are what stands between changes of weight, and the word stays.

    Raises:
      ValueError: text encoders of another width, or a text of more than one chunk.
    """
    width, needed = sum(one.width for one in clip.spec.text), photomaker.config.projection_dim
    if width != needed:
        raise ValueError(
            f"the PhotoMaker changes tokens of {needed} numbers, and the text encoders give {width}; "
            "take the model that it was trained with: XL"
        )
    words = text.split(" ")
    number = words.index(TRIGGER) + 1 if TRIGGER in words else 0
    if not number:
        warnings.warn(
            f'PhotoMakerEncode: its text has no word "{TRIGGER}" between spaces, and so its '
            "picture is not used",
            stacklevel=2,
        )
    texts = [text] * len(clip.tokenizers)
    own, names = with_embeddings(place, clip, texts)
    made = encoded_text(own, texts, names, number)
    context, at = np.array(made.context), number - 1
    longest = clip.spec.text[0].max_length
    if number and context.shape[1] > longest:
        raise ValueError(
            f"PhotoMakerEncode: its text has more than {longest - 2} tokens; shorten it"
        )
    if 0 <= at < context.shape[1]:
        context[:, at] = _fused(photomaker, context[:, at], image)
    return (replace(made, context=context),)


def _fused(photomaker: PhotoMaker, tokens: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Tokens [1, d], fused with the first of pictures [B, H, W, 3]."""
    config = photomaker.config
    network = PhotoMakerNetwork(config, jnp.dtype(photomaker.dtype))
    pixels = clip_seen(image[:1, ..., :3], config.image_size, crop=True)
    arrays = {"tokens": jnp.asarray(tokens), "images": jnp.asarray(pixels)}
    return photomaker.run(fused, {"network": network}, params=photomaker.params, **arrays)
