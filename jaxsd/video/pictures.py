"""The pictures that frames begin from and look at."""

from dataclasses import replace
from pathlib import Path

from jaxsd.canvases import pictures_alone, read_pictures
from jaxsd.settings import Settings, adapters_of
from jaxsd.settings.adapters import adapter_place
from jaxsd.video.plan import Plan
from jaxsd.video.source import write_frames


def check_files(plan: Plan) -> None:
    """Finds out whether the files that key frames name are there: pictures, LoRAs, embeddings.

    Raises:
      ValueError: a picture is missing, or is none.
      FileNotFoundError: another file is missing.
    """
    key_frames = [plan.frames[number].settings for number in plan.shown]
    for settings in key_frames:
        bare = [one for one in settings.control if not one.image]
        if bare and not plan.config.follow:
            raise ValueError(
                f"control {str(bare[0])!r} has no picture; give one, or clip or follow, for frames "
                "that it looks at"
            )
        looking = tuple(one for one in settings.control if one.image)
        settings = replace(settings, control=looking)
        read_pictures(pictures_alone(settings))
        for file in adapters_of([settings]).files:
            adapter_place(file)


def over_clip(plan: Plan, folder: Path) -> Plan:
    """The same with the frames of the clip, which are written into a folder, to begin from.

    Raises:
      OSError: the clip can not be read.
    """
    numbers = plan.source.numbers(len(plan.frames), plan.config.fps)
    places = write_frames(plan.source, numbers, folder)
    frames = (
        one._replace(settings=_begun_from(str(place), one.settings))
        for one, place in zip(plan.frames, places, strict=True)
    )
    return plan._replace(frames=tuple(frames))


def _begun_from(picture: str, settings: Settings) -> Settings:
    """Settings with a picture to begin from, which ControlNets without one look at too."""
    control = tuple(one if one.image else replace(one, image=picture) for one in settings.control)
    return replace(settings, image=picture, control=control)


def steadied(plan: Plan, first: Path) -> Plan:
    """The same with the picture of the first frame in the self-attention of all frames."""
    seen = {"reference": str(first), "reference_strength": plan.config.steady}
    frames = (one._replace(settings=replace(one.settings, **seen)) for one in plan.frames)
    return plan._replace(frames=tuple(frames))
