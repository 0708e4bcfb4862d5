"""What a compiled program moves through a chip's memory, read off its text.

XLA's own count of bytes has all operands and results of all operations. On a TPU many of them never
leave the vector memory inside the chip: their layouts end in S(1). Here only the others count.
"""

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

MOVES_NOTHING = re.compile(
    "parameter|constant|tuple|get-tuple-element|bitcast|while|conditional|call|after-all|iota"
    "|partition-id|replica-id|.*-done"
)
"""Operations that name arrays, or whose bodies are counted in their place."""

_BODY = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \(.*\{$")
_LINE = re.compile(r"^\s+(?:ROOT )?%?([\w.\-]+) = (.*?) ([a-z][\w\-]*)\((.*?)\)(.*)$")
_ARRAY = re.compile(r"\b([a-z]+\d*\w*)\[([\d,]*)\](?:\{([^}]*)\})?")
_INNER = re.compile(r"(?:calls|to_apply)=%?([\w.\-]+)")


class Operation(NamedTuple):
    """One instruction of a compiled program that runs as such, not within a fusion.

    Attributes:
      kind: its name in HLO, such as `fusion`.
      result: shapes with layouts, as text.
      operands: the same of what it reads; an array that it is given several times comes once.
      rest: its attributes.
    """

    kind: str
    result: str
    operands: tuple[str, ...]
    rest: str


def operations(text: str) -> Iterator[Operation]:
    """The operations of a compiled program; those of a loop's body come once.

    Args:
      text: of `jax.stages.Compiled.as_text`.
    """
    inner, body, shapes, same = set(_INNER.findall(text)), "", dict[str, str](), dict[str, str]()
    for line in text.splitlines():
        if begins := _BODY.match(line):
            body, shapes, same = begins[1], {}, {}
        elif body not in inner and (found := _LINE.match(line)):
            name, result, kind, operands, rest = found.groups()
            shapes[name] = result
            names = [same.get(one, one) for one in re.findall(r"%([\w.\-]+)", operands)]
            if kind == "bitcast":
                same[name] = names[0]
            yield Operation(
                kind, result, tuple(shapes.get(n, "") for n in dict.fromkeys(names)), rest
            )


def memory_traffic(text: str) -> float:
    """Bytes that operations read from and write to a chip's memory; bodies of loops count once.

    Operands count whole, also where an operation reads a part of them, except in copies of parts.
    """
    return sum(_moved(one) for one in operations(text))


def estimated_cycles(text: str) -> int:
    """The compiler's estimate of cycles, without kernels; 0 where it gives none, as off TPUs."""
    found = (re.search(r'"estimated_cycles":"(\d+)"', one.rest) for one in operations(text))
    return sum(int(one[1]) for one in found if one)


def _moved(one: Operation) -> float:
    if MOVES_NOTHING.fullmatch(one.kind):
        return 0
    if one.kind in ("copy-start", "slice-start"):  # both ends, then a semaphore
        ends = list(_arrays(one.result))[:2]
        return min(size for size, _ in ends) * sum(outside for _, outside in ends)
    texts = (one.result,) if one.kind.endswith("-start") else (one.result, *one.operands)
    return sum(size for text in texts for size, outside in _arrays(text) if outside)


def _arrays(text: str) -> Iterator[tuple[float, bool]]:
    """Bytes of each array of a result, and whether it lies in the chip's main memory."""
    for kind, sides, layout in _ARRAY.findall(text):
        bits = re.search(r"\d+", kind)  # `pred` has none
        count = math.prod(int(side) for side in sides.split(",") if side)
        yield (int(bits[0]) if bits else 8) / 8 * count, not re.search(r"S\([1-9]", layout)
