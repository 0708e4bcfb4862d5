"""What takes work off for a bulk run is what takes it off for a pipeline."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bulk_models import TABLEAU_OF, rows_of, tiny_model, units_of
from tiny_vaes import tiny_vae_folder

import jaxsd
from jaxsd.bulk.config import BulkConfig
from jaxsd.cli.bulk_drawing import Artist
from jaxsd.config import TinyVAEConfig
from jaxsd.images import read_recipe

PLANS = {"guidance_interval": (0.25, 0.75), "reuse": 2}
ROWS = [{"prompt": "a cat", "seed": 3, "steps": 4}, {"prompt": "a dog", "seed": 5, "steps": 4}]


@pytest.mark.parametrize("options", [PLANS, {"taesd": "tiny"}])
def test_a_row_is_drawn_as_a_pipeline_draws_it(tmp_path: Path, options: dict[str, Any]) -> None:
    model = str(tiny_model(tmp_path / "model"))
    tiny = tiny_vae_folder(tmp_path / "tiny", TinyVAEConfig(8, (1, 1), (1, 1)))
    options = options | ({"taesd": str(tiny)} if "taesd" in options else {})
    config = BulkConfig(output="out", rows="rows.jsonl", model=model, batch_size=2, **options)
    rows = rows_of(ROWS)
    (unit,) = units_of(rows)
    artist = Artist(config, TABLEAU_OF, "hash")
    artist.prepare([unit])
    drawing = artist.host(lambda: False, lambda count: None).draw(unit.kind, rows)

    asked = {"sampler": rows[0].sampler, "steps": 4, "seed": [3, 5]}
    pipe = jaxsd.load(model, taesd=options.get("taesd"))
    plans = {name: value for name, value in options.items() if name in PLANS}
    alone = pipe.draw(["a cat", "a dog"], **asked, **plans)
    plain = jaxsd.load(model).draw(["a cat", "a dog"], **asked)
    np.testing.assert_array_equal(drawing.images, alone.images)
    assert np.abs(np.asarray(drawing.images) - plain.images).max() > 1e-3

    path = tmp_path / "it.png"
    path.write_bytes(artist.encode(rows[0], np.zeros((16, 16, 3), np.uint8)))
    recipe, described = read_recipe(path), artist.describe(rows[0])
    interval = (recipe.guidance_from, recipe.guidance_to)
    assert interval == described["guidance_interval"] == config.guidance_interval
    assert recipe.reuse == described["reuse"] == config.reuse
    assert recipe.taesd == described["taesd"] == config.taesd
