"""Nodes that change models: what they predict, features around them."""

from dataclasses import replace
from typing import Annotated, Literal

from jaxsd.config import EDMConfig, VAEConfig
from jaxsd.families import PLAYGROUND
from jaxsd.types import Prediction
from jaxsd.workflow.continuous import ANGLE, LOGARITHM, Continuous
from jaxsd.workflow.schema import Percent, Range, node
from jaxsd.workflow.values import MODEL, Model, Shrink, Tiles

MapMethod = Literal["bicubic", "nearest-exact", "bilinear", "area"]
Factor = Annotated[float, Range(0, 10)]
MostNoise = Annotated[float, Range(0, 1000)]
_OF_LATENTS = ("scaling_factor", "latents_mean", "latents_std")
PREDICTIONS = {"eps": "epsilon", "v_prediction": "v", "x0": "sample", "lcm": "epsilon"}
"""ComfyUI's names of what a U-Net predicts -> ours."""


@node("ModelSamplingDiscrete", "MODEL")
def model_sampling_discrete(
    *, model: MODEL, sampling: Literal["eps", "v_prediction", "lcm", "x0"], zsnr: bool = False
) -> Model:
    """What the U-Net predicts, and whether its last level is noise alone."""
    schedule = replace(model.spec.schedule, zero_terminal_snr=zsnr, edm=None)
    spec = replace(model.spec, prediction=PREDICTIONS[sampling], schedule=schedule)
    return replace(model, spec=spec, distilled=sampling == "lcm", continuous=None)


@node("ModelSamplingContinuousEDM", "MODEL")
def model_sampling_continuous_edm(
    *,
    model: MODEL,
    sampling: Literal["v_prediction", "edm", "edm_playground_v2.5", "eps"],
    sigma_max: MostNoise = 120.0,
    sigma_min: MostNoise = 0.002,
) -> Model:
    """Continuous noise, of which the U-Net is told the logarithm.

    "edm" is of data with a deviation of 0.5; "edm_playground_v2.5" has Playground's latents too.
    """
    is_scaled = sampling.startswith("edm")
    prediction = "v" if sampling == "v_prediction" else "epsilon"
    data = 0.5 if is_scaled else 1.0
    made = _continuous(model, prediction, EDMConfig(sigma_min, sigma_max, data), LOGARITHM)
    if sampling == "edm_playground_v2.5" and isinstance(vae := made.spec.vae, VAEConfig):
        vae = replace(vae, **{name: getattr(PLAYGROUND.vae, name) for name in _OF_LATENTS})
        made = replace(made, spec=replace(made.spec, vae=vae))
    return replace(made, continuous=LOGARITHM._replace(is_scaled=is_scaled))


@node("ModelSamplingContinuousV", "MODEL")
def model_sampling_continuous_v(
    *,
    model: MODEL,
    sampling: Literal["v_prediction"],
    sigma_max: MostNoise = 500.0,
    sigma_min: MostNoise = 0.03,
) -> Model:
    """Continuous noise, of which the U-Net is told the angle from picture to noise."""
    return _continuous(model, "v", EDMConfig(sigma_min, sigma_max, 1.0), ANGLE)


def _continuous(
    model: Model, prediction: Prediction, edm: EDMConfig, continuous: Continuous
) -> Model:
    schedule = replace(model.spec.schedule, edm=edm)
    spec = replace(model.spec, prediction=prediction, schedule=schedule)
    return replace(model, spec=spec, distilled=False, continuous=continuous)


@node("FreeU", "MODEL")
def free_u(
    *, model: MODEL, b1: Factor = 1.1, b2: Factor = 1.2, s1: Factor = 0.9, s2: Factor = 0.2
) -> Model:
    """FreeU as in its paper."""
    return model.changed(freeu=(b1, b2, s1, s2), freeu_version=1)


@node("FreeU_V2", "MODEL")
def free_u_v2(
    *, model: MODEL, b1: Factor = 1.3, b2: Factor = 1.4, s1: Factor = 0.9, s2: Factor = 0.2
) -> Model:
    """FreeU with factors by the mean of features."""
    return model.changed(freeu=(b1, b2, s1, s2), freeu_version=2)


