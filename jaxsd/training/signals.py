"""A clean stop when the machine is taken away."""

import signal
from types import FrameType

import jax
from jax.experimental.multihost_utils import reached_preemption_sync_point


class Stop:
    """In this context, SIGTERM and the first SIGINT ask for a stop; a second SIGINT interrupts.

    On several hosts JAX listens for SIGTERM, and the hosts agree on the last step.
    """

    def __init__(self) -> None:
        self.asked = False
        alone = jax.process_count() == 1
        self._signals = (signal.SIGTERM, signal.SIGINT) if alone else ()

    def after(self, step: int) -> bool:
        """Whether that step is the last; call it after every step. All hosts get one answer."""
        return self.asked or reached_preemption_sync_point(step)

    def __enter__(self) -> "Stop":
        """Installs handlers for the two signals; only the main thread can."""
        self._before = {number: signal.signal(number, self._ask) for number in self._signals}
        return self

    def __exit__(self, *_: object) -> None:
        """Restores the previous handlers."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.asked:
            raise KeyboardInterrupt
        self.asked = True
