"""What a single file says about its training, in small tensors and in metadata.

The empty tensors `v_pred` and `ztsnr` are ComfyUI's, as is `modelspec.predict_key`; the other
`modelspec.*` is the metadata of Stability's ModelSpec, and `ss_*` that of kohya's trainer. The
tensors `edm_*` are those of CosXL and Playground 2.5.
"""

import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from jaxsd.config import EDMConfig, ModelSpec
from jaxsd.convert.files.tensors import FlatTree
from jaxsd.families import COSXL, PLAYGROUND, VAE_PLAYGROUND
from jaxsd.types import PREDICTIONS, Array, Prediction

_PREDICTIONS = ("modelspec.prediction_type", "modelspec.predict_key")
_V, _ZERO_SNR = "ss_v_parameterization", "ss_zero_terminal_snr"
_WORDS: dict[str, Prediction] = {
    "epsilon": "epsilon",
    "eps": "epsilon",
    "v": "v",
    "v_pred": "v",
    "v_prediction": "v",
    "vpred": "v",
    "velocity": "v",
    "sample": "sample",
    "x0": "sample",
}
_SWITCHES = {"true": True, "1": True, "false": False, "0": False}
_NOT_STATED = ("", "none", "null")
"""What writers put for a value that they do not have."""

_LEAST, _MOST = "edm_vpred.sigma_min", "edm_vpred.sigma_max"
_MEAN, _STD = "edm_mean", "edm_std"
_OF_TENSORS: dict[str, Prediction] = {"v_pred": "v", _MOST: "v", _MEAN: "epsilon"}


def stated_prediction(tensors: Collection[str], facts: Mapping[str, str]) -> Prediction | None:
    """What the U-Net predicts, as the file says; None where it does not.

    Raises:
      ValueError: a value that is not known, or two statements that differ.
    """
    said: dict[str, Prediction] = {}
    for name, prediction in _OF_TENSORS.items():
        if name in tensors:
            said[f"the tensor {name}"] = prediction
    for name in _PREDICTIONS:
        if word := _stated(facts, name):
            plain = word.replace("-", "_").replace(" ", "_")
            if plain not in _WORDS:
                raise _wrong(facts, name, ", ".join(_WORDS))
            said[f"{name} = {facts[name]!r}"] = _WORDS[plain]
    if (v := _switch(facts, _V)) is not None:
        said[f"{_V} = {facts[_V]!r}"] = "v" if v else "epsilon"
    if len(set(said.values())) > 1:
        raise ValueError(
            f"it says two things about what its U-Net predicts: {' and '.join(said)}; {_REMEDY}"
        )
    return next(iter(said.values()), None)


def stated_zero_snr(tensors: Collection[str], facts: Mapping[str, str]) -> bool:
    """Whether the file says that it was trained with zero terminal SNR.

    Raises:
      ValueError: a value that is not known.
    """
    return "ztsnr" in tensors or bool(_switch(facts, _ZERO_SNR))


def stated_edm(tensors: FlatTree) -> EDMConfig | None:
    """The continuous noise of a model that was trained with such; None for all others.

    Raises:
      ValueError: tensors that have no such numbers.
    """
    if _MOST in tensors:
        ends = {"sigma_max": _numbers(tensors, _MOST, 1)[0]}
        if _LEAST in tensors:
            ends["sigma_min"] = _numbers(tensors, _LEAST, 1)[0]
        return replace(COSXL.schedule.edm, **ends)
    return PLAYGROUND.schedule.edm if _MEAN in tensors else None


def stated_statistics(tensors: FlatTree) -> dict[str, Any]:
    """Fields of `VAEConfig` that Playground's files state; without them, nothing.

    Raises:
      ValueError: tensors that have no such numbers.
    """
    if _MEAN not in tensors:
        return {}
    channels = VAE_PLAYGROUND.latent_channels
    return {
        "latents_mean": _numbers(tensors, _MEAN, channels),
        "latents_std": _numbers(tensors, _STD, channels),
        "scaling_factor": VAE_PLAYGROUND.scaling_factor,
    }


def markers(spec: ModelSpec) -> dict[str, Array]:
    """The tensors that say these things of an XL model."""
    edm, vae, empty = spec.schedule.edm, spec.vae, np.zeros(0, np.float32)
    if edm is None and spec.prediction == "v":
        return {"v_pred": empty} | ({"ztsnr": empty} if spec.schedule.zero_terminal_snr else {})
    if edm is not None and spec.prediction == "v":
        return {_MOST: np.float32(edm.sigma_max), _LEAST: np.float32(edm.sigma_min)}
    if edm is not None and vae.latents_std:
        values = {_MEAN: vae.latents_mean, _STD: vae.latents_std}
        return {name: np.float32(value).reshape(1, -1, 1, 1) for name, value in values.items()}
    return {}


def _numbers(tensors: FlatTree, name: str, count: int) -> tuple[float, ...]:
    """The numbers of a small tensor, rounded to float32's seven digits."""
    if name not in tensors:
        raise ValueError(f"it has no tensor {name}, which goes with its others of that name")
    tensor = tensors[name]
    if math.prod(tensor.shape) != count:
        raise ValueError(f"its tensor {name} has {list(tensor.shape)} numbers, not {count}")
    return tuple(float(f"{value:.7g}") for value in np.float32(tensor.read()).reshape(-1))


_REMEDY = f"say which is true with --prediction {' or --prediction '.join(PREDICTIONS)}"


def _stated(facts: Mapping[str, str], name: str) -> str | None:
    word = facts.get(name, "").strip().lower()
    return None if word in _NOT_STATED else word


def _switch(facts: Mapping[str, str], name: str) -> bool | None:
    word = _stated(facts, name)
    if word is not None and word not in _SWITCHES:
        raise _wrong(facts, name, "True, False")
    return None if word is None else _SWITCHES[word]


def _wrong(facts: Mapping[str, str], name: str, allowed: str) -> ValueError:
    remedy = "" if name == _ZERO_SNR else f"; {_REMEDY}"
    return ValueError(
        f"its metadata has {name} = {facts[name]!r}, which is not one of {allowed}{remedy}"
    )
