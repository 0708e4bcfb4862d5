"""Which rows are drawn together, and where they go: depends only on the rows and two sizes.

A unit is what one device draws in one call: `batch_size` rows of one bucket, the last unit of a
bucket padded. The number of devices or hosts does not change which rows share a unit, and so does
not change an image. Units are committed one by one; a shard is several consecutive units, and one
host makes it.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from jaxsd.bulk.rows import Row
from jaxsd.config import ModelSpec
from jaxsd.settings import Bucket, Lora, bucket_of
from jaxsd.text import Tokenizer


class Unit(NamedTuple):
    """Rows that are drawn in one call on one device."""

    number: int
    shard: int
    bucket: Bucket
    rows: tuple[Row, ...]  # at least one, at most `batch_size`


def plan(
    rows: Iterable[Row],
    spec: ModelSpec,
    tokenizers: Sequence[Tokenizer],
    *,
    batch_size: int,
    images_per_shard: int,
) -> list[Unit]:
    """The units of a run, bucket by bucket, in the order in which buckets first appear.

    Args:
      rows: of the run.
      spec: of the model.
      tokenizers: of the model, which tell how long prompts are.
      batch_size: rows of a unit.
      images_per_shard: a shard has as many whole units as fit in that many rows, at least one.
    """
    buckets: dict[Bucket, list[Row]] = {}
    for row in rows:
        buckets.setdefault(bucket_of(row.settings, spec, tokenizers), []).append(row)
    units: list[Unit] = []
    per_shard = max(1, images_per_shard // batch_size)
    for bucket, alike in buckets.items():
        for first in range(0, len(alike), batch_size):
            chosen = tuple(alike[first : first + batch_size])
            units.append(Unit(len(units), len(units) // per_shard, bucket, chosen))
    return units


def first_units(units: Iterable[Unit]) -> list[Unit]:
    """The first unit of each bucket: together they need every program.

    Weights of LoRAs make buckets, and no programs.
    """

    def program(bucket: Bucket) -> Bucket:
        return bucket._replace(lora=tuple(Lora(one.file) for one in bucket.lora))

    return list({program(unit.bucket): unit for unit in reversed(list(units))}.values())[::-1]


def calls(units: Iterable[Unit], devices: int) -> Iterator[tuple[Unit, ...]]:
    """Units that all devices draw at once: of one bucket, at most one per device."""
    for _, alike in itertools.groupby(units, key=lambda unit: unit.bucket):
        while several := tuple(itertools.islice(alike, devices)):
            yield several
