"""What tests of bulk runs share: a tiny model on disk, its spec, rows, a host that fakes."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from tiny_models import TINY, pipeline_params

from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.plan import Kind, Unit, plan
from jaxsd.bulk.rows import Row, checked, tableaus
from jaxsd.bulk.run import Host
from jaxsd.config import Level, VAEConfig
from jaxsd.convert import write_diffusers
from jaxsd.images import png_bytes
from jaxsd.sampling.program import Drawing
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of

BASE = TINY["sd1"]
SPEC = replace(
    BASE,
    unet=replace(BASE.unet, levels=(Level(32, 1, 1, 2),)),
    vae=VAEConfig(channels=(8, 8), resnets=1, norm_groups=4),
    text=(replace(BASE.text[0], vocab_size=614, pad_token=613, layers=1),),
    default_size=16,
)
TABLEAU_OF = tableaus(SPEC)


def tiny_model(folder: Path) -> Path:
    """`SPEC` with random weights as a diffusers folder."""
    vocabulary = vocabulary_of(clip_vocabulary().merges[:100])
    tokenizer = Tokenizer(vocabulary, SPEC.text[0].max_length, SPEC.text[0].pad_token)
    write_diffusers(folder, SPEC, pipeline_params(SPEC), tokenizers=[tokenizer])
    return folder


def rows_of(values: Sequence[dict[str, Any]], **config: Any) -> list[Row]:
    """Rows that must be good."""
    settings = BulkConfig(output="out", rows="rows.jsonl", **config)
    rows, bad = checked(enumerate(values, 1), settings, SPEC, TABLEAU_OF)
    assert not bad
    return rows


def units_of(rows: Sequence[Row], batch_size: int = 2, images_per_shard: int = 6) -> list[Unit]:
    return plan(
        rows,
        TABLEAU_OF,
        embeds_guidance=False,
        batch_size=batch_size,
        images_per_shard=images_per_shard,
    )


def picture(row: Row) -> np.ndarray:
    """What the fake draws: noise of the row's seed."""
    rng = np.random.default_rng(row.seed)
    return rng.uniform(-1, 1, (row.height, row.width, 3)).astype(np.float32)


class Fake:
    """Draws without a model, and remembers what it was asked for."""

    def __init__(self, broken: Sequence[str] = ()) -> None:
        self.calls: list[list[str]] = []
        self.broken = broken

    def __call__(self, kind: Kind, rows: Sequence[Row]) -> Drawing:
        self.calls.append([row.id for row in rows])
        images = np.stack([picture(row) for row in rows])
        finite = np.ones((kind.program.calls, len(rows)), bool)
        for i, row in enumerate(rows):
            if row.id in self.broken:
                finite[2:, i] = False
                images[i] = np.nan
        return Drawing(images, None, finite)

    def host(
        self,
        devices: int = 1,
        batch_size: int = 2,
        draw_again: "Fake | None" = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Host:
        return Host(
            draw=self,
            draw_again=draw_again,
            describe=asdict,
            encode=lambda row, image: png_bytes(image),
            batch_size=batch_size,
            devices=devices,
            threads=2,
            stop=stop,
            committed=lambda count: None,
        )
