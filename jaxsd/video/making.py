"""From drawn frames to the files of a video."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxsd.images import read_image, write_picture
from jaxsd.images.animation import zoomed
from jaxsd.text_files import read_jsonl
from jaxsd.video.files import Film, write_film
from jaxsd.video.plan import Plan, frame_id
from jaxsd.video.recipe import recipe_of
from jaxsd.video.sheet import shown_frames, video_sheet
from jaxsd.writing import replacing


def made(
    plan: Plan, places: Sequence[Path], model_hash: str, *, done: Callable[[int], Any]
) -> tuple[list[Path], str]:
    """Writes the video, its recipe and its contact sheet beside it.

    Args:
      plan: of the video.
      places: files of the frames that were drawn, in order.
      model_hash: of the weights that drew them.
      done: called with 1 for each frame that is written.

    Returns:
      The files, and what to say of them, if anything.

    Raises:
      ValueError: there are more or fewer files than frames.
    """
    output = Path(plan.config.output)
    if len(places) != len(plan.frames):
        raise ValueError(
            f"{len(places)} frames of {len(plan.frames)} are there; if another command draws "
            f"{output} too, give this one another output"
        )
    recipe = recipe_of(plan, model_hash)
    film = Film(_frames(plan, places), len(places), plan.config.fps, recipe, plan.sound)
    line = write_film(output, film, done)
    images = [read_image(places[number]) for number in shown_frames(plan)]
    beside = [output.with_name(f"{output.name}.toml"), output.with_name(f"{output.name}.sheet.png")]
    if not output.suffix:
        beside = [output / "recipe.toml", output / "contact_sheet.png"]
    with replacing(beside[0]) as part:
        part.write_text(recipe, encoding="utf-8")
    write_picture(beside[1], video_sheet(plan, images))
    return [output, *beside], line


def places_of(manifest: Path) -> list[Path]:
    """The files of the frames that a run drew, in order.

    Raises:
      ValueError: one could not be drawn.
    """
    records = {record["id"]: record for _, record in read_jsonl(manifest)}
    own = [records[frame_id(number)] for number in range(len(records))]
    for record in own:
        if record["status"] != "drawn":
            raise ValueError(f"frame {int(record['id'])} could not be drawn: {record['error']}")
    return [manifest.parent / record["file"] for record in own]


def _frames(plan: Plan, places: Sequence[Path]) -> Iterator[np.ndarray]:
    """The pictures of the frames, as they are shown."""
    for frame, place in zip(plan.frames, places, strict=True):
        zoom = 1.0 if plan.config.follow else frame.zoom  # else the frames have it
        yield zoomed(read_image(place), zoom, plan.config.enlarge)
