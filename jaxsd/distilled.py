"""Distilled models: the settings that suit them, and the published names of their files."""

import re
from dataclasses import dataclass, replace
from pathlib import PurePath


@dataclass(frozen=True)
class Preset:
    """Settings that suit a model, where the user gives none.

    Attributes:
      sampler: name of a sampler.
      steps: of the sampler.
      guidance_scale: None for what suits the family.
      options: of the sampler, "NAME=VALUE", in which {steps} stands for the steps; a sampler that
        does not have one goes without it.
      size: height and width in pixels; None for what suits the family.
    """

    sampler: str = "ddim"
    steps: int = 20
    guidance_scale: float | None = None
    options: tuple[str, ...] = ()
    size: int | None = None


PLAIN = Preset()
"""What suits models that are not distilled."""

EDM = Preset("dpm++_2m")
"""What suits models with continuous noise: the sampler of diffusers' pipelines of them."""

_TRAILING = ("spacing=trailing",)

PRESETS: dict[str, Preset] = {
    "none": PLAIN,
    "turbo": Preset("euler_a", 4, 1.0, _TRAILING, size=512),
    "lcm": Preset("lcm", 4, 1.0),
    "tcd": Preset("tcd", 4, 1.0),
    "lightning": Preset("euler", 4, 1.0, _TRAILING),
    "hyper-sd": Preset("ddim", 8, 1.0, _TRAILING),
    "hyper-sd-cfg": Preset("ddim", 8, None, _TRAILING),
    "hyper-sd-1-step": Preset("tcd", 1, 1.0, ("eta=1.0",)),
    # 999, 749, 499, 249 for 4 steps
    "dmd2": Preset("lcm", 4, 1.0, ("original_steps={steps}",)),
}
"""What the makers of distilled models and LoRAs tell to draw with; "none" is for all others."""

_NAMES = {
    r"(sd|sd-?xl)-turbo(-1-0)?(-fp16)?": "turbo",
    r"lcm-(lora-(sdv1-5|sdxl|ssd-1b)|lora-weights-sd15|sdxl|ssd-1b|dreamshaper-v7)": "lcm",
    r"tcd-sd(xl|15|21-base)-lora": "tcd",
    r"sdxl-lightning-(?P<steps>[1248])step(-x0|-lora)?": "lightning",
    r"hyper-sd(15|xl)-1step-lora": "hyper-sd-1-step",
    r"hyper-sd(15|xl)-(?P<steps>\d+)steps-lora": "hyper-sd",
    r"hyper-sd(15|xl)-(?P<steps>\d+)steps-cfg-lora": "hyper-sd-cfg",
    r"dmd2-sdxl-(?P<steps>4)step-lora(-fp16)?": "dmd2",
    r"emoji-lcm-(?P<steps>2)step": "dmd2",
}
"""Whole names of published files and repositories, in small letters with hyphens -> preset.

A name that only has such a word in it, as many mixtures of models do, tells nothing for certain.
"""

_OF_ANY_MODEL = ("pytorch_lora_weights", "adapter_model", "model")
"""Names of files whose folder has the name of the model."""


def preset_named(source: str) -> Preset | None:
    """The preset for a file, a folder or a hub id, if its name is a published one.

    Its steps are those of the name, where it has some.
    """
    path = PurePath(source)
    name = path.name.removesuffix(".safetensors").removesuffix(".ckpt")
    name = path.parent.name if name in _OF_ANY_MODEL else name
    plain = re.sub(r"[-_. ]+", "-", name).lower()
    for pattern, preset in _NAMES.items():
        if found := re.fullmatch(pattern, plain):
            steps = found.groupdict().get("steps")
            return replace(PRESETS[preset], steps=int(steps or PRESETS[preset].steps))
    return None
