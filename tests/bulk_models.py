"""What tests of bulk runs share: a tiny model on disk, its spec, rows, an artist that fakes."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from tiny_models import TINY, pipeline_params

from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.plan import Unit, plan
from jaxsd.bulk.rows import Row, rows_from
from jaxsd.bulk.run import Ready
from jaxsd.canvases import Pictures, canvas_of
from jaxsd.config import Level, VAEConfig
from jaxsd.convert import write_diffusers
from jaxsd.images import png_bytes, to_uint8
from jaxsd.pipeline import Order
from jaxsd.sampling.program import Drawing
from jaxsd.settings import Settings, tableau_of
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of

BASE = TINY["sd1"]
SPEC = replace(
    BASE,
    unet=replace(BASE.unet, levels=(Level(32, 1, 0, 2),)),
    vae=VAEConfig(channels=(8, 8), resnets=1, norm_groups=4),
    text=(replace(BASE.text[0], vocab_size=614, pad_token=613, layers=1),),
    default_size=16,
)


TOKENIZER = Tokenizer(
    vocabulary_of(clip_vocabulary().merges[:100]), SPEC.text[0].max_length, SPEC.text[0].pad_token
)


def tiny_model(folder: Path) -> Path:
    """`SPEC` with random weights as a diffusers folder."""
    write_diffusers(folder, SPEC, pipeline_params(SPEC), tokenizers=[TOKENIZER])
    return folder


def rows_of(values: Sequence[dict[str, Any]], **config: Any) -> list[Row]:
    """Rows that must be good."""
    settings = BulkConfig(output="out", rows="rows.jsonl", **config)
    rows, bad = rows_from(enumerate(values, 1), settings, SPEC)
    assert not bad
    return rows


def units_of(rows: Sequence[Row], batch_size: int = 2, images_per_shard: int = 6) -> list[Unit]:
    return plan(rows, SPEC, [TOKENIZER], batch_size=batch_size, images_per_shard=images_per_shard)


def picture(settings: Settings) -> np.ndarray:
    """What the fake draws: noise of the row's seed."""
    rng = np.random.default_rng(settings.seed)
    return rng.uniform(-1, 1, (*settings.drawn_size, 3)).astype(np.float32)


class Fake:
    """Draws without a model, and remembers what it was asked for; `broken` rows are NaN."""

    def __init__(
        self,
        *,
        devices: int = 1,
        batch_size: int = 2,
        broken: Sequence[str] = (),
        unreadable: Sequence[str] = (),
        unfit: Sequence[str] = (),
        second: "Fake | None" = None,
    ) -> None:
        self.devices, self.batch_size = devices, batch_size
        self.broken, self.unreadable, self.second = broken, unreadable, second
        self.held_back, self.unfit_pictures = unfit, set[bytes]()
        self.calls: list[list[str]] = []

    def ready(self, rows: Sequence[Row]) -> Ready:
        settings = tuple(row.settings for row in rows)
        canvases = tuple(canvas_of(one, Pictures()) for one in settings)
        ids = tuple({"id": row.id} for row in rows)
        errors = tuple("no picture" if row.id in self.unreadable else "" for row in rows)
        return Ready(Order(None, (), settings, canvases), ids, errors)

    def begin(self, ready: Ready) -> Drawing:
        names, settings = [one["id"] for one in ready.hashes], ready.order.settings
        self.calls.append(names)
        images = np.stack([picture(one) for one in settings])
        finite = np.ones((tableau_of(settings[0], SPEC).rows, len(settings)), bool)
        for i, name in enumerate(names):
            if name in self.held_back:
                self.unfit_pictures.add(to_uint8(images[i]).tobytes())
            if name in self.broken:
                finite[2:, i] = False
                images[i] = np.nan
        return Drawing(images, None, finite)

    def again(self, ready: Ready) -> Drawing | None:
        return None if self.second is None else self.second.begin(ready)

    def unfit(self, picture: np.ndarray) -> str:
        return "not fit" if picture.tobytes() in self.unfit_pictures else ""

    def describe(self, row: Row, hashes: dict[str, str]) -> dict[str, Any]:
        return {"id": row.id, **asdict(row.settings)}

    def encode(self, row: Row, hashes: dict[str, str], picture: np.ndarray) -> bytes:
        return png_bytes(picture)
