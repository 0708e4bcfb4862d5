"""Ending in good order when the machine is taken away."""

import signal
from types import FrameType


class Stop:
    """Within it, SIGTERM and the first SIGINT ask for a stop; a second SIGINT interrupts."""

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> "Stop":
        """Takes the two signals over; only the main thread can."""
        self._before = {
            number: signal.signal(number, self._ask) for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, *_: object) -> None:
        """Gives them back."""
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.asked:
            raise KeyboardInterrupt
        self.asked = True
