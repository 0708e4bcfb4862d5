"""Videos of a tiny model, as tests make them."""

from pathlib import Path
from typing import Any

from tiny_models import TINY

from jaxsd.video.config import VideoConfig
from jaxsd.video.plan import Plan, planned

SPEC = TINY["sd1"]


def video(*keys: dict[str, Any], **options: Any) -> VideoConfig:
    """A video of key frames; of one second, eight frames, if nothing else is said."""
    told = {"output": "out.mp4", "seconds": 1.0, "fps": 8.0, "steps": 4, "width": 16, "height": 16}
    return VideoConfig(key=keys, **told | options)


def plan_of(*keys: dict[str, Any], **options: Any) -> Plan:
    """The frames of such a video."""
    return planned(video(*keys, **options), SPEC)


def sound_file(folder: Path, samples: Any, rate: int, ending: str = ".wav") -> str:
    """A file of a sound."""
    import soundfile

    path = folder / f"sound{ending}"
    soundfile.write(path, samples, rate)
    return str(path)
