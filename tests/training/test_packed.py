"""Pictures in ArrayRecord files: what is packed, or drawn in bulk, comes back as a batch."""

import json
import os
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from test_folder import save
from tiny_models import TINY
from tiny_runs import jaxsd, tiny_pictures

from jaxsd.bulk.shards import array_record
from jaxsd.images import png_bytes
from jaxsd.records import packed, writer
from jaxsd.text import Tokenizer, vocabulary_of
from jaxsd.training.captioned import Source, captioned_batches, folder_source
from jaxsd.training.config import TrainConfig
from jaxsd.training.folder import all_decoded
from jaxsd.training.packed import read_data
from jaxsd.training.records import write_records

VOCABULARY = vocabulary_of(())
TOKENIZER = Tokenizer(VOCABULARY, 16, len(VOCABULARY.ids) - 1)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Four pictures, of which one has two captions, one none, one an empty one; with conditions."""
    table = tiny_pictures(tmp_path / "data", 4) / "metadata.jsonl"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    rows[1]["texts"] = ["größer"]
    del rows[2]["text"]
    rows[3]["text"] = ""
    for i, row in enumerate(rows):
        row["conditioning_image_file_name"] = f"{(i + 1) % 4}.png"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "data"


def test_batches_are_those_of_the_folder(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "packed"
    jaxsd("pack", pictures, "-o", place)
    assert capsys.readouterr().out == f"{place}: 4 pictures; train with data={place}\n"
    assert os.listdir(place) == ["00000.array_record"]
    found = read_data(place, "a caption")
    assert found.texts == (("thing 0",), ("thing 1", "größer"), ("a caption",), ("",))
    config = TrainConfig(
        *("lora", "", str(pictures), 1, 2, 1.0), warmup_steps=0, max_aspect=2.0, caption="a caption"
    )
    spec = replace(TINY["sd1"], default_size=64)

    def batches(data: Path) -> list:
        def source(place: str, caption: str) -> Source:
            return folder_source(config, spec, [TOKENIZER], place, caption)

        batch = captioned_batches(replace(config, data=str(data)), spec, source)
        return [batch(number, slice(0, 2)) for number in range(6)]

    want, got = batches(pictures), batches(place)
    assert want[0].condition is not None
    assert len({one.pictures.shape for one in want}) > 1
    for a, b in zip(jax.tree.leaves(want), jax.tree.leaves(got), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_was_drawn_in_bulk_can_be_trained_on(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (3, 16, 24, 3), dtype=np.uint8)
    (tmp_path / "shards").mkdir()
    with array_record(tmp_path / "shards" / "00000.array_record", "png") as write:
        for i, image in enumerate(images):
            write({"id": str(i), "prompt": f"thing {i}", "seed": i}, png_bytes(image))
    found = read_data(tmp_path)
    assert found.texts == (("thing 0",), ("thing 1",), ("thing 2",))
    assert not found.conditioned.any()
    pixels = [picture.pixels for picture in all_decoded(found, np.arange(3), (16, 24))]
    np.testing.assert_array_equal(pixels, images)


def test_broken_records_are_named_and_left_out(tmp_path: Path) -> None:
    whole = save(tmp_path / "one", "0.png", 16, 16).read_bytes()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    bodies = [whole, b"not a picture", png_bytes(noise)]
    path = tmp_path / "a.array_record"
    write_records(path, (packed({"text": "a"}, body) for body in bodies))
    with pytest.warns(UserWarning, match=r"a\.array_record:1 can not be read and is left out"):
        found = read_data(tmp_path)
    assert found.names == ("a.array_record:0", "a.array_record:2")
    assert all_decoded(found, np.array([1]), (8, 8))[0].row == 1
    # A flipped bit is seen by the file's own checksum.
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(png_bytes(noise)[:2000]) + 1000] ^= 1
    path.write_bytes(damaged)
    with (
        pytest.warns(UserWarning, match=r"a\.array_record:1"),
        pytest.raises(
            ValueError, match=r"2 of 3 pictures in .* more than 1%: a\.array_record:1, a"
        ),
    ):
        read_data(tmp_path)


def test_records_for_a_full_disk_are_an_error_that_names_the_file() -> None:
    with (
        pytest.raises(OSError, match="No space left on device: '/dev/full'"),
        writer(Path("/dev/full")) as write,
    ):
        write(bytes(10**6))


def test_files_that_do_not_serve_are_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.array_record"
    path.write_bytes(b"not a file of records")
    with pytest.raises(
        ValueError, match=r"a\.array_record is not a whole ArrayRecord file: "
    ) as end:
        read_data(tmp_path)
    assert "\n" not in str(end.value)
    write_records(path, [b"not JSON"])
    with pytest.raises(ValueError, match=r"a\.array_record:0 is not JSON"):
        read_data(tmp_path)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"text": None}, "text is None, it must be of type str"),
        ({"texts": "abc"}, "texts is 'abc', it must be of type list"),
        ({"condition_bytes": "3"}, "condition_bytes '3'"),
        ({"condition_bytes": 10**9}, "condition_bytes 1000000000"),
    ],
)
def test_a_header_of_other_types_is_one_line(
    tmp_path: Path, header: dict[str, object], why: str
) -> None:
    picture = png_bytes(np.zeros((8, 8, 3), np.uint8))
    write_records(tmp_path / "a.array_record", [packed(header, picture)])
    with pytest.raises(ValueError, match=rf"a\.array_record:0.*{why}"):
        read_data(tmp_path)
