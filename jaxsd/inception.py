"""Inception v3 (Szegedy et al. 2016, table 1) as a table, in the form that FID is defined with.

That is TensorFlow's network of 2015. Its pools differ from the paper's and from torchvision's:
averages do not count pixels outside of the map, and the last block takes maxima.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

SIDE = 299
"""Pixels of its input along each side."""
FEATURES = 2048
"""Features that it computes for a picture."""
NORM_EPSILON = 1e-3
"""Epsilon of its batch norms."""


@dataclass(frozen=True)
class Convolution:
    """A convolution with a batch norm and a ReLU, under torchvision's name."""

    name: str
    channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: Literal["SAME", "VALID"] = "SAME"


@dataclass(frozen=True)
class Pool:
    """A 3x3 pool. With stride 1 the map keeps its size, and pixels outside are not counted."""

    function: Literal["average", "max"]
    stride: int = 1


@dataclass(frozen=True)
class Block:
    """Branches whose channels are concatenated; without a name, a fork at the end of a branch."""

    name: str
    branches: tuple["Steps", ...]


Step = Convolution | Pool | Block
Steps = tuple[Step, ...]

_AVERAGE, _MAX, _SHRINK = Pool("average"), Pool("max"), Pool("max", 2)


def _shrink(name: str, channels: int) -> Convolution:
    return Convolution(name, channels, (3, 3), 2, "VALID")


def _a(name: str, pooled: int) -> Block:
    """Figure 5 of the paper, but with a 5x5 convolution as in Szegedy et al. 2015."""
    return Block(
        name,
        (
            (Convolution("branch1x1", 64),),
            (Convolution("branch5x5_1", 48), Convolution("branch5x5_2", 64, (5, 5))),
            (
                Convolution("branch3x3dbl_1", 64),
                Convolution("branch3x3dbl_2", 96, (3, 3)),
                Convolution("branch3x3dbl_3", 96, (3, 3)),
            ),
            (_AVERAGE, Convolution("branch_pool", pooled)),
        ),
    )


def _b(name: str) -> Block:
    """Figure 10: halves height and width."""
    return Block(
        name,
        (
            (_shrink("branch3x3", 384),),
            (
                Convolution("branch3x3dbl_1", 64),
                Convolution("branch3x3dbl_2", 96, (3, 3)),
                _shrink("branch3x3dbl_3", 96),
            ),
            (_SHRINK,),
        ),
    )


def _c(name: str, width: int) -> Block:
    """Figure 6: 7x7 in rows and columns."""
    row, column = (1, 7), (7, 1)
    return Block(
        name,
        (
            (Convolution("branch1x1", 192),),
            (
                Convolution("branch7x7_1", width),
                Convolution("branch7x7_2", width, row),
                Convolution("branch7x7_3", 192, column),
            ),
            (
                Convolution("branch7x7dbl_1", width),
                Convolution("branch7x7dbl_2", width, column),
                Convolution("branch7x7dbl_3", width, row),
                Convolution("branch7x7dbl_4", width, column),
                Convolution("branch7x7dbl_5", 192, row),
            ),
            (_AVERAGE, Convolution("branch_pool", 192)),
        ),
    )


def _d(name: str) -> Block:
    """Halves height and width again."""
    return Block(
        name,
        (
            (Convolution("branch3x3_1", 192), _shrink("branch3x3_2", 320)),
            (
                Convolution("branch7x7x3_1", 192),
                Convolution("branch7x7x3_2", 192, (1, 7)),
                Convolution("branch7x7x3_3", 192, (7, 1)),
                _shrink("branch7x7x3_4", 192),
            ),
            (_SHRINK,),
        ),
    )


def _e(name: str, pool: Pool) -> Block:
    """Figure 7: branches that fork."""

    def fork(first: str, second: str) -> Block:
        ends = ((Convolution(first, 384, (1, 3)),), (Convolution(second, 384, (3, 1)),))
        return Block("", ends)

    return Block(
        name,
        (
            (Convolution("branch1x1", 320),),
            (Convolution("branch3x3_1", 384), fork("branch3x3_2a", "branch3x3_2b")),
            (
                Convolution("branch3x3dbl_1", 448),
                Convolution("branch3x3dbl_2", 384, (3, 3)),
                fork("branch3x3dbl_3a", "branch3x3dbl_3b"),
            ),
            (pool, Convolution("branch_pool", 192)),
        ),
    )


INCEPTION: Steps = (
    _shrink("Conv2d_1a_3x3", 32),
    Convolution("Conv2d_2a_3x3", 32, (3, 3), padding="VALID"),
    Convolution("Conv2d_2b_3x3", 64, (3, 3)),
    _SHRINK,
    Convolution("Conv2d_3b_1x1", 80),
    Convolution("Conv2d_4a_3x3", 192, (3, 3), padding="VALID"),
    _SHRINK,
    *(_a(f"Mixed_5{letter}", pooled) for letter, pooled in zip("bcd", (32, 64, 64), strict=True)),
    _b("Mixed_6a"),
    *(_c(f"Mixed_6{letter}", w) for letter, w in zip("bcde", (128, 160, 160, 192), strict=True)),
    _d("Mixed_7a"),
    _e("Mixed_7b", _AVERAGE),
    _e("Mixed_7c", _MAX),
)
"""From a picture [299, 299, 3] to a map [8, 8, 2048]; its mean over pixels is the features."""


def channels_out(steps: Sequence[Step], channels: int) -> int:
    """Channels of the steps' output for an input with `channels` channels."""
    for step in steps:
        if isinstance(step, Convolution):
            channels = step.channels
        elif isinstance(step, Block):
            channels = sum(channels_out(branch, channels) for branch in step.branches)
    return channels


def convolutions(
    steps: Sequence[Step], channels: int = 3, path: str = ""
) -> Iterator[tuple[str, int, Convolution]]:
    """Path, input channels and table entry of each convolution in the steps."""
    for step in steps:
        if isinstance(step, Convolution):
            yield f"{path}{step.name}", channels, step
        elif isinstance(step, Block):
            inside = f"{path}{step.name}/" if step.name else path
            for branch in step.branches:
                yield from convolutions(branch, channels, inside)
        channels = channels_out((step,), channels)
