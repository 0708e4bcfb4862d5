"""Pictures enlarged by networks: tiles, the second pass, the command."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_pipelines import SMALLEST, pipeline

from jaxsd.cli.main import run
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.images import from_uint8, read_image, write_picture
from jaxsd.outputs import adapter_hashes
from jaxsd.pipeline.drawing import continued
from jaxsd.pipeline.upscaling import load_upscaler, windows
from jaxsd.settings import Recipe, Settings, checked
from jaxsd.webui import parameters_text

SHAPES = {"body.0": (4, 3, 3, 3), "body.2": (4, 4, 3, 3), "body.4": (12, 4, 3, 3)}
DRAWN = {"steps": 1, "height": 8, "width": 12, "sampler": "euler", "guidance_scale": 1}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compact network that doubles."""
    chance, tensors = np.random.default_rng(0), {}
    for name, shape in SHAPES.items():
        tensors[f"{name}.weight"] = chance.normal(size=shape).astype(np.float32) / 8
        tensors[f"{name}.bias"] = chance.normal(size=shape[0]).astype(np.float32) / 8
    tensors |= {f"body.{i}.weight": np.full(4, 0.2, np.float32) for i in (1, 3)}
    path = tmp_path_factory.mktemp("networks") / "double.safetensors"
    write_safetensors(path, {name: in_memory(array) for name, array in tensors.items()}, {})
    return path


@pytest.mark.parametrize(("length", "tile", "around"), [(100, 16, 3), (37, 16, 10), (16, 16, 4)])
def test_tiles_fill_a_length_and_see_what_is_around(length: int, tile: int, around: int) -> None:
    pixels, whole = np.arange(length).repeat(2), []
    found = windows(length, tile, around, 2)
    assert len({one.seen.stop - one.seen.start for one in found}) == 1
    for one in found:
        assert one.place.start == 2 * one.seen.start + one.kept.start
        whole.extend(pixels[2 * one.seen.start : 2 * one.seen.stop][one.kept])
        assert one.seen.start == 0 or one.place.start // 2 - one.seen.start >= around
        assert one.seen.stop == length or one.seen.stop - one.place.stop // 2 >= around
    np.testing.assert_array_equal(whole, pixels)


def test_tiles_give_the_whole_picture(file: Path) -> None:
    image = np.random.default_rng(1).integers(0, 256, (43, 50, 3)).astype(np.uint8)
    network, told = load_upscaler(file), []
    tiled = network.picture(image, 16, told.append)
    assert tiled.shape == (86, 100, 3)
    assert told == list(range(1, 13))
    difference = tiled.astype(int) - network.picture(image, 0)
    assert np.abs(difference).max() <= 1
    assert np.mean(difference != 0) < 0.001


def test_a_second_pass_begins_from_what_a_network_made(file: Path) -> None:
    hires = {"hires": 3.0, "hires_upscaler": str(file)}
    settings = checked(Settings("a", **DRAWN, **hires), SMALLEST)
    pipe = pipeline(SMALLEST)
    later = pipe.order([settings]).later
    small = np.random.default_rng(1).integers(0, 256, (8, 12, 3)).astype(np.uint8)
    begun = continued(pipe._own_programs((), settings), later, from_uint8(small)[None])
    network = load_upscaler(file)
    large = np.asarray(network(network(small[None].astype(np.float32) / 255)))[0]
    for i in range(3):  # 4 times, of which Lanczos makes 3
        channel = Image.fromarray(large[..., i]).resize((36, 24), Image.Resampling.LANCZOS)
        want = np.clip(np.asarray(channel) * 2 - 1, -1, 1)
        np.testing.assert_allclose(begun.given.image[0, ..., i], want, atol=1e-5)
    assert adapter_hashes(settings).keys() == {str(file)}
    assert "Hires upscaler: double" in parameters_text(Recipe(settings, "m", "float32", ""))


def test_the_command_writes_what_the_network_makes(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image = np.random.default_rng(1).integers(0, 256, (43, 50, 3)).astype(np.uint8)
    write_picture(tmp_path / "a.png", image)
    with pytest.raises(SystemExit) as ended:
        run(["upscale", str(tmp_path / "a.png"), "--model", str(file), "-o", str(tmp_path)])
    assert not ended.value.code
    want = load_upscaler(file).picture(image)
    np.testing.assert_array_equal(read_image(tmp_path / "a_x2.png"), want)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "--tile", "5"], "--tile 5 is not 0, nor 16 pixels or more"),
        (["a.png", "b/a.png", "-o", "."], "two pictures would be written to a_x2.png"),
        (["a.png", "b.png", "-o", "c.png"], "-o c.png is a file for 2 pictures"),
        (["a.png", "-o", "nowhere"], "-o nowhere is no folder, nor NAME.png"),
        (["b.png"], "picture 'b.png': No such file or directory"),
    ],
)
def test_mistakes_are_named(
    arguments: list[str],
    message: str,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    write_picture(tmp_path / "a.png", np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(SystemExit) as ended:
        run(["upscale", *arguments, "--model", str(file)])
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert message in error
    assert error.count("\n") == 1
