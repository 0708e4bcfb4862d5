"""Questions about the names and shapes of a file's tensors."""

from jaxsd.convert.files.tensors import FlatTree

_MOST = 100
"""Layers of a kind."""


class FileShapes:
    """The shapes of a file's tensors whose names begin with `prefix`, by the rest of the name."""

    def __init__(self, tensors: FlatTree, prefix: str) -> None:
        self._prefix = prefix
        self._shapes = {
            name.removeprefix(prefix): tensor.shape
            for name, tensor in tensors.items()
            if name.startswith(prefix)
        }

    def __contains__(self, name: str) -> bool:
        return name in self._shapes

    def size(self, name: str, axis: int) -> int:
        """Length of one axis of a tensor.

        Raises:
          ValueError: if there is no such tensor, or it has fewer axes.
        """
        shape = self._shapes.get(name, ())
        if len(shape) <= axis:
            raise ValueError(f"{self._prefix}{name} is missing or of the wrong shape")
        return shape[axis]

    def rank(self, name: str) -> int:
        """Number of axes of a tensor; 0 where there is none."""
        return len(self._shapes.get(name, ()))

    def count(self, before: str) -> int:
        """How many numbers 0, 1, 2, ... without a gap follow `before` in names, with a dot behind.

        Raises:
          ValueError: if they are more than any network has.
        """
        start = len(before)
        found = {name[start:].split(".", 1)[0] for name in self._shapes if name.startswith(before)}
        number = 0
        while str(number) in found:
            number += 1
        if number > _MOST:
            raise ValueError(f"it has {number} times {self._prefix}{before}, at most {_MOST}")
        return number

    def ending(self, suffix: str) -> str | None:
        """A name that ends with `suffix`, or None."""
        return next((name for name in self._shapes if name.endswith(suffix)), None)
