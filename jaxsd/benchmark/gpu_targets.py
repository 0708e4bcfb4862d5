"""Programs for GPUs that are not here, which a CPU compiles with JAX's CUDA plugin.

Nothing is tuned without a card: XLA takes cuBLAS and cuDNN for all products and convolutions, where
on a card it may find kernels of its own faster.
"""

import importlib.util
import re
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import jax
from jax._src.cudnn import fused_attention_stablehlo
from jax.experimental import topologies

from jaxsd.benchmark.cards import CARDS, Card, description
from jaxsd.benchmark.gpu_kernels import Kernels, kernels
from jaxsd.benchmark.jobs import PROGRAMS
from jaxsd.benchmark.targets import lowered, order_of
from jaxsd.executables import OPTIONS
from jaxsd.memory import check_drawing
from jaxsd.parallel import images_per_step, mesh_of
from jaxsd.pipeline import Pipeline
from jaxsd.settings import Settings

UNTUNED = {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False}
"""XLA's options without a card: it can try nothing, and has no sizes for its own products."""


class Facts(NamedTuple):
    """What the compiler makes of a program, on one device."""

    name: str
    seconds: float
    arguments: int  # bytes, of which weights are most
    temporaries: int  # bytes
    code: int  # bytes; 0 where the compiler does not say
    kernels: Kernels


def is_card(target: str) -> bool:
    """Whether a target names a card of `CARDS`, such as `h100:1`."""
    return target.partition(":")[0] in CARDS


def card_of(target: str) -> tuple[Card, int]:
    """The card of a target such as `h100:1`, and how many there are.

    Raises:
      ValueError: there is no number from 1 to 8 behind a known card.
    """
    name, _, count = target.partition(":")
    if name not in CARDS or not re.fullmatch("[1-8]", count):
        known = ", ".join(CARDS)
        raise ValueError(f"{target!r} is no target: give a card of {known}, and how many: h100:1")
    return CARDS[name], int(count)


def devices_of(target: str) -> Sequence[jax.Device]:
    """The cards of a target on one host, as far as a compiler needs them.

    Raises:
      ValueError: there is no such target, or the plugin is not installed.
    """
    card, count = card_of(target)
    if importlib.util.find_spec("jax_cuda12_plugin") is None:
        raise ValueError(f"programs for {target} need JAX's CUDA plugin: pip install 'jax[cuda12]'")
    given = {"target_config": description(card), "topology": f"1x1x{count}"}
    return topologies.get_topology_desc(target, platform="cuda", **given).devices


@contextmanager
def asked_for(card: Card) -> Iterator[None]:
    """Within it, JAX believes that this card is here, when it asks what cuDNN supports."""

    def has(capability: str) -> bool:
        return tuple(map(int, capability.split("."))) <= card.capability

    before = fused_attention_stablehlo.check_compute_capability
    fused_attention_stablehlo.check_compute_capability = has
    try:
        yield
    finally:
        fused_attention_stablehlo.check_compute_capability = before


def reports(
    target: str,
    shape: Sequence[int],
    pipe: Pipeline,
    wanted: Sequence[tuple[Settings, int]],
    programs: Collection[str] = PROGRAMS,
) -> Iterator[str]:
    """Compiles the programs of drawings; a table in Markdown for each.

    Arguments and errors are those of `jaxsd.benchmark.targets.reports`.
    """
    card, number = card_of(target)
    mesh = mesh_of(shape, devices_of(target))
    for settings, count in wanted:
        images = count * images_per_step(mesh)
        check_drawing(settings, pipe.spec, count, count, card.limits.memory)
        order = order_of(pipe, settings, images)
        with asked_for(card):
            found = [facts(name, program) for name, program in lowered(pipe, order, mesh, programs)]
        height, width = settings.drawn_size
        yield (
            f"{width}x{height}, {count} on each of {number} {card.name}, mesh {dict(mesh.shape)}; "
            f"compiled, not run: kernels, operations and bytes of denoise are those of a row\n\n"
            f"{table(found, card)}\n"
        )


def facts(name: str, program: jax.stages.Lowered) -> Facts:
    """Compiles a program as `Executables` would, untuned, and counts its kernels."""
    started = time.perf_counter()
    compiled = program.compile(OPTIONS["gpu"] | UNTUNED)
    seconds, memory = time.perf_counter() - started, compiled.memory_analysis()
    return Facts(
        name,
        seconds,
        memory.argument_size_in_bytes,
        memory.temp_size_in_bytes,
        memory.generated_code_size_in_bytes,
        kernels(compiled.as_text()),
    )


def table(programs: Sequence[Facts], card: Card) -> str:
    """A line of Markdown for each program, with its roofline on the card."""
    lines = [tuple(COLUMNS), ("---",) * len(COLUMNS)]
    lines += [tuple(column(one, card) for column in COLUMNS.values()) for one in programs]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


COLUMNS: dict[str, Callable[[Facts, Card], str]] = {
    "program": lambda one, card: one.name,
    "compiled in s": lambda one, card: f"{one.seconds:.0f}",
    "GB of arguments": lambda one, card: f"{one.arguments / 1e9:.3g}",
    "temporaries": lambda one, card: f"{one.temporaries / 1e9:.3g}",
    "code": lambda one, card: f"{one.code / 1e9:.3g}",
    "of memory": lambda one, card: f"{_share_of_memory(one, card):.0%}",
    "TFLOP": lambda one, card: f"{one.kernels.flops / 1e12:.3g}",
    "GB by fusions": lambda one, card: f"{one.kernels.fused / 1e9:.3g}",
    "by calls": lambda one, card: f"{one.kernels.called / 1e9:.3g}",
    "ms by TFLOP": lambda one, card: f"{one.kernels.flops / card.limits.flops * 1e3:.3g}",
    "ms by GB": lambda one, card: f"{_moved(one) / card.limits.bandwidth * 1e3:.3g}",
    "kernels": lambda one, card: str(one.kernels.count),
    "of which": lambda one, card: _counted(one),
}
"""Heading -> the text of a program."""


def _share_of_memory(one: Facts, card: Card) -> float:
    return (one.arguments + one.temporaries + one.code) / card.limits.memory


def _moved(one: Facts) -> int:
    return one.kernels.fused + one.kernels.called


def _counted(one: Facts) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in one.kernels.counts.most_common())
