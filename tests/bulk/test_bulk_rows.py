"""Rows as people write them, and what is wrong with some."""

import json
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from bulk_models import SPEC, rows_of

from jaxsd.bulk.config import BulkConfig, read_config
from jaxsd.bulk.rows import COLUMNS, read_rows
from jaxsd.images import write_picture
from jaxsd.settings import OPTIONS, Control, ImagePrompt, Settings, checked

WANT = [("a cat", 3, 2.0, 32, 16, "euler_a", 5), ("a dog", 0, 7.5, 16, 16, "ddim", 20)]


def read(path: Path, **config: object) -> tuple:
    return read_rows(BulkConfig(output="o", rows=str(path), **config), SPEC)


def facts(rows: list) -> list[tuple]:
    names = ("prompt", "seed", "guidance_scale", "width", "height", "sampler", "steps")
    return [tuple(getattr(row.settings, name) for name in names) for row in rows]


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_bytes(text.encode())
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
    assert [(row.settings.prompt, row.settings.seed) for row in rows] == [
        ("a cat", 9),
        ("a dog", 9),
    ]


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_a_guidance_scale_of_0_is_0(tmp_path: Path, form: str) -> None:
    text = {"jsonl": '{"prompt": "a", "guidance_scale": 0}', "csv": "prompt,guidance_scale\na,0\n"}
    rows, bad = read(write(tmp_path, f"a.{form}", text[form]))
    assert ([row.settings.guidance_scale for row in rows], bad) == ([0.0], [])


def test_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [CAT | {"size": "32x16", "__index_level_0__": 3}, {"prompt": "a dog"}]
    parquet.write_table(pyarrow.Table.from_pylist(columns), tmp_path / "a.parquet")
    assert facts(read(tmp_path / "a.parquet")[0]) == WANT


def test_axes_are_a_product_whose_last_varies_fastest() -> None:
    config = BulkConfig(
        output="o",
        prompt="a {colour} thing",
        axes={"colour": ["red", "blue"], "seed": {"first": 4, "count": 2}, "steps": [3]},
    )
    rows, bad = read_rows(config, SPEC)
    assert not bad
    assert [(s.prompt, s.seed, s.steps) for _, s in rows] == [
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
        ('{"prompt": "a", "size": "31x16"}', "width 31 is not a multiple of 2"),
        ('{"prompt": "a", "sampler": "dimm"}', "sampler 'dimm' is unknown"),
        ('{"prompt": "a", "steps": 0}', "steps 0 is out of range; allowed is at least 1"),
        ('{"prompt": "a", "seed": -1}', "seed -1 is out of range; allowed is 0 to"),
        ('{"prompt": "a", "seed": 1.5}', "seed is 1.5, it must be of type int"),
        ('{"prompt": "a", "guidance_scale": NaN}', "is not"),
        ('{"prompt": "a", "sede": 1}', "unknown column 'sede'; nearest are seed, "),
        ('{"prompt": "a", "id": "../a"}', "id '../a' is not"),
        ('{"prompt": "a", "id": "x"}', None),
        ('{"prompt": "a", "id": "x"}', "id 'x' was used before"),
        ('{"prompt"', "not JSON"),
        ("[1]", "not a table"),
        ('{"prompt": "\\ud800"}', "not Unicode"),
        ('{"prompt": "a", "id": ""}', "id '' is not"),
        (
            '{"prompt": "a", "id": "' + "\u732b" * 67 + '"}',
            "has more than 200 bytes, as the name of",
        ),
        ('{"prompt": "a", "image": "' + "n" * 5000 + '"}', "there is no file"),
        ('{"prompt": "a", "id": true}', "id True is not"),
        ('{"prompt": "a", "id": [1]}', "id [1] is not"),
        ('{"prompt": "a", "seed": 9223372036854775808}', "seed 9223372036854775808 is out of"),
        ('{"prompt": "a", "steps": [1]}', "steps is [1], it must be of type int"),
        ('{"prompt": "a", "guidance_scale": 1' + "0" * 399 + "}", "not a finite number"),
        ('{"prompt": "a", "size": ""}', "size '' is not WIDTHxHEIGHT"),
        ('{"prompt": "a", "size": "32x16", "width": 64}', "size 32x16 and width 64 differ"),
        ('{"prompt": "a", "seed": 1, "seed": 2}', "the key 'seed' is there twice"),
        ('{"prompt": ' + "[" * 10_000, "more than 100 lists or tables within each other"),
    ]
    path = write(tmp_path, "a.jsonl", "\n".join(line for line, _ in lines))
    rows, bad = read(path)
    assert len(rows) == 2
    wanted = [(i, error) for i, (_, error) in enumerate(lines, 1) if error]
    assert [one.line for one in bad] == [line for line, _ in wanted]
    for one, (_, error) in zip(bad, wanted, strict=True):
        assert error in one.error
        assert "\n" not in one.error


