"""Rows as people write them, and what is wrong with some."""

import json
from pathlib import Path

import pytest
from bulk_models import SPEC, TABLEAU_OF, rows_of

from jaxsd.bulk.config import BulkConfig, read_config
from jaxsd.bulk.rows import read_rows

WANT = [("a cat", 3, 2.0, 32, 16, "euler_a", 5), ("a dog", 0, 7.5, 16, 16, "ddim", 20)]


def read(path: Path, **config: object) -> tuple:
    return read_rows(BulkConfig(output="o", rows=str(path), **config), SPEC, TABLEAU_OF)


def facts(rows: list) -> list[tuple]:
    return [
        (r.prompt, r.seed, r.guidance_scale, r.width, r.height, r.sampler, r.steps) for r in rows
    ]


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


CAT = {"prompt": "a cat", "seed": 3, "guidance_scale": 2, "sampler": "euler_a", "steps": 5}


def test_every_kind_of_file_says_the_same(tmp_path: Path) -> None:
    lines = [json.dumps(CAT | {"size": "32x16"}), "", json.dumps({"prompt": "a dog"})]
    rows, bad = read(write(tmp_path, "a.jsonl", "\n".join(lines)))
    assert (facts(rows), bad) == (WANT, [])
    table = "prompt,seed,guidance_scale,sampler,steps,width,height\na cat,3,2,euler_a,5,32,16\n"
    rows, bad = read(write(tmp_path, "a.csv", table + "a dog,,,,,,\n"))
    assert (facts(rows), bad) == (WANT, [])
    rows, bad = read(write(tmp_path, "a.txt", "a cat\n\n a dog \n"), seed=9)
    assert [(row.prompt, row.seed) for row in rows] == [("a cat", 9), ("a dog", 9)]


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [CAT | {"size": "32x16"}, {"prompt": "a dog"}]
    parquet.write_table(pyarrow.Table.from_pylist(columns), tmp_path / "a.parquet")
    assert facts(read(tmp_path / "a.parquet")[0]) == WANT


def test_axes_are_a_product_whose_last_varies_fastest() -> None:
    config = BulkConfig(
        output="o",
        prompt="a {colour} thing",
        axes={"colour": ["red", "blue"], "seed": {"first": 4, "count": 2}, "steps": [3]},
    )
    rows, bad = read_rows(config, SPEC, TABLEAU_OF)
    assert not bad
    assert [(row.prompt, row.seed, row.steps) for row in rows] == [
        ("a red thing", 4, 3),
        ("a red thing", 5, 3),
        ("a blue thing", 4, 3),
        ("a blue thing", 5, 3),
    ]
    assert len({row.id for row in rows}) == 4


def test_bad_rows_are_all_told_with_their_lines(tmp_path: Path) -> None:
    lines = [
        ('{"prompt": " "}', "the prompt is empty"),
        ('{"prompt": "a", "size": "30x16"}', None),
        ('{"prompt": "a", "size": "31x16"}', "size 31x16: 31 is not a multiple of 2"),
        ('{"prompt": "a", "sampler": "dimm"}', "sampler 'dimm' is unknown"),
        ('{"prompt": "a", "steps": 0}', "steps must be 1 to 1000"),
        ('{"prompt": "a", "seed": -1}', "seed -1 is not 0 to"),
        ('{"prompt": "a", "seed": 1.5}', "seed 1.5 is not of type int"),
        ('{"prompt": "a", "guidance_scale": NaN}', "is not"),
        ('{"prompt": "a", "sede": 1}', "unknown column 'sede'"),
        ('{"prompt": "a", "id": "../a"}', "id '../a' is not"),
        ('{"prompt": "a", "id": "x"}', None),
        ('{"prompt": "a", "id": "x"}', "id 'x' was used before"),
        ('{"prompt"', "not JSON"),
        ("[1]", "not an object"),
        ('{"prompt": "\\ud800"}', "not valid Unicode"),
    ]
    path = write(tmp_path, "a.jsonl", "\n".join(line for line, _ in lines))
    rows, bad = read(path)
    assert len(rows) == 2
    wanted = [(i, error) for i, (_, error) in enumerate(lines, 1) if error]
    assert [one.line for one in bad] == [line for line, _ in wanted]
    for one, (_, error) in zip(bad, wanted, strict=True):
        assert error in one.error
        assert "\n" not in one.error


def test_a_row_may_keep_away_from_nothing() -> None:
    rows = rows_of([{"prompt": "a"}, {"prompt": "a", "negative_prompt": ""}], negative_prompt="b")
    assert [row.negative_prompt for row in rows] == ["b", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('rows = "a.txt"', "'output' is missing"),
        ('output = "o"', "either rows"),
        ('output = "o"\nrows = "a.txt"\nformat = "zip"', "format 'zip' is not one of"),
        ('output = "o"\nrows = "a.txt"\nbatch_size = 0', "batch_size is 0"),
        ('output = "o"\nrows = "a.txt"\nbatchsize = 0', "unknown key 'batchsize'"),
        ('output = "o"\nrows = "a.txt"\nreuse = 0', "reuse 0 is not a whole number"),
        ('output = "o"\nrows = "a.txt"\nguidance_interval = [0.5]', r"guidance_interval \(0.5,\)"),
        ('output = "o"\nrows = "a.txt"\nguidance_interval = [0.8, 0.2]', "0 <= FROM <= TO <= 1"),
        ('output = "o"\nrows = 1', "rows is 1, it must be of type str"),
        ("output =", "not TOML"),
    ],
)
def test_configurations_that_do_not_fit_are_one_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_config(write(tmp_path, "a.toml", text))
    assert "\n" not in str(error.value)


def test_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, "a.toml", 'output = "o"\nrows = "a.txt"\nmesh = [-1, 1, 1]')
    config = read_config(path, ["output=else", "batch_size=3", "mesh=[2, 1, 1]"])
    assert (config.output, config.batch_size, config.mesh) == ("else", 3, (2, 1, 1))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"rows": "a.xls"}, "not one of .jsonl"),
        ({"axes": {"a": 1}, "prompt": "{a}"}, "axis 'a' is 1"),
        ({"axes": {"a": [1]}, "prompt": "{b}"}, "has {b}"),
    ],
)
def test_tables_that_do_not_fit_are_one_line(config: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_rows(BulkConfig(output="o", **config), SPEC, TABLEAU_OF)
