"""A bulk run as TOML: which rows, which model, where to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from jaxsd.convert.files.tensors import DTYPES, INT8
from jaxsd.convert.reading import Reading
from jaxsd.settings import OPTIONS, Settings, in_range, with_sides
from jaxsd.typed import read_toml

FORMATS = ("folder", "webdataset", "arrayrecord")
PICTURES = ("png", "webp")


@dataclass(frozen=True, kw_only=True)
class BulkConfig(Reading, Settings):
    """One run. Options of `Settings` are defaults for rows that do not set them, options of
    `Reading` say how `model` is read.

    Attributes:
      output: folder of the run.
      rows: a .jsonl, .csv, .parquet or .txt file of what to draw; empty if there are `axes`. With
        axes `prompt` is a template, such as "a {colour} {thing}".
      axes: name -> values; a list, `{first = 0, count = 100}` for whole numbers, or
        `{file = "things.txt"}` for lines. Names in the template fill it, others are columns of the
        rows. The last axis varies fastest.
      inputs: folder of the pictures that rows name; empty for the table's, or this file's.
      size: "WIDTHxHEIGHT", short for width and height.
      model: anything that `jaxsd.load` reads.
      dtype: what the networks compute in, or "int8".
      batch_size: images that one device draws at a time. It decides how float32 sums are ordered.
      mesh: devices of each host along data, fsdp and tensor, see `jaxsd.parallel.mesh_of`.
      format: "folder" of pictures, "webdataset" tar files, or "arrayrecord".
      picture: "png", or lossless "webp".
      images_per_shard: about how many images a folder or a file has.
      taesd: tiny autoencoder to decode with, as for `jaxsd.load`; empty for the model's own.
      safety_checker: folder of a network whose unfit pictures are not written; empty for none.
      c2pa: files of the certificates and of the key that every picture is signed with; empty for
        none. Signatures have random numbers: two runs then have the same pixels, and other bytes.
    """

    output: str
    rows: str = ""
    axes: dict[str, Any] = field(default_factory=dict)
    inputs: str = ""
    size: str | None = None
    model: str = "emoji"
    dtype: str = "float32"
    batch_size: int = 8
    mesh: tuple[int, ...] = (-1, 1, 1)
    format: str = "folder"
    picture: str = "png"
    images_per_shard: int = 1000
    taesd: str = ""
    safety_checker: str = ""
    c2pa: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks what can be checked before anything is read.

        Raises:
          ValueError: a value that is not allowed.
        """
        dtypes = (*DTYPES, INT8)
        for name, allowed in (("format", FORMATS), ("picture", PICTURES), ("dtype", dtypes)):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} {getattr(self, name)!r} is not one of {allowed}")
        for name in ("batch_size", "images_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be more than 0")
        if len(self.c2pa) not in (0, 2):
            raise ValueError(
                f"c2pa is {len(self.c2pa)} files; give two, the certificates and the key, as in "
                '["chain.pem", "key.pem"]'
            )
        if bool(self.rows) == bool(self.axes):
            raise ValueError("give either rows, a file, or [axes] with a prompt to fill in")
        in_range(self.settings)

    @property
    def settings(self) -> Settings:
        """Settings of a row that sets nothing itself."""
        options = {name: getattr(self, name) for name in OPTIONS}
        return Settings(**with_sides(options | {"size": self.size}))


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> BulkConfig:
    """A run from a TOML file, with `key=value` overrides; a bare word is a string.

    Raises:
      ValueError: not TOML, an unknown or missing key, a value that is not allowed.
      FileNotFoundError: no such file.
    """
    config = read_toml(BulkConfig, path, overrides, "configs/bulk/")
    return replace(config, inputs=config.inputs or str(Path(config.rows or path).parent))


def one_image_a_call(config: BulkConfig) -> BulkConfig:
    """The run with one image per call, so that images do not depend on `batch_size`.

    Raises:
      ValueError: the mesh splits weights, which makes another program.
    """
    if config.mesh[1:] != (1, 1):
        raise ValueError(
            f"--batch-invariant is not possible on mesh {list(config.mesh)}, which splits weights; "
            "make it [-1, 1, 1]"
        )
    return replace(config, batch_size=1)
