"""Whose turn it is: deficit round robin (Shreedhar and Varghese, 1995) over seconds of a device."""

from collections.abc import Collection, Hashable

MOST_KNOWN = 256
"""Of whom costs are remembered."""


class Turns:
    """Shares a device among those that want it: over time each has as many seconds as another."""

    def __init__(self) -> None:
        self._credit: dict[Hashable, float] = {}  # in the order of their turns
        self._cost: dict[Hashable, float] = {}

    def cost(self, who: Hashable) -> float:
        """Seconds that one use takes, of those that were measured last; 0 for none."""
        return self._cost.get(who, 0.0)

    def next(self, busy: Collection[Hashable]) -> Hashable:
        """Who may use the device once; who is not `busy` loses what it had left.

        Args:
          busy: all that want it, at least one.
        """
        for gone in self._credit.keys() - set(busy):
            del self._credit[gone]
        for one in busy:
            self._credit.setdefault(one, 0.0)
        quantum = max(self.cost(one) for one in busy)
        while True:
            first = next(iter(self._credit))
            if self._credit[first] >= self.cost(first):
                return first
            self._credit[first] = self._credit.pop(first) + quantum  # to the end of the line

    def spent(self, who: Hashable, seconds: float) -> None:
        """Takes what a use cost from who used it."""
        known = self._cost.pop(who, None)
        if len(self._cost) >= MOST_KNOWN:
            del self._cost[next(iter(self._cost))]  # which was not used for longest
        self._cost[who] = seconds if known is None else 0.8 * known + 0.2 * seconds
        if who in self._credit:
            self._credit[who] -= seconds