def test_options_in_lines_of_text_are_no_prompts(tmp_path: Path) -> None:
    """webui's prompts from a file."""
    rows, bad = read(write(tmp_path, "a.txt", 'a cat\n--prompt "a dog" --steps 3\n'))
    assert [row.settings.prompt for row in rows] == ["a cat"]
    assert [one.line for one in bad] == [2]
    assert "has options, which need a table: .jsonl or .csv" in bad[0].error


def test_a_table_of_pandas_says_the_same(tmp_path: Path) -> None:
    table = "\ufeff,id,prompt,seed,steps\r\n0,7,a\u2028b,7.0,5.0\r\n1,8,,,\r\n2,9,c,,\r\n"
    rows, bad = read(write(tmp_path, "a.csv", table))
    assert [(row.id, row.settings.prompt, row.settings.seed) for row in rows] == [
        ("7", "a\u2028b", 7),
        ("9", "c", 0),
    ]
    assert [(one.line, one.error) for one in bad] == [(3, "the prompt is empty")]


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**32, 156680208700286, 2**63 - 1])
def test_seeds_of_other_programs(tmp_path: Path, seed: int) -> None:
    for name, text in (
        ("a.jsonl", f'{{"prompt": "a", "seed": {seed}}}'),
        ("a.csv", f"prompt,seed\na,{seed}\n"),
    ):
        rows, bad = read(write(tmp_path, name, text), seed=3)
        assert ([row.settings.seed for row in rows], bad) == ([seed], [])


def test_zeros_mean_what_they_say() -> None:
    said = {"guidance_scale": 0, "seed": 0, "mask_blur": 0.0, "composite": False, "id": 0}
    ((row_id, made),) = rows_of(
        [{"prompt": "a"} | said], guidance_scale=3.0, seed=4, mask_blur=1.0, composite=True
    )
    assert row_id == "0"
    assert (made.guidance_scale, made.seed, made.mask_blur, made.composite) == (0, 0, 0, False)


