"""What a compiler says of a program, and how fast a chip can be at best."""

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax

from jaxsd.benchmark.traffic import estimated_cycles, memory_traffic


class Chip(NamedTuple):
    """Published limits of a device.

    Attributes:
      flops: operations a second, dense products of bfloat16.
      bandwidth: bytes a second of its memory.
      memory: bytes.
    """

    flops: float
    bandwidth: float
    memory: float


CHIPS: dict[str, Chip] = {
    "v5e": Chip(197e12, 819e9, 16e9),
    "v5p": Chip(459e12, 2765e9, 95e9),
    "v6e": Chip(918e12, 1640e9, 32e9),
}
"""Chips by the first part of a topology's name, from the pages of Google Cloud's TPU versions."""

COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")


class Facts(NamedTuple):
    """What the compiler says of a program. Bytes, operations and kernels are of one device.

    Attributes:
      name: of the program.
      seconds: that compiling took.
      arguments: bytes, of which weights are most.
      results: bytes, without those that are written in place of arguments.
      temporaries: bytes, beside arguments and results.
      code: bytes.
      flops: operations; bodies of loops count once. NaN where the compiler does not say.
      accessed: bytes read and written by all operations; bodies of loops count once. Bytes that
        stay inside the chip count too. NaN where the compiler does not say.
      loops: `while` loops.
      kernels: how many of each kernel that is not the compiler's own.
      collectives: how many of each operation between devices.
      moved: bytes that pass between the chip and its memory, by `memory_traffic`; bodies of loops
        count once.
      cycles: by the compiler's estimate, without kernels; bodies of loops count once. 0 where the
        compiler does not say.
      held: bytes in the chip's memory while the program runs, whether it reads them or not: its
        arguments are among them.
    """

    name: str
    seconds: float
    arguments: int
    results: int
    temporaries: int
    code: int
    flops: float
    accessed: float
    loops: int
    kernels: dict[str, int]
    collectives: dict[str, int]
    moved: float
    cycles: int
    held: int = 0

    @property
    def memory(self) -> int:
        """Bytes that a chip needs in all while the program runs."""
        return max(self.held, self.arguments) + self.results + self.temporaries + self.code


def facts(name: str, program: jax.stages.Lowered, held: int = 0) -> Facts:
    """Compiles a program, and asks the compiler about it.

    Args:
      name: of the program.
      program: see `jax.stages`.
      held: bytes of a device, see `Facts`; 0 where nothing lies there but arguments.

    Raises:
      ValueError: it does not fit the chip.
    """
    started = time.perf_counter()
    try:
        compiled = program.compile()
    except jax.errors.JaxRuntimeError as error:
        kind, _, reason = str(error).partition(": ")
        if kind != "RESOURCE_EXHAUSTED":
            raise
        line = " ".join(reason.split())
        raise ValueError(f"{name} does not fit: {line}; take fewer pictures a chip") from error
    seconds = time.perf_counter() - started
    memory, costs, text = compiled.memory_analysis(), compiled.cost_analysis(), compiled.as_text()
    costs = (costs[0] if isinstance(costs, list) else costs) or {}
    return Facts(
        name,
        seconds,
        memory.argument_size_in_bytes,
        memory.output_size_in_bytes - memory.alias_size_in_bytes,
        memory.temp_size_in_bytes,
        memory.generated_code_size_in_bytes,
        costs.get("flops", float("nan")),
        costs.get("bytes accessed", float("nan")),
        len(re.findall(r" while\(", text)),
        Counter(re.findall(r'custom_call_target="([\w$.]+)"', text)),
        Counter(re.findall(rf" ({'|'.join(COLLECTIVES)})(?:-start)?\(", text)),
        memory_traffic(text),
        estimated_cycles(text),
        held,
    )


def largest_batch(needed: Mapping[int, int], memory: float) -> int:
    """The most images that fit, by the straight line through the least and the most of some counts.

    Args:
      needed: bytes that the largest program needs, by its images; two counts or more.
      memory: bytes of the chip.
    """
    (few, less), (many, more) = sorted(needed.items())[:: len(needed) - 1]
    each = (more - less) / (many - few)
    return few + math.floor((memory - less) / each)


def table(programs: Sequence[Facts], chip: Chip) -> str:
    """A line of Markdown for each program, with its roofline on the chip."""
    lines = [tuple(COLUMNS), ("---",) * len(COLUMNS)]
    lines += [tuple(column(one, chip) for column in COLUMNS.values()) for one in programs]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


COLUMNS: dict[str, Callable[[Facts, Chip], str]] = {
    "program": lambda one, chip: one.name,
    "compiled in s": lambda one, chip: f"{one.seconds:.0f}",
    "GB of arguments": lambda one, chip: f"{one.arguments / 1e9:.3g}",
    "temporaries": lambda one, chip: f"{one.temporaries / 1e9:.3g}",
    "code": lambda one, chip: f"{one.code / 1e9:.3g}",
    "of memory": lambda one, chip: f"{one.memory / chip.memory:.0%}",
    "TFLOP": lambda one, chip: f"{one.flops / 1e12:.3g}",
    "GB accessed": lambda one, chip: f"{one.accessed / 1e9:.3g}",
    "GB moved": lambda one, chip: f"{one.moved / 1e9:.3g}",
    "million cycles": lambda one, chip: f"{one.cycles / 1e6:.3g}",
    "ms by TFLOP": lambda one, chip: f"{one.flops / chip.flops * 1e3:.3g}",
    "ms by GB": lambda one, chip: f"{one.accessed / chip.bandwidth * 1e3:.3g}",
    "ms by GB moved": lambda one, chip: f"{one.moved / chip.bandwidth * 1e3:.3g}",
    "loops": lambda one, chip: str(one.loops),
    "kernels": lambda one, chip: _counted(one.kernels),
    "collectives": lambda one, chip: _counted(one.collectives),
}
"""Heading -> the text of a program."""


def _counted(found: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in sorted(found.items())) or "none"
