"""Numbers that no network can have: one `ValueError`, which names the field and its value."""

from collections.abc import Sequence
from typing import Any

WIDEST = 2**16
DEEPEST = 256
MOST_WORDS = 2**22


def check_range(config: Any, most: int, *names: str, least: int = 1) -> None:
    """Refuses numbers outside of `least` to `most`, alone or in tuples; None is no number."""
    for name in names:
        value = getattr(config, name)
        numbers = value if isinstance(value, tuple) else () if value is None else (value,)
        if not all(least <= number <= most for number in numbers) or value == ():
            raise ValueError(f"{name} = {value!r} is not {least} to {most}")


def check_divides(name: str, parts: int, whole: str, widths: Sequence[int]) -> None:
    """Refuses parts of which some width is no multiple."""
    for width in widths:
        if width % parts:
            raise ValueError(f"{name} = {parts} does not divide {whole} = {width}")


def check_even(name: str, width: int) -> None:
    """Refuses odd widths."""
    if width % 2:
        raise ValueError(f"{name} = {width} is odd")


def check_levels(count: int) -> None:
    """Refuses networks of no level, or of more than any has."""
    if not 1 <= count <= 8:
        raise ValueError(f"{count} levels are not 1 to 8")
