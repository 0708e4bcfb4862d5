"""Files of networks that enlarge pictures: their kinds, their numbers, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
from convert_fakes import unread
from real_files import LORA
from torch_bytes import WRITERS, dict_of, of_array

from jaxsd.convert.slots import Mismatch
from jaxsd.convert.upscaler import open_upscaler, read_upscaler
from jaxsd.convert.upscaler_layouts import LAYOUTS
from jaxsd.upscalers import CompactConfig, RRDBConfig

ESRGAN = RRDBConfig(channels=64, growth=32, blocks=23, doublings=2)


def names_of(sign: str, config: object) -> dict[str, tuple[int, ...]]:
    _, shapes_of, name_of = LAYOUTS[sign]
    return {name_of(config, path): shape for path, shape in shapes_of(config).items()}


def test_names_are_those_of_the_authors_files() -> None:
    # By hand: 23 x 3 x 5 convolutions, and 6 around them, each with a bias.
    for sign in ("conv_body.weight", "trunk_conv.weight", "model.0.weight"):
        assert len(names_of(sign, ESRGAN)) == 2 * (23 * 15 + 6)
    assert {"body.22.rdb3.conv5.bias", "conv_up2.weight", "conv_hr.bias"} <= set(
        names_of("conv_body.weight", ESRGAN)
    )
    assert {"RRDB_trunk.22.RDB3.conv5.bias", "upconv2.weight", "HRconv.bias"} <= set(
        names_of("trunk_conv.weight", ESRGAN)
    )
    assert {"model.1.sub.23.weight", "model.1.sub.0.RDB1.conv1.0.weight", "model.6.bias"} <= set(
        names_of("model.0.weight", ESRGAN)
    )
    general = names_of("body.0.weight", CompactConfig(64, 32, 4))  # realesr-general-x4v3
    assert {"body.65.weight", "body.66.weight", "body.66.bias"} <= set(general)
    assert len(general) == 3 * 33 + 2


@pytest.mark.parametrize("writer", WRITERS)
def test_numbers_follow_from_the_tensors_of_a_pickle(writer: str, tmp_path: Path) -> None:
    config = CompactConfig(4, 1, 2)
    shapes = {"body.0.weight": (4, 3, 3, 3), "body.0.bias": (4,), "body.1.weight": (4,)}
    shapes |= {"body.2.weight": (4, 4, 3, 3), "body.2.bias": (4,), "body.3.weight": (4,)}
    shapes |= {"body.4.weight": (12, 4, 3, 3), "body.4.bias": (12,)}
    chance = np.random.default_rng(0)
    arrays = {name: chance.normal(size=s).astype(np.float32) for name, s in shapes.items()}
    state = {name: of_array(array, str(i)) for i, (name, array) in enumerate(arrays.items())}
    path = tmp_path / "network.pth"
    storages = {str(i): array for i, array in enumerate(arrays.values())}
    WRITERS[writer](path, dict_of({"params_ema": dict_of(state)}), storages)
    file = read_upscaler(path)
    assert file.config == config
    want = arrays["body.4.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(file.params["conv_2"]["kernel"], want)
    np.testing.assert_array_equal(file.params["slope_1"], arrays["body.3.weight"])


def opened(monkeypatch: pytest.MonkeyPatch, shapes: dict[str, tuple[int, ...]]) -> object:
    tensors = unread(shapes)
    monkeypatch.setattr("jaxsd.convert.upscaler.open_weights", lambda path: (tensors, {}))
    return open_upscaler(Path(__file__))[0]


def old(doublings: int, inputs: int = 3) -> dict[str, tuple[int, ...]]:
    config = RRDBConfig(8, 4, 1, doublings, 1)
    _, shapes_of, name_of = LAYOUTS["model.0.weight"]
    shapes = {path: s for path, s in shapes_of(config).items() if not path.endswith("bias")}
    flipped = {name_of(config, path): (s[3], s[2], s[0], s[1]) for path, s in shapes.items()}
    biases = {n.replace(".weight", ".bias"): s[:1] for n, s in flipped.items()}
    return flipped | biases | {"model.0.weight": (8, inputs, 3, 3)}


def test_the_scale_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [opened(monkeypatch, old(n)).scale for n in range(4)] == [1, 2, 4, 8]
    both = {f"params.{name}": shape for name, shape in old(1).items()}
    both |= {f"params_ema.{name}": shape for name, shape in old(2).items()}
    assert opened(monkeypatch, both).scale == 4


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"model.0.weight": (8, 3, 3, 3)}, "it has no convolution model.1.sub.0.RDB1.conv1.0"),
        (old(2, inputs=4), "model.0.weight has 4 channels, which are not 3 times a square"),
        (old(1, inputs=48), "a scale of 0.5 is not a whole number from 1 to 16"),
        (old(2) | {"model.998.weight": (3, 8, 3, 3)}, "doubles pixels 331 times; 0 to 4 are"),
        (
            old(2) | {"model.1.sub.0.conv1x1.weight": (8, 8, 1, 1)},
            "1 unused: model.1.sub.0.conv1x1",
        ),
        ({"body.0.weight": (8, 3, 3, 3), "body.2.weight": (7, 8, 3, 3)}, "body.2.weight has 7"),
    ],
)
def test_others_are_refused(shapes: dict, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        opened(monkeypatch, shapes)
    assert isinstance(raised.value, Mismatch) or "is no network that enlarges" in str(raised.value)


def test_another_kind_of_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a LoRA; networks that enlarge pictures are ESRGAN's"):
        open_upscaler(LORA)
    with pytest.raises(FileNotFoundError, match="no network that enlarges pictures at"):
        open_upscaler(tmp_path / "none.pth")