def test_a_row_may_keep_away_from_nothing() -> None:
    rows = rows_of([{"prompt": "a"}, {"prompt": "a", "negative_prompt": ""}], negative_prompt="b")
    assert [row.settings.negative_prompt for row in rows] == ["b", ""]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('rows = "a.txt"', "'output' is missing"),
        ('output = "o"', "either rows"),
        ('output = "o"\nrows = "a.txt"\nformat = "zip"', "format 'zip' is not one of"),
        ('output = "o"\nrows = "a.txt"\nbatch_size = 0', "batch_size is 0"),
        (
            'output = "o"\nrows = "a.txt"\nbatchsize = 0',
            "unknown key 'batchsize'; nearest are batch_size",
        ),
        (
            'output = "o"\nrows = "a.txt"\nreuse = 0',
            "reuse 0 is out of range; allowed is 1 to 1000",
        ),
        (
            'output = "o"\nrows = "a.txt"\nguidance_interval = [0.5]',
            r"guidance_interval \(0.5,\) is not FROM TO",
        ),
        ('output = "o"\nrows = "a.txt"\nguidance_interval = [0.8, 0.2]', "0 <= FROM <= TO <= 1"),
        ('output = "o"\nrows = 1', "rows is 1, it must be of type str"),
        ('output = "o"\nrows = "a.txt"\nsize = "512"', "size '512' is not WIDTHxHEIGHT"),
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
        ({"axes": {"a": [1]}, "prompt": "{a.__class__}"}, r"more in braces .* at {a\.__class__"),
        ({"axes": {"a": [1]}, "prompt": "{a[0]}"}, r"more in braces .* at {a\[0\]"),
        ({"axes": {"a": [1]}, "prompt": "{a:99999999999}"}, "more in braces"),
        ({"axes": {"a": [1]}, "prompt": "{a!r}"}, "more in braces"),
        ({"axes": {"a": [1], "0": [2]}, "prompt": "{0}"}, "more in braces"),
        ({"axes": {"a": ["x" * 10**4]}, "prompt": "{a}" * 99}, "has up to 990297 characters"),
        ({"axes": {"a": [1]}, "prompt": "{}"}, "more in braces"),
        ({"axes": {"a": [1]}, "prompt": "{a"}, "is no template: expected '}'"),
        ({"axes": {"a": [[1]]}, "prompt": "{a}"}, r"axis 'a' has \[1\], which is no text or"),
        ({"axes": {"a": [True]}, "prompt": "{a}"}, "axis 'a' has True, which is no text or"),
        ({"axes": {"a": {"first": 0, "count": 0}}, "prompt": "{a}"}, "axis 'a' is {'first'"),
        ({"axes": {"a": {"first": "0", "count": 2}}, "prompt": "{a}"}, "axis 'a' is {'first'"),
        ({"axes": {"a": {"file": 3}}, "prompt": "{a}"}, "axis 'a' is {'file': 3}"),
        ({"axes": {"seed": {"first": 0, "count": 1e12}}, "prompt": "x"}, "make 1000000000000 rows"),
    ],
)
def test_tables_that_do_not_fit_are_one_line(config: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as error:
        read_rows(BulkConfig(output="o", **config), SPEC)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "packed", "message"),
    [
        ("a.jsonl", b"\n\n", "has no rows"),
        ("a.txt", b"", "has no rows"),
        ("a.csv", b"prompt\n", "has no rows"),
        ("a.txt", b"caf\xe9\n", r"a\.txt line 1 is not UTF-8 text"),
        ("a.jsonl", '{"prompt": "a"}'.encode("utf-16"), r"a\.jsonl line 1 is not UTF-8 text"),
        ("a.csv", b"prompt\ncaf\xe9\n", r"a\.csv line 2 is not UTF-8 text"),
        ("a.csv", b'prompt\n"a\n', r"a\.csv line 2 is not CSV"),
        ("a.parquet", b"PAR1", r"a\.parquet can not be read as Parquet"),
    ],
)
def test_files_that_do_not_serve_are_one_line(
    tmp_path: Path, name: str, packed: bytes, message: str
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    (tmp_path / name).write_bytes(packed)
    with pytest.raises(ValueError, match=message) as error:
        read(tmp_path / name)
    assert "\n" not in str(error.value)


def test_lines_of_text_and_of_axes_are_read_alike(tmp_path: Path) -> None:
    path = write(tmp_path, "a.txt", "\ufeffa cat\r\n\na\u2028dog \n")
    assert [row.settings.prompt for row in read(path)[0]] == ["a cat", "a\u2028dog"]
    config = BulkConfig(output="o", prompt="{x} {{}}", axes={"x": {"file": str(path)}})
    rows, _ = read_rows(config, SPEC)
    assert [row.settings.prompt for row in rows] == ["a cat {}", "a\u2028dog {}"]


def test_every_option_is_a_key_of_runs_and_a_column_of_rows() -> None:
    assert set(OPTIONS) < {field.name for field in fields(BulkConfig)}
    assert set(COLUMNS) == set(OPTIONS) | {"id", "size"}


def outside(option: object) -> list[object]:
    """Values that are just out of range."""
    low, high, words = (option.metadata[name] for name in ("low", "high", "words"))
    whole = option.type in (int, int | None, tuple[int, ...])
    beyond = ([] if low is None else [low - 1]) + ([] if high is None else [high + 1])
    values = [int(one) if whole else float(one) for one in beyond] + (["dimm"] if words else [])
    count = len(option.default) if isinstance(option.default, tuple) else 0
    return [[one] * count if count else one for one in values]


OUT_OF_RANGE = [(name, value) for name, one in OPTIONS.items() for value in outside(one)]


@pytest.mark.parametrize(("name", "value"), OUT_OF_RANGE)
def test_what_is_out_of_range_is_refused_as_in_python(
    name: str, value: object, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=name) as said:
        checked(replace(Settings("a"), **{name: value}), SPEC)
    path = write(tmp_path, "a.jsonl", json.dumps({"prompt": "a", name: value}))
    rows, bad = read(path)
    assert (rows, [one.error for one in bad]) == ([], [str(said.value)])
    with pytest.raises(ValueError, match=f"^{re.escape(str(said.value))}$"):
        BulkConfig(output="o", rows="a.txt", **{name: value})


def test_what_is_out_of_range_was_looked_for() -> None:
    assert {"seed", "steps", "guidance_interval", "preprocessor"} < {n for n, _ in OUT_OF_RANGE}


def test_rows_name_pictures_beside_their_table(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    write_picture(tmp_path / "table/cat.png", np.zeros((8, 8, 3), np.uint8))
    table = write(
        tmp_path / "table",
        "a.csv",
        "prompt,image,strength,control,ip_adapter\na,cat.png,0.5,cat.png:net:0.5,cat.png:a.bin\n"
        "a,dog.png,,,\na,cat.png,2,,\na,,,,eel.png:a.bin\n",
    )
    config = write(tmp_path, "a.toml", f'output = "o"\nrows = "{table}"\nmask_blur = 2.0')
    rows, bad = read_rows(read_config(config), SPEC)
    (settings,) = (row.settings for row in rows)
    assert (settings.image, settings.strength, settings.mask_blur) == ("cat.png", 0.5, 2.0)
    assert settings.control == (Control("cat.png", "net", 0.5),)
    assert settings.ip_adapter == (ImagePrompt("cat.png", "a.bin"),)
    assert [one.error for one in bad] == [
        f"picture 'dog.png': there is no file {tmp_path}/table/dog.png",
        "strength 2.0 is out of range; allowed is 0 to 1",
        f"picture 'eel.png': there is no file {tmp_path}/table/eel.png",
    ]


def test_axes_name_pictures_beside_the_configuration(tmp_path: Path) -> None:
    write_picture(tmp_path / "cat.png", np.zeros((8, 8, 3), np.uint8))
    text = 'output = "o"\nprompt = "a"\nimage = "cat.png"\n[axes]\nstrength = [0.5, 1]'
    config = read_config(write(tmp_path, "a.toml", text))
    rows, bad = read_rows(config, SPEC)
    assert not bad
    assert [row.settings.strength for row in rows] == [0.5, 1.0]
    _, bad = read_rows(replace(config, axes={"sede": [1]}), SPEC)
    assert bad[0].error.startswith("unknown column 'sede'; nearest are seed, ")
