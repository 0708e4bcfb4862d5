"""Settings that suit a distilled model or LoRA, for options that the user does not give."""

from dataclasses import replace

from jaxsd.config import ModelSpec
from jaxsd.distilled import EDM, PLAIN, PRESETS, Preset, preset_named
from jaxsd.schedulers import is_learnt, options_of, steps_in
from jaxsd.settings.options import Settings
from jaxsd.settings.plans import adapters_of


def with_preset(settings: Settings, spec: ModelSpec) -> Settings:
    """The settings with sampler, steps, guidance scale and options of the sampler filled in.

    Raises:
      ValueError: an unknown sampler, or LoRAs that want different settings.
      OSError: the file of a learnt sampler can not be read.
    """
    preset = preset_of(settings, spec)
    sampler = preset.sampler if settings.sampler is None else settings.sampler
    usual = steps_in(sampler)[-1] if is_learnt(sampler) else preset.steps
    steps = usual if settings.steps is None else settings.steps
    scale = settings.guidance_scale
    if scale is None:
        # What takes the scale as an input was distilled for many.
        own = None if spec.unet.guidance_dim else preset.guidance_scale
        scale = spec.guidance_scale if own is None else own
    return replace(
        settings,
        sampler=sampler,
        steps=steps,
        guidance_scale=scale,
        sampler_options=(
            *settings.sampler_options,
            *_options(preset, sampler, steps, settings.sampler_options),
        ),
    )


def preset_of(settings: Settings, spec: ModelSpec) -> Preset:
    """The preset that is named, or else that of the LoRAs, or else that of the model.

    Raises:
      ValueError: LoRAs that want different settings.
    """
    if settings.preset in PRESETS:
        return PRESETS[settings.preset]
    named = [(one.file, preset_named(one.file)) for one in adapters_of([settings]).lora]
    found = [(file, preset) for file, preset in named if preset is not None]
    for file, preset in found[1:]:
        if preset != found[0][1]:
            raise ValueError(
                f"{found[0][0]} and {file} are drawn with different samplers or steps; say with "
                f"--preset which, one of {', '.join(PRESETS)}"
            )
    if found:
        return found[0][1]
    if spec.preset == PLAIN and spec.unet.guidance_dim is not None:
        return PRESETS["lcm"]
    if spec.preset == PLAIN and spec.schedule.edm is not None:
        return EDM
    return spec.preset


def _options(preset: Preset, sampler: str, steps: int, given: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the preset that the sampler has and that are not given."""
    names = {text.partition("=")[0] for text in given}
    known = options_of(sampler)
    return tuple(
        text.format(steps=steps)
        for text in preset.options
        if (name := text.partition("=")[0]) in known and name not in names
    )
