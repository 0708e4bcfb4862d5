"""Nodes of GLIGEN: texts for boxes."""

from dataclasses import replace
from typing import Annotated

from jaxsd.workflow.grounding import pooled_text
from jaxsd.workflow.nodes.texts import with_embeddings
from jaxsd.workflow.schema import MAX_RESOLUTION, InFolder, Pixels, Range, node
from jaxsd.workflow.values import CLIP, CONDITIONING, GLIGEN, Box, Conditions, Gligen, Grounding
from jaxsd.workflow.workspace import Workspace

BoxSide = Annotated[int, Range(8, MAX_RESOLUTION)]


@node("GLIGENLoader", "GLIGEN")
def gligen_loader(place: Workspace, *, gligen_name: Annotated[str, InFolder("gligen")]) -> Gligen:
    """GLIGEN's layers; they are read when the U-Net that they are for is known."""
    return Gligen(place.model("gligen", gligen_name))


@node("GLIGENTextBoxApply", "CONDITIONING")
def gligen_text_box_apply(
    place: Workspace,
    *,
    conditioning_to: CONDITIONING,
    clip: CLIP,
    gligen_textbox_model: GLIGEN,
    text: str,
    width: BoxSide = 64,
    height: BoxSide = 64,
    x: Pixels = 0,
    y: Pixels = 0,
) -> Conditions:
    """Texts with a box, in pixels, behind those that they have, and what is in it."""
    clip, words = with_embeddings(place, clip, [text])
    box = Box(pooled_text(clip, text, words), height // 8, width // 8, y // 8, x // 8)

    def before(one: Grounding | None) -> tuple[Box, ...]:
        return one.boxes if one else ()

    return tuple(
        replace(one, grounding=Grounding(gligen_textbox_model, (*before(one.grounding), box)))
        for one in conditioning_to
    )
