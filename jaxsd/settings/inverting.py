"""A drawing from a picture's own noise: rows that lead there, then those of the drawing.

In the first rows one branch sees `source_prompt`, without guidance.
"""

from jaxsd.config import ModelSpec
from jaxsd.schedulers import Tableau
from jaxsd.settings.options import NOT_INVERTED, OPTIONS, Settings


def rows_there(settings: Settings, rows: int) -> int:
    """How many of an image's rows lead to the noise: those of the drawing, or one more."""
    return (rows + 1) // 2 if settings.source_prompt else 0


def of_drawing(settings: Settings, tableau: Tableau) -> Tableau:
    """The rows of the drawing itself, from those of both ways."""
    first = rows_there(settings, tableau.rows)
    return Tableau(*(field[first:] for field in tableau[:-1]), tableau.start)


def check_inversion(settings: Settings, spec: ModelSpec) -> None:
    """Checks that a picture's noise can be found and drawn from.

    Raises:
      ValueError: in one line, for what does not go together with it.
    """
    if not settings.image:
        raise ValueError("source_prompt says what a picture shows; give that image")
    if spec.sight or spec.unet.sees in ("picture", "small"):
        raise ValueError(
            f"source_prompt needs a model that begins from a picture; {spec.family} does not"
        )
    for name in NOT_INVERTED:
        if getattr(settings, name) != OPTIONS[name].default:
            raise ValueError(f"source_prompt and {name} do not go together; give one of them")
