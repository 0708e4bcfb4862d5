"""What a bulk run draws with is a pipeline: the same pictures, and the recipe in each."""

import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from bulk_models import SPEC, tiny_model
from ip_adapter_fakes import face, lora_within, write_adapter
from tiny_models import controlnet_params
from tiny_vaes import tiny_vae_folder

import jaxsd
from jaxsd.bulk.artist import PipelineArtist
from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.run import drawn, filled
from jaxsd.bulk.work import Work, checked_work, described
from jaxsd.canvases import Pictures
from jaxsd.config import ControlNetConfig, TinyVAEConfig
from jaxsd.convert import read, write_control_lora, write_controlnet
from jaxsd.executables import IN_MEMORY, Executables
from jaxsd.images import write_picture
from jaxsd.nn import int8
from jaxsd.nn.int8 import Int8
from jaxsd.pipeline import outline, with_controlnet
from jaxsd.settings import Settings
from jaxsd.webui import read_recipe

PLANS = {"guidance_interval": (0.0, 0.5), "reuse": 2}
ROWS = [{"prompt": "a cat", "seed": 3, "steps": 4}, {"prompt": "a dog", "seed": 5, "steps": 4}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_model(tmp_path_factory.mktemp("artist") / "model"))


def work_of(folder: Path, rows: list[dict[str, Any]], **options: Any) -> Work:
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = {"batch_size": 2, "inputs": str(folder), "rows": str(folder / "rows.jsonl")} | options
    return checked_work(BulkConfig(output="out", **said), skip_bad_rows=False, say=print)


def artist_of(work: Work, programs: Executables = IN_MEMORY) -> PipelineArtist:
    artist = PipelineArtist(work, "hash", programs)
    artist.prepare(work.units)
    return artist


@pytest.mark.parametrize("options", [PLANS, {"taesd": "tiny"}])
def test_a_row_is_drawn_as_a_pipeline_draws_it(
    tmp_path: Path, model: str, options: dict[str, Any]
) -> None:
    tiny = tiny_vae_folder(tmp_path / "tiny", TinyVAEConfig(8, (1, 1), (1, 1)))
    options = options | ({"taesd": str(tiny)} if "taesd" in options else {})
    work = work_of(tmp_path, ROWS, model=model, **options)
    artist = artist_of(work)
    drawing = artist.begin(artist.ready(work.rows))

    asked = {"steps": 4, "seed": [3, 5]}
    pipe = jaxsd.load(model, taesd=options.get("taesd"))
    plans = {name: value for name, value in options.items() if name in PLANS}
    alone = pipe.draw(["a cat", "a dog"], **asked, **plans)
    plain = jaxsd.load(model).draw(["a cat", "a dog"], **asked)
    np.testing.assert_array_equal(drawing.images, alone.images)
    assert np.abs(np.asarray(drawing.images) - plain.images).max() > 1e-3

    path = tmp_path / "it.png"
    path.write_bytes(artist.encode(work.rows[0], {}, np.zeros((16, 16, 3), np.uint8)))
    recipe, line = read_recipe(path), artist.describe(work.rows[0], {})
    assert recipe.settings == work.rows[0].settings
    assert tuple(line["guidance_interval"]) == work.config.guidance_interval
    assert line["reuse"] == work.config.reuse
    assert recipe.taesd == line["taesd"] == work.config.taesd


@pytest.mark.slow
def test_kernels_may_have_8_bits(
    tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(int8, "LEAST_NUMBERS", 1)
    work = work_of(tmp_path, ROWS, model=model, dtype="int8")
    artist = artist_of(work)
    kernels = jax.tree.leaves(artist.pipe.params["unet"], is_leaf=lambda one: isinstance(one, Int8))
    assert any(isinstance(one, Int8) for one in kernels)
    drawing = artist.begin(artist.ready(work.rows))
    alone = jaxsd.load(model, "int8").draw(["a cat", "a dog"], steps=4, seed=[3, 5])
    np.testing.assert_array_equal(drawing.images, alone.images)
    assert artist.describe(work.rows[0], {})["dtype"] == "int8"


def test_a_row_may_begin_from_a_picture_beside_its_table(tmp_path: Path, model: str) -> None:
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (20, 30, 3), np.uint8) for _ in range(2)]
    mask = np.zeros((16, 16), np.uint8)
    mask[:, 8:] = 255
    for name, picture in (("0.png", pictures[0]), ("1.png", pictures[1])):
        write_picture(tmp_path / name, picture)
    write_picture(tmp_path / "mask.png", np.repeat(mask[..., None], 3, axis=-1))
    (tmp_path / "text.png").write_text("no picture")
    names = ["0.png", "1.png", "text.png"]
    rows = [{"prompt": "a cat", "seed": i, "image": name} for i, name in enumerate(names)]
    work = work_of(
        tmp_path, rows, model=model, mask="mask.png", steps=3, strength=0.7, batch_size=3
    )
    artist = artist_of(work)
    ready = artist.ready(filled(artist, work.units))
    (found,) = drawn(artist, work.units, ready, artist.begin(ready))

    pipe = jaxsd.load(model)
    pictures.append(pictures[0])  # in the place of the third
    wanted = pipe.inpaint(pictures, mask, ["a cat"] * 3, steps=3, strength=0.7)
    for i in range(2):
        np.testing.assert_array_equal(found[i].picture, wanted[i])
        digest = hashlib.sha256((tmp_path / names[i]).read_bytes()).hexdigest()
        assert found[i].hashes[names[i]] == digest
        line = artist.describe(*found[i][:2])
        assert line["pictures"][names[i]] == digest
    assert isinstance(found[2].picture, str)
    assert found[2].picture.startswith("picture 'text.png': ")
    assert str(tmp_path) not in found[2].picture


