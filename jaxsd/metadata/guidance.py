"""Ways to guide that extensions of webui write into pictures, as our options."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from jaxsd.typed import parsed

_ANY = frozenset[str]()
_YES = frozenset({"true", "enable"})
_ONE = frozenset({"1", "1.0"})
_CONSTANT = frozenset({"constant"})


class Method(NamedTuple):
    """One extension's way.

    Attributes:
      names: of the numbers that we have too.
      only: of what else it says, with the values, in lower case, that are the same as ours; none
        for what changes nothing beside the others.
      ours: these numbers -> our options, as texts.
    """

    names: tuple[str, ...]
    only: Mapping[str, frozenset[str]]
    ours: Callable[..., dict[str, str]]


def _mimic(scale: str, percentile: str) -> dict[str, str]:
    share = parsed(float, percentile, "the percentile of thresholding") / 100
    return {"mimic_scale": f"{scale} {share:g}"}


def _freeu(*factors: str) -> dict[str, str]:
    return {"freeu": " ".join(factors), "freeu_version": "2"}


METHODS = (
    Method(  # sd-dynamic-thresholding
        ("Mimic scale", "Threshold percentile"),
        {
            "Dynamic thresholding enabled": _YES,
            "Mimic mode": _CONSTANT,
            "CFG mode": _CONSTANT,
            "Separate Feature Channels": _YES,
            "Scaling Startpoint": frozenset({"mean"}),
            "Variability Measure": frozenset({"ad"}),
            "Interpolate Phi": _ONE,
        },
        _mimic,
    ),
    Method(  # the same in Forge
        ("dynthres_mimic_scale", "dynthres_threshold_percentile"),
        {
            "dynthres_enabled": _YES,
            "dynthres_mimic_mode": _CONSTANT,
            "dynthres_mimic_scale_min": _ANY,
            "dynthres_cfg_mode": _CONSTANT,
            "dynthres_cfg_scale_min": _ANY,
            "dynthres_sched_val": _ANY,
            "dynthres_separate_feature_channels": _YES,
            "dynthres_scaling_startpoint": frozenset({"mean"}),
            "dynthres_variability_measure": frozenset({"ad"}),
            "dynthres_interpolate_phi": _ONE,
        },
        _mimic,
    ),
    Method(  # Forge
        ("freeu_b1", "freeu_b2", "freeu_s1", "freeu_s2"),
        {"freeu_enabled": _YES, "freeu_start": frozenset({"0", "0.0"}), "freeu_end": _ONE},
        _freeu,
    ),
    Method(  # sd_webui_SAG
        ("SAG Guidance Scale",),
        {
            "SAG Enabled": _YES,
            "SAG Mask Threshold": _ONE,
            "SAG Auto Threshold": frozenset({"false"}),
        },
        lambda scale: {"sag": scale},
    ),
    Method(  # sd-webui-incantations
        ("PAG Scale",), {"PAG Active": _YES}, lambda scale: {"pag": scale}
    ),
    Method(  # SD.Next
        ("PAG scale",), {"PAG adaptive": frozenset({"0", "0.0"})}, lambda scale: {"pag": scale}
    ),
)


def taken(said: dict[str, str]) -> dict[str, str]:
    """Takes what our options say too out of a picture's settings; the rest of them stays.

    Raises:
      ValueError: a number that is none.
    """
    found: dict[str, str] = {}
    for names, only, ours in METHODS:
        others = [name for name in only if name in said]
        same = all(not only[name] or said[name].lower() in only[name] for name in others)
        if same and set(names) <= said.keys():
            found |= ours(*(said.pop(name) for name in names))
            for name in others:
                said.pop(name)
    return found
