"""A field of `Settings`."""

from dataclasses import field
from typing import Any


def option(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    words: tuple[str, ...] = (),
    shared: bool = False,
    metavar: str | tuple[str, ...] | None = None,
    also: tuple[str, ...] = (),
) -> Any:
    """A field of `Settings`.

    Args:
      default: None for what suits the model.
      help: one line, for users.
      low: least value allowed.
      high: largest value allowed.
      words: the allowed values of a text.
      shared: whether all images of a call have the same value.
      metavar: name of the value on the command line.
      also: further flags.
    """
    return field(
        default=default,
        metadata={
            "help": help,
            "low": low,
            "high": high,
            "words": words,
            "shared": shared,
            "metavar": metavar,
            "also": also,
        },
    )
