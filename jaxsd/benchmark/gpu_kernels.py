"""The kernels of a program that XLA compiled for a GPU, counted in its text."""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from jaxsd.benchmark.compiled import COLLECTIVES

BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "f32": 4, "s32": 4, "u32": 4}
BYTES |= {"f64": 8, "s64": 8, "u64": 8}
"""Of a number."""

FREE = {"parameter", "get-tuple-element", "tuple", "constant", "bitcast", "opt-barrier", "while"}
"""Instructions without a kernel. The bodies of loops are computations of their own."""

PARTIAL = {"slice", "dynamic-slice", "gather"}
"""Instructions that read as much of their first operand as they give."""

KINDS = {
    r"__cublas": "products",
    r"__cudnn\$conv": "convolutions",
    r"__cudnn\$fmha": "flash attentions",
}
"""Target of a call -> kind of its kernel."""

_INSTRUCTION = re.compile(r"\s*(ROOT )?%([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)")
_COMPUTATION = re.compile(
    r"^(?:ENTRY )?%?([\w.\-]+) \([^\n]*\{\n(.*?)^\}", re.MULTILINE | re.DOTALL
)


class Instruction(NamedTuple):
    """A line of a computation."""

    name: str
    shape: str  # such as f32[2,3]{1,0}, or several in brackets
    operation: str
    operands: tuple[str, ...]
    rest: str  # the line behind the operation
    root: bool


class Kernels(NamedTuple):
    """Kernels of a computation.

    Attributes:
      counts: how many of each kind.
      fused: bytes that fusions and copies read and write; what is read by several counts each time.
      called: bytes that products, convolutions and attention read and write.
      flops: operations of products, convolutions and attention.
    """

    counts: Counter[str]
    fused: int
    called: int
    flops: int

    @property
    def count(self) -> int:
        """Kernels of all kinds."""
        return self.counts.total()


def computations(program: str) -> dict[str, list[Instruction]]:
    """Name of a computation -> its instructions, of a program as `Compiled.as_text` writes it."""
    return {name: _instructions(body) for name, body in _COMPUTATION.findall(program)}


def kernels(program: str) -> Kernels:
    """Kernels of the longest part of a program: of a loop's body, or of what is outside of loops.

    Loops inside of it count once.
    """
    known = computations(program)
    entry = re.search(r"^ENTRY %?([\w.\-]+)", program, re.MULTILINE)
    parts = [entry[1], *re.findall(r" while\(.*?body=%?([\w.\-]+)", program)]
    return _counted(known[max(parts, key=lambda part: len(known[part]))], known)


def _instructions(body: str) -> list[Instruction]:
    found = (_INSTRUCTION.match(line) for line in body.splitlines())
    return [
        Instruction(name, shape, operation, tuple(_names(rest)), rest, bool(root))
        for root, name, shape, operation, rest in (one.groups() for one in found if one)
    ]


def _names(rest: str) -> list[str]:
    return re.findall(r"%([\w.\-]+)", rest.partition(")")[0])


def _counted(body: Sequence[Instruction], known: dict[str, list[Instruction]]) -> Kernels:
    shapes = {one.name: one.shape for one in body}
    counts, fused, called, flops = Counter(), 0, 0, 0
    for one in body:
        if one.operation == "while":
            inner = _counted(known[re.search(r"body=%?([\w.\-]+)", one.rest)[1]], known)
            counts += inner.counts
            fused, called = fused + inner.fused, called + inner.called
            flops += inner.flops
        if one.operation in FREE or one.operation.endswith("-done"):
            continue
        given = [shapes[name] for name in one.operands]
        kind = _kind(one, known)
        counts[kind] += 1
        if kind in FLOPS:
            called += _bytes(_first(one.shape)) + sum(map(_bytes, given))
            flops += FLOPS[kind](one, given)
        elif one.operation == "fusion":
            fused += _moved(known[_called(one)], one.shape)
        else:
            fused += _bytes(one.shape) + sum(map(_bytes, given))
    return Kernels(counts, fused, called, flops)


def _kind(one: Instruction, known: dict[str, list[Instruction]]) -> str:
    if one.operation == "custom-call":
        target = re.search(r'custom_call_target="([^"]+)"', one.rest)[1]
        return next((kind for start, kind in KINDS.items() if re.match(start, target)), target)
    if one.operation == "fusion":
        if "reduce" in {inner.operation for inner in known[_called(one)]}:
            return "fusions that reduce"
        return "fusions"
    name = one.operation.removesuffix("-start")
    return name if name in COLLECTIVES else "copies" if name in ("copy", "transpose") else name


def _moved(inside: Sequence[Instruction], shape: str) -> int:
    """Bytes that a fusion reads and writes: of operands that it slices, the slices."""
    update = next(
        (one for one in inside if one.root and one.operation.endswith("update-slice")), None
    )
    shapes = {one.name: one.shape for one in inside}
    moved = _bytes(shape) if update is None else 2 * _bytes(shapes[update.operands[1]])
    for one in inside:
        if one.operation != "parameter":
            continue
        users = [user for user in inside if one.name in user.operands]
        if update is not None and users == [update] and update.operands[0] == one.name:
            continue
        sliced = all(user.operation in PARTIAL and user.operands[0] == one.name for user in users)
        moved += sum(_bytes(user.shape) for user in users) if sliced else _bytes(one.shape)
    return moved


def _called(fusion: Instruction) -> str:
    return re.search(r"calls=%([\w.\-]+)", fusion.rest)[1]


def _shapes(text: str) -> list[tuple[str, list[int]]]:
    found = re.findall(r"(\w+)\[([\d,]*)\]", text)
    return [(dtype, [int(side) for side in sides.split(",") if side]) for dtype, sides in found]


def _bytes(text: str) -> int:
    return sum(BYTES[dtype] * math.prod(sides) for dtype, sides in _shapes(text))


def _first(shape: str) -> str:
    """A call's result without its workspace."""
    return re.search(r"\w+\[[\d,]*\]", shape)[0]


def _sides(shape: str) -> list[int]:
    return _shapes(shape)[0][1]


def _of_product(one: Instruction, given: Sequence[str]) -> int:
    config = json.loads(re.search(r"backend_config=(\{.*\})", one.rest)[1])
    axes = config["gemm_backend_config"]["dot_dimension_numbers"]["lhs_contracting_dimensions"]
    contracted = math.prod(_sides(given[0])[int(axis)] for axis in axes)
    return 2 * math.prod(_sides(one.shape)) * contracted


def _of_convolution(one: Instruction, given: Sequence[str]) -> int:
    layout = re.search(r"dim_labels=\w+_(\w+)->", one.rest)[1]
    kernel = _sides(given[1])
    return 2 * math.prod(_sides(one.shape)) * math.prod(kernel) // kernel[layout.index("o")]


def _of_attention(one: Instruction, given: Sequence[str]) -> int:
    return 4 * math.prod(_sides(given[0])) * _sides(given[1])[1]


FLOPS: dict[str, Callable[[Instruction, Sequence[str]], int]] = {
    "products": _of_product,
    "convolutions": _of_convolution,
    "flash attentions": _of_attention,
}
"""Kind of kernel -> its operations."""
