"""Grids of pictures: axes as webui writes them, cells, calls, and the sheet."""

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tiny_pipelines import SMALLEST, LetterTokenizer, pipeline

from jaxsd.bulk.grid import grid_of, parse_axis
from jaxsd.executables import Executables
from jaxsd.images import labelled_sheet
from jaxsd.images.labels import GAP, text_block
from jaxsd.pipeline import draw_many
from jaxsd.settings import Settings, calls_of

TOKENIZERS = [LetterTokenizer(config) for config in SMALLEST.text]
BASE = Settings("a red cat", negative_prompt="red", steps=3, width=16, height=16)


@pytest.mark.parametrize(
    ("text", "name", "values"),
    [
        ("steps: 10, 20", "steps", ["10", "20"]),
        ("Steps: 1-4", "steps", ["1", "2", "3", "4"]),
        ("steps: 3-1, 9", "steps", ["3", "2", "1", "9"]),
        ("Seed: 1-10 (+3)", "seed", ["1", "4", "7", "10"]),
        ("CFG Scale: 1-10 [4]", "guidance_scale", ["1", "4", "7", "10"]),
        ("cfg: 0.5-2 (+0.5)", "guidance_scale", ["0.5", "1", "1.5", "2"]),
        ("denoising: 0.2", "strength", ["0.2"]),
        ("size: 16x16, 32x16", "size", ["16x16", "32x16"]),
        ('prompt S/R: red, "dark, red"', "prompt s/r", ["red", "dark, red"]),
        ("guidance interval: 0 1, 0.2 0.8", "guidance_interval", ["0 1", "0.2 0.8"]),
        ('negative: "", blurry', "negative_prompt", ["", "blurry"]),
    ],
)
def test_axes_are_read_as_webui_reads_them(text: str, name: str, values: list[str]) -> None:
    axis = parse_axis(text)
    assert (axis.name, list(axis.values)) == (name, values)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "a grid needs an axis, as in --x 'steps: 10, 20'"),
        ({"x": "steps 10"}, "axis 'steps 10' is not NAME: VALUE, VALUE"),
        ({"x": "step: 10"}, "axis 'step' is unknown; nearest are steps"),
        ({"x": "steps:"}, "axis 'steps' has no values"),
        ({"x": "steps: ten"}, "steps 'ten' is not a finite int"),
        ({"x": "steps: 0, 5"}, "steps 0 is out of range"),
        ({"x": "steps: 1-9 (-1)"}, "range '1-9 (-1)' never comes to its end"),
        ({"x": "seed: 1-999999"}, "axis 'seed' has 1001 values; at most 1000 are possible"),
        ({"x": 'prompt s/r: "a'}, "have a quote that does not end"),
        ({"x": 'prompt s/r: "", cow'}, "its first value, which is replaced, is empty"),
        ({"x": "prompt s/r: dog, cow"}, "the prompt has no 'dog', its first value"),
        ({"x": "steps: 1", "y": "steps: 2"}, "two axes change the same: steps, steps"),
        ({"x": "sampler: euler, dimm"}, "sampler 'dimm' is unknown"),
        ({"x": "size: 17x16"}, "width 17 is not a multiple of"),
    ],
)
def test_mistakes_are_named(axes: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError) as raised:  # noqa: PT011
        grid_of(BASE, SMALLEST, **axes)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_cells_differ_in_what_the_axes_say_alone() -> None:
    grid = grid_of(BASE, SMALLEST, x="steps: 2, 4", y="prompt s/r: red, blue", z="seed: 7")
    told = [(c.seed, c.prompt, c.negative_prompt, c.steps) for c in grid.cells]
    assert told == [
        (7, "a red cat", "red", 2),
        (7, "a red cat", "red", 4),
        (7, "a blue cat", "blue", 2),
        (7, "a blue cat", "blue", 4),
    ]
    assert grid.labels == (["steps: 2", "steps: 4"], ["red", "blue"], ["seed: 7"])
    assert grid.described["Y Values"] == "red, blue"
    karras = "schedule type: Automatic, Karras"
    cells = grid_of(replace(BASE, sampler="lms"), SMALLEST, x="size: 16x24, 32x16", y=karras).cells
    assert [(c.width, c.height, c.sampler) for c in cells] == [
        (16, 24, "lms"),
        (32, 16, "lms"),
        (16, 24, "lms_karras"),
        (32, 16, "lms_karras"),
    ]


class Counted(Executables):
    """Counts what is compiled, by the name of the function."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def _compile(self, path: Any, function: Any, static: Any, arrays: Any) -> Any:
        self.count[function.__name__] += 1
        return super()._compile(path, function, static, arrays)


def test_a_grid_is_a_batch_whose_cells_are_their_single_runs() -> None:
    pipe = replace(pipeline(SMALLEST), programs=Counted())
    samplers = "sampler: euler_a, heun"
    grid = grid_of(BASE, SMALLEST, x="steps: 2, 3", y=samplers, z="cfg: 3, 4")
    rows = []
    images = draw_many(pipe, grid.cells, progress=lambda done, total: rows.append((done, total)))
    once = {"initial_noise": 1, "encode": 1, "denoise": 1, "decode": 1}
    assert pipe.programs.count == once
    assert rows == [(i, 5) for i in range(1, 6)]  # heun's
    for i in (1, 6):
        order = pipe.order([grid.cells[i]], batch=8)
        alone = pipe.pictures(pipe.drawn(order, lambda *_: None), order)[0]
        assert np.abs(alone.astype(int) - images[i]).max() <= 1
    assert len({image.tobytes() for image in images}) == 8
    assert pipe.programs.count == once


def test_calls_have_alike_sizes_and_alike_rows() -> None:
    cells = grid_of(BASE, SMALLEST, x="steps: 1-10", y="size: 16x16, 16x32").cells
    calls = calls_of(cells, SMALLEST, TOKENIZERS, 8)
    assert [call.batch for call in calls] == [5, 5, 5, 5]
    assert [call.rows for call in calls] == [5, 10, 5, 10]
    assert sorted(i for call in calls for i in call.numbers) == list(range(20))
    # Those without guidance have half as many texts and branches, and calls of their own.
    cells = grid_of(BASE, SMALLEST, x="cfg: 1, 3, 0.5, 4, 7").cells
    assert [call.numbers for call in calls_of(cells, SMALLEST, TOKENIZERS, 8)] == [
        (0, 2),
        (1, 3, 4),
    ]


def test_a_sheet_has_pictures_and_texts_in_their_places() -> None:
    images = [np.full((20 + 4 * (i == 1), 30, 3), 40 * i, np.uint8) for i in range(4)]
    sheet = labelled_sheet(images, ["left", "right"], ["", ""])
    # Without texts at the left nothing but a gap is there, and cells are as large as the largest.
    assert sheet.shape[1] == 2 * (30 + GAP) + GAP
    assert (sheet[:-48, :] < 255).any()  # the texts above
    rows = sheet[-2 * (24 + GAP) :]
    np.testing.assert_array_equal(rows[:24, 2 * GAP + 30 : -GAP], images[1])
    np.testing.assert_array_equal(rows[2:22, GAP : GAP + 30], images[0])
    np.testing.assert_array_equal(rows[24 + GAP + 2 : -GAP - 2, GAP : GAP + 30], images[2])
    words = text_block("some words that are long", 60, 11)
    assert words.shape[1] <= 60
    assert words.shape[0] > 2 * text_block("some", 60, 11).shape[0] - 4 * GAP
    assert text_block("unbreakable" * 9, 60, 11).shape[1] <= 62
    assert text_block(" ", 60, 11).size == 0
