"""How many programs were compiled in this process."""

from functools import cache
from typing import Any

import jax

COMPILED = "/jax/core/compile/backend_compile_duration"
"""JAX's name of the event; a program that is loaded from disk is none."""


class Compiles:
    """Counts from the moment it is made.

    Attributes:
      count: of programs.
    """

    def __init__(self) -> None:
        self.count = 0
        jax.monitoring.register_event_duration_secs_listener(self._heard)

    def _heard(self, event: str, seconds: float, **_: Any) -> None:
        self.count += event == COMPILED


@cache
def compiles() -> Compiles:
    """The one of this process, since JAX forgets no listener."""
    return Compiles()
