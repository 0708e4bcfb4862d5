"""docs/gallery.md and docs/tpu.ipynb, as far as can be seen without drawing."""

import ast
import json
import shlex
from pathlib import Path

from draw_gallery import PICTURES, page
from run_notebook import as_script, cells_of

from jaxsd.cli.arguments import parse
from jaxsd.images import image_size

DOCS = Path(__file__).parents[2] / "docs"


def test_the_page_is_what_the_script_writes() -> None:
    assert (DOCS / "gallery.md").read_text(encoding="utf-8") == page()


def test_each_command_is_one_that_there_is() -> None:
    for picture in PICTURES:
        parse(["jaxsd", *shlex.split(picture.command)])


def test_the_pictures_are_there_and_small() -> None:
    files = {f"{picture.name}.png" for picture in PICTURES}
    assert {path.name for path in (DOCS / "gallery").iterdir()} == files
    assert sum(path.stat().st_size for path in (DOCS / "gallery").iterdir()) < 1_000_000
    assert image_size(DOCS / "gallery/outpaint.png") == (128, 256)


def test_cells_of_the_notebook_are_python_and_have_no_results() -> None:
    notebook = json.loads((DOCS / "tpu.ipynb").read_text(encoding="utf-8"))
    scripts = [as_script(cell) for cell in cells_of(DOCS / "tpu.ipynb")]
    assert "run_command('jaxsd bulk bulk.toml')" in scripts
    for script in scripts:
        ast.parse(script)
    assert not any(cell.get("outputs") for cell in notebook["cells"])
