"""A conversion from files to files, one tensor at a time."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxsd.convert.api import open_model
from jaxsd.convert.diffusers.write import save_diffusers
from jaxsd.convert.files.output import check_free
from jaxsd.convert.files.safetensors_file import Progress
from jaxsd.convert.files.tensors import dtype_named
from jaxsd.convert.original.single_file import save_single_file
from jaxsd.convert.stored_model import StoredModel
from jaxsd.writing import check_place


@dataclass(frozen=True)
class Conversion:
    """An opened model, and where it is written to."""

    model: StoredModel
    destination: Path
    overwrite: bool

    @property
    def nbytes(self) -> int:
        """Bytes of weights that will be written."""
        trees = self.model.tensors.values()
        return sum(tensor.nbytes for tree in trees for tensor in tree.values())

    def run(self, progress: Progress) -> None:
        """Write it."""
        single = self.destination.suffix == ".safetensors"
        save = save_single_file if single else save_diffusers
        save(self.destination, self.model, overwrite=self.overwrite, progress=progress)


def open_conversion(
    source: str,
    destination: str,
    *,
    dtype: str | None = None,
    overwrite: bool = False,
    **reading: Any,
) -> Conversion:
    """Open a source to convert it; nothing is written yet.

    `dtype` is as in `jaxsd.convert.read`, `reading` are options of `open_model`.

    Raises:
      ValueError: if the source cannot be read, or the destination has a suffix that is not written.
      OSError: if the destination exists and may not be overwritten, or can not be written.
    """
    path = Path(destination)
    if path.suffix in (".ckpt", ".bin", ".pt", ".pth"):
        raise ValueError(
            f"{path}: pickles are read but not written; name it {path.stem}.safetensors"
        )
    check_free(path, overwrite)
    check_place(path.parent)
    model = open_model(source, **reading)
    return Conversion(model.converted(dtype and dtype_named(dtype)), path, overwrite)
