"""A report about a source, as lines of a label and a text."""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jaxsd.config import ModelSpec
from jaxsd.convert.api import open_model
from jaxsd.convert.files.tensors import FlatTree, LazyTensor
from jaxsd.convert.files.weight_files import open_weights
from jaxsd.convert.kinds import kind_of
from jaxsd.convert.original.names import UNET
from jaxsd.convert.stored_model import StoredModel
from jaxsd.distilled import PLAIN

Lines = list[tuple[str, str]]
_PARTS = {
    "unet": "U-Net",
    "vae": "autoencoder",
    "vision": "image encoder",
    "normalizer": "image normalizer",
    "text_0": "text encoder",
    "text_1": "text encoder 2",
}
_SHOWN = 8


def report(source: str, **reading: Any) -> Lines:
    """Lines about a model or any other file of weights; no weights are read.

    `reading` are options of `open_model`.

    Raises:
      ValueError: if it is damaged, or a whole model that is not supported.
    """
    path = Path(source)
    if path.is_file():
        tensors, facts = open_weights(path)
        if f"{UNET}input_blocks.0.0.weight" not in tensors:
            return _about_tensors(tensors, facts)
    return _about_model(open_model(source, **reading))


def _about_model(model: StoredModel) -> Lines:
    spec = model.spec
    lines = [
        ("family", spec.family),
        ("prediction", spec.prediction),
        ("size", f"{spec.default_size} x {spec.default_size}"),
        ("files", _files(model)),
        ("scheduler", f"{model.scheduler or 'not stated'}; {_schedule(spec)}"),
    ]
    if spec.preset != PLAIN:
        lines.append(("suits", f"sampler {spec.preset.sampler}, {spec.preset.steps} steps"))
    for part, tree in model.tensors.items():
        lines.append((_PARTS[part], _sum(tree)))
    everything = [tensor for tree in model.tensors.values() for tensor in tree.values()]
    lines.append(("in all", _sum(dict(enumerate(everything)))))
    return lines + [(name, model.facts[name]) for name in ("global_step",) if name in model.facts]


def _files(model: StoredModel) -> str:
    if model.files == "diffusers folder":
        return model.files
    return f"{model.files}, {model.spec.layout.single_file} names"


def _schedule(spec: ModelSpec) -> str:
    noise = spec.schedule
    if (edm := noise.edm) is not None:
        return (
            f"EDM, sigma {edm.sigma_min:g} to {edm.sigma_max:g}, data {edm.sigma_data:g}; "
            f"spacing {edm.sigmas}"
        )
    zero = ", zero terminal SNR" if noise.zero_terminal_snr else ""
    spacing = noise.spacing or "sampler's own"
    return (
        f"{noise.beta_schedule} {noise.beta_start:g} to {noise.beta_end:g} in {noise.train_steps} "
        f"steps{zero}; spacing {spacing}, offset {noise.steps_offset}"
    )


def _sum(tree: FlatTree) -> str:
    tensors = tree.values()
    count = sum(math.prod(tensor.shape) for tensor in tensors)
    size = sum(tensor.nbytes for tensor in tensors) / 2**20
    return f"{count:,} parameters, {_dtypes(tensors)}, {size:,.1f} MiB"


def _dtypes(tensors: Iterable[LazyTensor]) -> str:
    counts = Counter(tensor.dtype for tensor in tensors)
    return " and ".join(dtype.name for dtype, _ in counts.most_common())


def _about_tensors(tensors: FlatTree, facts: dict[str, str]) -> Lines:
    """Lines about a file that is not a whole model."""
    lines = [
        ("kind", f"{kind_of(tensors)}; not a whole model"),
        ("tensors", str(len(tensors))),
        ("in all", _sum(tensors)),
    ]
    shown = sorted(tensors)[:_SHOWN]
    lines += [(name, f"{list(tensors[name].shape)} {tensors[name].dtype}") for name in shown]
    if len(tensors) > _SHOWN:
        lines.append(("...", f"and {len(tensors) - _SHOWN} more"))
    return lines + [(name, facts[name]) for name in ("global_step",) if name in facts]
