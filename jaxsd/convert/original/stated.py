"""What a single file says about its training, in empty tensors and in metadata.

The empty tensors `v_pred` and `ztsnr` are ComfyUI's, as is `modelspec.predict_key`; the other
`modelspec.*` is the metadata of Stability's ModelSpec, and `ss_*` that of kohya's trainer.
"""

from collections.abc import Collection, Mapping

from jaxsd.types import PREDICTIONS, Prediction

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


def stated_prediction(tensors: Collection[str], facts: Mapping[str, str]) -> Prediction | None:
    """What the U-Net predicts, as the file says; None where it does not.

    Raises:
      ValueError: a value that is not known, or two statements that differ.
    """
    said: dict[str, Prediction] = {}
    if "v_pred" in tensors:
        said["the tensor v_pred"] = "v"
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