@node("HyperTile", "MODEL")
def hyper_tile(
    *,
    model: MODEL,
    tile_size: Annotated[int, Range(1, 2048)] = 256,
    swap_size: Annotated[int, Range(1, 128)] = 2,
    max_depth: Annotated[int, Range(0, 10)] = 0,
    scale_depth: bool = False,
) -> Model:
    """Self-attention in tiles.

    Raises:
      ValueError: sizes that are drawn, or a second such node.
    """
    if swap_size > 2:
        raise ValueError(f"swap_size {swap_size} draws the sizes of tiles; give 1 or 2")
    if model.merged_tokens or model.tiles is not None:
        raise ValueError("the model merges or divides tokens already; bypass one of the nodes")
    return replace(model, tiles=Tiles(max(32, tile_size) // 8, max_depth, scale_depth))


@node("TomePatchModel", "MODEL")
def tome_patch_model(*, model: MODEL, ratio: Percent = 0.3) -> Model:
    """Self-attention for merged tokens.

    Raises:
      ValueError: a second such node, or one beside HyperTile.
    """
    if model.merged_tokens or model.tiles is not None:
        raise ValueError("the model merges or divides tokens already; bypass one of the nodes")
    return replace(model, merged_tokens=ratio)


@node("PatchModelAddDownscale", "MODEL")
def patch_model_add_downscale(
    *,
    model: MODEL,
    block_number: Annotated[int, Range(1, 32)] = 3,
    downscale_factor: Annotated[float, Range(0.1, 9)] = 2.0,
    start_percent: Percent = 0.0,
    end_percent: Percent = 0.35,
    downscale_after_skip: bool = True,
    downscale_method: MapMethod = "bicubic",
    upscale_method: MapMethod = "bicubic",
) -> Model:
    """Smaller maps from a block on, at the beginning of the way (Deep Shrink).

    Raises:
      ValueError: a second such node.
    """
    if model.shrink is not None:
        raise ValueError("the model's maps shrink already; bypass one PatchModelAddDownscale")
    methods = (downscale_method, upscale_method)
    part = (start_percent, end_percent)
    shrink = Shrink(block_number, downscale_factor, downscale_after_skip, *methods, *part)
    return replace(model, shrink=shrink)


@node("PerturbedAttentionGuidance", "MODEL")
def perturbed_attention_guidance(
    *, model: MODEL, scale: Annotated[float, Range(0, 100)] = 3.0
) -> Model:
    """Guidance away from a picture whose pixels do not look at each other."""
    return model.changed(pag=scale)


@node("SelfAttentionGuidance", "MODEL")
def self_attention_guidance(
    *,
    model: MODEL,
    scale: Annotated[float, Range(-2, 5)] = 0.5,
    blur_sigma: Annotated[float, Range(0.1, 10)] = 2.0,
) -> Model:
    """Guidance away from a picture that is blurred where its pixels are looked at.

    Raises:
      ValueError: a model that does not predict the noise.
    """
    is_scaled = model.continuous is not None and model.continuous.is_scaled
    if model.spec.prediction != "epsilon" or model.distilled or is_scaled:
        raise ValueError("SelfAttentionGuidance is for models that predict the noise; bypass it")
    return model.changed(sag=scale, sag_sigma=blur_sigma)


@node("RescaleCFG", "MODEL")
def rescale_cfg(*, model: MODEL, multiplier: Percent = 0.7) -> Model:
    """Guided pictures get the text's own contrast back, measured by v as in ComfyUI.

    Raises:
      ValueError: a model that predicts something else.
    """
    if model.spec.prediction != "v":
        raise ValueError(
            "RescaleCFG is here for models that predict v; bypass it, or take --guidance-rescale "
            "of jaxsd generate, which measures by the noise"
        )
    return model.changed(guidance_rescale=multiplier)


@node("DifferentialDiffusion", "MODEL")
def differential_diffusion(*, model: MODEL, strength: Percent = 1.0) -> Model:
    """A mask's grey says how much changes.

    Raises:
      ValueError: another strength than 1.
    """
    if strength != 1:
        raise ValueError(f"strength {strength:g} is not here; give 1")
    return replace(model, differential=True)
