"""GLIGEN in graphs: boxes of texts as arrays, and the network that sees them."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxsd.convert.gligen import open_gligen
from jaxsd.models import TextEncoder
from jaxsd.models.gligen import TOKENS
from jaxsd.pipeline.drawing import Programs
from jaxsd.sampling.features.areas import Areas
from jaxsd.sampling.features.gligen import Boxes
from jaxsd.sampling.program import Networks, pooled_texts
from jaxsd.types import Params
from jaxsd.workflow.arrays import Sides
from jaxsd.workflow.networks import loaded
from jaxsd.workflow.prompts import chunks
from jaxsd.workflow.values import Clip, Gligen, Model


def pooled_text(clip: Clip, text: str, words: dict[str, str]) -> np.ndarray:
    """The vector at the end of a text's first chunk, of the last encoder, not projected, [d].

    Weights in the text do not act on it.
    """
    config, params = clip.spec.text[-1], clip.params["text"][-1]
    ids, _ = chunks(text, clip.tokenizers[-1], words)
    encoder = TextEncoder(replace(config, projection_dim=None), jnp.dtype(clip.dtype))
    programs = Programs(Networks(None, None, (encoder,)), {"text": [params]}, clip.run)
    return np.asarray(programs(pooled_texts, ids=ids[:1]))[0]


def boxes_of(sides: Sides, batch: int, size: tuple[int, int], areas: Areas | None) -> Boxes:
    """The boxes of all branches, as shares of what each of them sees.

    Args:
      sides: at least one of their texts has boxes.
      batch: images.
      size: height and width of the latents.
      areas: of the branches; None where all see everything.

    Raises:
      ValueError: more boxes than there are tokens, or texts of different widths.
    """
    given = [one.grounding.boxes if one.grounding else () for one in sides.branches]
    if (most := max(map(len, given))) > TOKENS:
        raise ValueError(f"a text has {most} boxes; GLIGEN takes {TOKENS} at most")
    widths = {len(box.text) for own in given for box in own}
    if len(widths) > 1:
        told = " and ".join(map(str, sorted(widths)))
        raise ValueError(f"the texts of boxes have {told} numbers; encode all by one CLIP")
    shape = (len(given), TOKENS)
    texts = np.zeros((*shape, widths.pop()), np.float32)
    boxes, there = np.zeros((*shape, 4), np.float32), np.zeros(shape, bool)
    seen = (None,) * len(given) if areas is None else areas.area
    for k, (own, area) in enumerate(zip(given, seen, strict=True)):
        height, width = size if area is None else area.like.shape[1:]
        for i, box in enumerate(own):
            right, bottom = box.x + box.width, box.y + box.height
            texts[k, i], there[k, i] = box.text, True
            boxes[k, i] = box.x / width, box.y / height, right / width, bottom / height
    used = np.array([bool(own) for own in given])
    return Boxes(*(np.repeat(one[None], batch, axis=0) for one in (texts, boxes, there, used)))


def with_gligen(programs: Programs, model: Model, sides: Sides) -> Programs:
    """The programs with the GLIGEN of texts that have boxes.

    Raises:
      ValueError: several ones, or one of another model.
    """
    used = [one.grounding for one in sides.branches if one.grounding]
    if len(names := {one.net.source for one in used}) > 1:
        raise ValueError(f"the texts have boxes of {len(names)} GLIGENs; take one for all")
    params = _read(used[0].net, model)
    wanted, given = len(params["position_net"]["null_positive_feature"]), len(used[0].boxes[0].text)
    if wanted != given:
        raise ValueError(
            f"{used[0].net.source} was trained with texts of {wanted} numbers, and the CLIP of the "
            f"boxes gives {given}; take the one of the model"
        )
    return programs._replace(params=programs.params | params)


def _read(net: Gligen, model: Model) -> Params:
    """The layers for a model; the value of the node remembers the last ones."""
    kept = net.read.get("last")
    if kept is None or kept[0] != (model.spec.unet, model.dtype):
        tensors = open_gligen(Path(net.source), model.spec.unet, model.spec.family)
        own = {"position_net": {}, "fusers": {}}
        for path, tensor in tensors.items():
            part, _, rest = path.partition("/")
            own[part][rest] = tensor
        trees = {part: loaded(flat, model.dtype, part) for part, flat in own.items()}
        kept = net.read["last"] = ((model.spec.unet, model.dtype), trees)
    return kept[1]
