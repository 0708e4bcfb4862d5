"""Metadata of LoRA files: PEFT's configuration, kohya's training settings."""

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jaxsd.adapters.kinds import Factors
from jaxsd.adapters.lora_names import AdaptedKernel
from jaxsd.config import ModelSpec
from jaxsd.text_files import table_of

ADAPTER = "lora_adapter_metadata"
"""diffusers' key: a JSON table of PEFT's `LoraConfig`, one for each part of the pipeline."""

_BASE = {
    "v1": "sd_v1",
    "v2": "sd_v2",
    "xl": "sdxl_base_v1-0",
    "refiner": "sdxl_base_v1-0",
}
_MOST_PATTERNS = 2000


def adapter_metadata(
    lora: Mapping[str, Factors], kernels: Mapping[str, AdaptedKernel]
) -> dict[str, Any]:
    """`LoraConfig` of each part: rank, alpha, and the modules that differ from the most common.

    In PEFT a name matches every module that ends with it. Text encoders of transformers come with
    and without an outer module, so its name is left out here.
    """
    metadata: dict[str, Any] = {}
    for part in dict.fromkeys(kernel.part for kernel in kernels.values()):
        names = {n: _inner(kernel) for n, kernel in kernels.items() if kernel.part == part}
        ranks = {module: int(lora[n]["up"].shape[-2]) for n, module in names.items()}
        alphas = {module: float(lora[n]["alpha"]) for n, module in names.items()}
        rank, alpha = _commonest(ranks.values()), _commonest(alphas.values())
        metadata |= {
            f"{part}.peft_type": "LORA",
            f"{part}.r": rank,
            f"{part}.lora_alpha": alpha,
            f"{part}.rank_pattern": {m: value for m, value in ranks.items() if value != rank},
            f"{part}.alpha_pattern": {m: value for m, value in alphas.items() if value != alpha},
            f"{part}.target_modules": list(names.values()),
        }
    return metadata


def _inner(kernel: AdaptedKernel) -> str:
    return kernel.module.removeprefix("text_model.")


def _commonest(values: Iterable[float]) -> float:
    return Counter(values).most_common(1)[0][0]


def stated_alphas(
    path: Path, facts: Mapping[str, str], ranks: Mapping[AdaptedKernel, int]
) -> dict[str, float]:
    """Path of a kernel -> alpha, where PEFT's configuration in a file's metadata states it.

    rsLoRA (Kalajdzievski 2023, arXiv:2312.03732) divides alpha by the root of the rank in place of
    the rank: its alpha is made the larger.

    Args:
      path: of the file.
      facts: its metadata.
      ranks: of the kernels that it changes.

    Raises:
      ValueError: the configuration is damaged.
    """
    if ADAPTER not in facts:
        return {}
    try:
        table = table_of(facts[ADAPTER], ADAPTER)
        return {
            kernel.path: _number(alpha) * _rooted(table, kernel.part, rank)
            for kernel, rank in ranks.items()
            if (alpha := _alpha(table, kernel)) is not None
        }
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{path}: its metadata {ADAPTER} is no table of PEFT's") from error
    except ValueError as error:
        raise ValueError(f"{path}: its metadata {ADAPTER} cannot be used: {error}") from error


def _number(alpha: Any) -> float:
    if type(alpha) not in (int, float) or not abs(alpha) < 1e30:
        raise ValueError(f"alpha {str(alpha)[:40]!r} is not a finite number")
    return float(alpha)


def _rooted(table: Mapping[str, Any], part: str, rank: int) -> float:
    return rank**0.5 if table.get(f"{part}.use_rslora") else 1.0


def _alpha(table: Mapping[str, Any], kernel: AdaptedKernel) -> float | None:
    name = f".{kernel.module}"
    patterns = table.get(f"{kernel.part}.alpha_pattern", {})
    if len(patterns) > _MOST_PATTERNS:
        raise ValueError(f"it has {len(patterns)} patterns, more than a model has kernels")
    for pattern, alpha in patterns.items():
        if name.endswith(f".{pattern.removeprefix('^')}"):
            return alpha
    return table.get(f"{kernel.part}.lora_alpha")


def kohya_metadata(lora: Mapping[str, Factors], spec: ModelSpec) -> dict[str, str]:
    """Rank and alpha as kohya's programs write them; "Dynamic" where kernels differ."""

    def one(values: set[float]) -> str:
        return str(values.pop()) if len(values) == 1 else "Dynamic"

    return {
        "format": "pt",
        "ss_base_model_version": _BASE[spec.layout.single_file],
        "ss_network_module": "networks.lora",
        "ss_network_dim": one({int(factors["up"].shape[-2]) for factors in lora.values()}),
        "ss_network_alpha": one({float(factors["alpha"]) for factors in lora.values()}),
    }