def test_programs_that_were_compiled_before_serve_a_run(tmp_path: Path, model: str) -> None:
    """As `jaxsd compile` does it: of a model without its weights."""
    lines: list[str] = []
    made = outline(model, programs=Executables(tmp_path / "programs", lines.append))
    made.prepare(made.order([Settings("", steps=4)] * 2))
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "programs").iterdir()}
    programs = Executables(tmp_path / "programs", lines.append)
    programs._compile = None  # nothing is left to compile
    artist_of(work_of(tmp_path, ROWS, model=model), programs)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "programs").iterdir()} == files


def test_a_run_knows_what_it_began_with(tmp_path: Path, model: str) -> None:
    work = work_of(tmp_path, ROWS, model=model)
    assert described(work_of(tmp_path, ROWS, model=model)) == described(work)
    for options in ({"reuse": 2}, {"guidance_interval": (0.0, 0.5)}, {"negative_prompt": "b"}):
        other = work_of(tmp_path, ROWS, model=model, **options)
        assert described(other)["rows_hash"] != described(work)["rows_hash"]
    tiny = tiny_vae_folder(tmp_path / "tiny", TinyVAEConfig(8, (1, 1), (1, 1)))
    other = work_of(tmp_path, ROWS, model=model, taesd=str(tiny))
    assert described(other)["model_hash"] != described(work)["model_hash"]


@pytest.mark.parametrize("as_change", [False, True], ids=["folder", "change of the U-Net"])
def test_a_row_may_name_a_controlnet(tmp_path: Path, model: str, as_change: bool) -> None:
    config = ControlNetConfig(SPEC.unet, hint_channels=(4, 6))
    if as_change:
        own = SPEC.unet, read(model)[1]["unet"]
        write_control_lora(
            tmp_path / "net.safetensors", config, controlnet_params(config), own, rank=4
        )
    else:
        write_controlnet(tmp_path / "net", config, controlnet_params(config))
    hints = [np.full((16, 16, 3), 60 * i, np.uint8) for i in range(2)]
    for i, hint in enumerate(hints):
        write_picture(tmp_path / f"{i}.png", hint)
    net = str(tmp_path / ("net.safetensors" if as_change else "net"))
    rows = [{"prompt": "a cat", "control": f"{i}.png:{net}:0.5"} for i in range(2)]
    work = work_of(tmp_path, rows, model=model, steps=3)
    artist = artist_of(work)
    drawing = artist.begin(artist.ready(work.rows))
    assert set(described(work)["controlnets"]) == {net}

    pipe = with_controlnet(jaxsd.load(model), net)
    settings = [row.settings for row in work.rows]
    given = [Pictures(controls=(hint,)) for hint in hints]
    alone = pipe.draw(settings, pictures=given)
    np.testing.assert_array_equal(drawing.images, alone.images)
    assert np.abs(np.subtract(*np.asarray(drawing.images))).max() > 1e-3


@pytest.mark.release
def test_a_row_may_name_an_ip_adapter(tmp_path: Path, model: str) -> None:
    """One for faces, with its LoRA, and each row has a face of its own."""
    tensors = face(12, SPEC.unet.context_dim)
    file = write_adapter(tmp_path / "face.safetensors", SPEC.unet, tensors, lora_within(SPEC.unet))
    faces = np.eye(2, 12, dtype=np.float32)
    for i, own in enumerate(faces):
        np.save(tmp_path / f"{i}.npy", own)
    rows = [{"prompt": "a cat", "seed": 3, "ip_adapter": f"{i}.npy:{file}:0.5"} for i in range(2)]
    work = work_of(tmp_path, rows, model=model, steps=3)
    artist = artist_of(work)
    drawing = artist.begin(artist.ready(work.rows))
    assert str(file) in artist.describe(work.rows[0], {})["adapters"]

    settings = [row.settings for row in work.rows]
    given = [Pictures(prompts=(own,)) for own in faces]
    alone = jaxsd.load(model).draw(settings, pictures=given)
    np.testing.assert_array_equal(drawing.images, alone.images)
    assert np.abs(np.subtract(*np.asarray(drawing.images))).max() > 1e-3
