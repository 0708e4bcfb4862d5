"""webui's names of samplers and of their grids."""

from jaxsd.schedulers import SAMPLERS
from jaxsd.schedulers.names import AUTOMATIC_OF_WEBUI, SIGMAS_OF_WEBUI, resolve

AUTOMATIC, UNIFORM = "automatic", "uniform"


def sampler_of(name: str | None, schedule: str | None) -> str | None:
    """Our name of a sampler with its grid; None where webui's default was meant.

    Raises:
      ValueError: an unknown sampler or schedule.
    """
    if not name:
        return None
    known = tuple(SAMPLERS)
    ours, implied = resolve(str(name), known)
    grid = grid_word(str(schedule or AUTOMATIC))
    if implied:
        return "_".join((ours, *implied.values()))
    if grid == AUTOMATIC:
        grid = AUTOMATIC_OF_WEBUI.get(ours, UNIFORM)
    if grid == UNIFORM:
        return ours
    try:
        if resolve(f"{ours}_{grid}", known)[1]:
            return f"{ours}_{grid}"
    except ValueError:
        pass
    raise ValueError(
        f"scheduler {schedule!r} is unknown; /sdapi/v1/schedulers lists those there are"
    )


def grid_word(schedule: str) -> str:
    """Our word for a schedule of webui, known or not."""
    labels = {label.lower(): grid for grid, label in SIGMAS_OF_WEBUI.items()}
    name = schedule.strip().lower()
    return labels.get(name, name).replace(" ", "_")
