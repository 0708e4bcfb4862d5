"""Which rows are drawn together, and where they go: a function of the rows and two sizes alone.

A unit is what one device draws in one call: `batch_size` rows that one table and one program fit,
the last unit of a kind filled up. Which rows share a unit does not depend on how many devices or
hosts there are, so neither does an image. Units are committed one by one; a shard is a run of them,
and belongs to one host.
"""

import itertools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from jaxsd.bulk.rows import Row, TableauOf


class Program(NamedTuple):
    """What decides which program draws a row."""

    calls: int  # of the network: rows of the sampler's table
    height: int
    width: int
    guided: bool


class Kind(NamedTuple):
    """What the rows of a unit have in common."""

    sampler: str
    steps: int
    program: Program


class Unit(NamedTuple):
    """Rows that are drawn in one call on one device."""

    number: int
    shard: int
    kind: Kind
    rows: tuple[Row, ...]  # at least one, at most `batch_size`


def kind_of(row: Row, tableau_of: TableauOf, embeds_guidance: bool) -> Kind:
    """The kind of a row; a guidance scale of 1 is no guidance, and half the work."""
    calls = tableau_of(row.sampler, row.steps).rows
    guided = row.guidance_scale != 1 and not embeds_guidance
    return Kind(row.sampler, row.steps, Program(calls, row.height, row.width, guided))


def plan(
    rows: Iterable[Row],
    tableau_of: TableauOf,
    *,
    embeds_guidance: bool,
    batch_size: int,
    images_per_shard: int,
) -> list[Unit]:
    """The units of a run, kind by kind, in the order in which kinds first appear.

    Args:
      embeds_guidance: whether the network is told the guidance scale (LCM), and needs no negative.
      images_per_shard: a shard has as many whole units as hold that many rows, at least one.
    """
    kinds: dict[Kind, list[Row]] = {}
    for row in rows:
        kinds.setdefault(kind_of(row, tableau_of, embeds_guidance), []).append(row)
    units: list[Unit] = []
    per_shard = max(1, images_per_shard // batch_size)
    for kind, alike in kinds.items():
        for first in range(0, len(alike), batch_size):
            chosen = tuple(alike[first : first + batch_size])
            units.append(Unit(len(units), len(units) // per_shard, kind, chosen))
    return units


def programs(units: Iterable[Unit]) -> list[Program]:
    """The programs that units need, each once."""
    return list(dict.fromkeys(unit.kind.program for unit in units))


def calls(units: Iterable[Unit], devices: int) -> Iterator[tuple[Unit, ...]]:
    """Units that all devices draw at once: of one kind, at most one a device."""
    for _, alike in itertools.groupby(units, key=lambda unit: unit.kind):
        while several := tuple(itertools.islice(alike, devices)):
            yield several
