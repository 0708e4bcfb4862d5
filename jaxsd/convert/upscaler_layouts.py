"""Names and shapes of networks that enlarge pictures, as their authors' code has them."""

import math
import re
from collections.abc import Callable

from jaxsd.convert.files.tensors import FlatTree
from jaxsd.convert.layer_shapes import Shapes, conv
from jaxsd.upscalers import CompactConfig, RDNConfig, RRDBConfig, UpscalerConfig

_MOST_DOUBLINGS = 4


def _shape(tensors: FlatTree, name: str) -> tuple[int, ...]:
    """The shape of a convolution's kernel [O, I, h, w].

    Raises:
      ValueError: it is not there, has another rank, or no numbers.
    """
    if (tensor := tensors.get(name)) is None or len(tensor.shape) != 4 or 0 in tensor.shape:
        raise ValueError(f"it has no convolution {name}")
    return tensor.shape


def _count(tensors: FlatTree, pattern: str) -> int:
    """How many numbers the names of tensors have at one place."""
    found = (re.fullmatch(pattern, name) for name in tensors)
    return len({match[1] for match in found if match})


def _root(what: str, number: int) -> int:
    """The side of a square of `number` pixels, each of three colours."""
    side = math.isqrt(number // 3)
    if 3 * side**2 != number or not side:
        raise ValueError(f"{what} has {number} channels, which are not 3 times a square")
    return side


def _stored(path: str) -> str:
    """PyTorch's name of the end of a path."""
    return path.replace("/kernel", ".weight").replace("/bias", ".bias").replace("/", ".")


def _rrdb_shapes(config: RRDBConfig) -> Shapes:
    wide, growth = config.channels, config.growth
    shapes = conv("conv_first", 3 * config.folded**2, wide)
    for i in range(config.blocks):
        for j in range(1, 4):
            for k in range(1, 6):
                out = growth if k < 5 else wide
                shapes |= conv(f"body_{i}/rdb{j}/conv{k}", wide + (k - 1) * growth, out)
    ups = [f"conv_up{i}" for i in range(1, config.doublings + 1)]
    for name in ("conv_body", *ups, "conv_hr"):
        shapes |= conv(name, wide, wide)
    return shapes | conv("conv_last", wide, 3)


def _rrdb(tensors: FlatTree, first: str, growth: str, blocks: str, doublings: int) -> RRDBConfig:
    channels, inputs = _shape(tensors, first)[:2]
    folded = _root(first, inputs)
    count, grown = _count(tensors, blocks), _shape(tensors, growth)[0]
    if not 0 <= doublings <= _MOST_DOUBLINGS:
        raise ValueError(f"it doubles pixels {doublings} times; 0 to {_MOST_DOUBLINGS} are allowed")
    return RRDBConfig(channels, grown, count, doublings, folded)


def _real_config(tensors: FlatTree) -> RRDBConfig:
    ups, own = _count(tensors, r"conv_up(\d+)\.weight"), r"body\.(\d+)\.rdb1\.conv1\.weight"
    return _rrdb(tensors, "conv_first.weight", "body.0.rdb1.conv1.weight", own, ups)


def _real_name(config: RRDBConfig, path: str) -> str:
    return _stored(path).replace("body_", "body.", path.startswith("body_"))


def _new_config(tensors: FlatTree) -> RRDBConfig:
    ups, own = _count(tensors, r"upconv(\d+)\.weight"), r"RRDB_trunk\.(\d+)\.RDB1\.conv1\.weight"
    return _rrdb(tensors, "conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight", own, ups)


def _new_name(config: RRDBConfig, path: str) -> str:
    for ours, theirs in (
        ("conv_body", "trunk_conv"),
        ("body_", "RRDB_trunk."),
        ("rdb", "RDB"),
        ("conv_up", "upconv"),
        ("conv_hr", "HRconv"),
    ):
        path = path.replace(ours, theirs)
    return _stored(path)


def _old_config(tensors: FlatTree) -> RRDBConfig:
    numbers = [re.fullmatch(r"model\.(\d{1,3})\.weight", name) for name in tensors]
    last = max(int(match[1]) for match in numbers if match)
    own, growth = r"model\.1\.sub\.(\d+)\.RDB1\.conv1\.0\.weight", "RDB1.conv1.0.weight"
    return _rrdb(tensors, "model.0.weight", f"model.1.sub.0.{growth}", own, (last - 4) // 3)


def _old_name(config: RRDBConfig, path: str) -> str:
    """The place in a list of layers: three for each doubling, activations among them."""
    head, _, leaf = path.rpartition("/")
    if head.startswith("body_"):
        block, dense, conv = head.removeprefix("body_").split("/")
        head = f"1.sub.{block}.{dense.upper()}.{conv}.0"
    elif head.startswith("conv_up"):
        head = str(3 * int(head.removeprefix("conv_up")))
    else:
        ends = 3 * config.doublings
        places = {"first": "0", "body": f"1.sub.{config.blocks}"}
        places |= {"hr": str(ends + 2), "last": str(ends + 4)}
        head = places[head.removeprefix("conv_")]
    return _stored(f"model.{head}/{leaf}")


def _compact_config(tensors: FlatTree) -> CompactConfig:
    last = max(int(name.split(".")[1]) for name in tensors if re.match(r"body\.\d{1,4}\.", name))
    channels = _shape(tensors, "body.0.weight")[0]
    scale = _root(f"body.{last}.weight", _shape(tensors, f"body.{last}.weight")[0])
    return CompactConfig(channels, last // 2 - 1, scale)


def _compact_shapes(config: CompactConfig) -> Shapes:
    wide, last = config.channels, config.convolutions + 1
    shapes = {}
    for i in range(last):
        shapes |= conv(f"conv_{i}", wide if i else 3, wide) | {f"slope_{i}": (wide,)}
    return shapes | conv(f"conv_{last}", wide, 3 * config.scale**2)


def _compact_name(config: CompactConfig, path: str) -> str:
    kind, number = path.split("/")[0].split("_")
    if kind == "slope":
        return f"body.{2 * int(number) + 1}.weight"
    return _stored(f"body.{2 * int(number)}/{path.split('/')[1]}")


def _rdn_config(tensors: FlatTree) -> RDNConfig:
    return RDNConfig(
        channels=_shape(tensors, "F_m1.weight")[0],
        growth=_shape(tensors, "F_1_1.weight")[0],
        blocks=_count(tensors, r"LFF_(\d+)\.weight"),
        layers=_count(tensors, r"F_1_(\d+)\.weight"),
        scale=_root("UPN3.weight", _shape(tensors, "UPN3.weight")[0]),
    )


def _rdn_shapes(config: RDNConfig) -> Shapes:
    wide, growth = config.channels, config.growth
    shapes = conv("F_m1", 3, wide) | conv("F_0", wide, wide)
    for i in range(1, config.blocks + 1):
        for j in range(1, config.layers + 1):
            shapes |= conv(f"F_{i}_{j}", wide + (j - 1) * growth, growth)
        shapes |= conv(f"LFF_{i}", wide + config.layers * growth, wide, 1)
    shapes |= conv("GFF_1", config.blocks * wide, wide, 1) | conv("GFF_2", wide, wide)
    shapes |= conv("UPN1", wide, wide, 5) | conv("UPN2", wide, wide // 2)
    colours = 3 * config.scale**2
    return shapes | conv("UPN3", wide // 2, colours) | conv("SR", colours, 3)


Layout = tuple[
    Callable[[FlatTree], UpscalerConfig],
    Callable[[UpscalerConfig], Shapes],
    Callable[[UpscalerConfig, str], str],
]
LAYOUTS: dict[str, Layout] = {
    "conv_body.weight": (_real_config, _rrdb_shapes, _real_name),
    "trunk_conv.weight": (_new_config, _rrdb_shapes, _new_name),
    "model.0.weight": (_old_config, _rrdb_shapes, _old_name),
    "body.0.weight": (_compact_config, _compact_shapes, _compact_name),
    "F_m1.weight": (_rdn_config, _rdn_shapes, lambda config, path: _stored(path)),
}
"""A tensor that only this layout has -> its numbers, its shapes, and the names of its tensors."""
