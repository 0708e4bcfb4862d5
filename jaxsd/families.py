"""What each model family is, as frozen data. To add one, add its numbers here."""

from dataclasses import replace

from jaxsd.config import (
    AddedConditions,
    EDMConfig,
    Layout,
    Level,
    ModelSpec,
    ScheduleConfig,
    SightConfig,
    SmallConfig,
    TextConfig,
    UNetConfig,
    VAEConfig,
    VisionConfig,
)

CLIP_L = TextConfig(width=768, layers=12, heads=12, mlp_width=3072, activation="quick_gelu")
OPENCLIP_H = TextConfig(
    width=1024, layers=23, heads=16, mlp_width=4096, activation="gelu", pad_token=0
)
OPENCLIP_BIGG = TextConfig(
    width=1280,
    layers=32,
    heads=20,
    mlp_width=5120,
    activation="gelu",
    hidden_layer=-2,
    projection_dim=1280,
    pad_token=0,
)

VAE_SD = VAEConfig(channels=(128, 256, 512, 512))
VAE_XL = replace(VAE_SD, scaling_factor=0.13025, force_upcast=True)
VAE_PLAYGROUND = replace(
    VAE_XL,
    scaling_factor=0.5,
    latents_mean=(-1.6574, 1.886, -1.383, 2.5155),
    latents_std=(8.4927, 5.9022, 6.5498, 5.2299),
)

UNET_SD1 = UNetConfig(
    levels=(Level(320, 2, 1, 8), Level(640, 2, 1, 8), Level(1280, 2, 1, 8), Level(1280, 2, 0, 8)),
    context_dim=768,
    mid_depth=1,
)
UNET_SD2 = UNetConfig(
    levels=(
        Level(320, 2, 1, 5),
        Level(640, 2, 1, 10),
        Level(1280, 2, 1, 20),
        Level(1280, 2, 0, 20),
    ),
    context_dim=1024,
    mid_depth=1,
)
UNET_XL = UNetConfig(
    levels=(Level(320, 2, 0, 5), Level(640, 2, 2, 10), Level(1280, 2, 10, 20)),
    context_dim=2048,
    mid_depth=10,
    added=AddedConditions(pooled_dim=1280, time_ids=6),
)
UNET_XL_REFINER = UNetConfig(
    levels=(
        Level(384, 2, 0, 6),
        Level(768, 2, 4, 12),
        Level(1536, 2, 4, 24),
        Level(1536, 2, 0, 24),
    ),
    context_dim=1280,
    mid_depth=4,
    added=AddedConditions(pooled_dim=1280, time_ids=5),
)

SD1 = ModelSpec(
    family="sd1",
    unet=UNET_SD1,
    vae=VAE_SD,
    text=(CLIP_L,),
    schedule=ScheduleConfig(),
    prediction="epsilon",
    layout=Layout(linear_projection=False, single_file="v1"),
    default_size=512,
)
SD2 = replace(
    SD1,
    family="sd2",
    unet=UNET_SD2,
    text=(OPENCLIP_H,),
    layout=Layout(linear_projection=True, single_file="v2"),
)
SD2_V = replace(SD2, family="sd2-v", prediction="v", default_size=768)
SDXL = ModelSpec(
    family="sdxl",
    unet=UNET_XL,
    vae=VAE_XL,
    text=(replace(CLIP_L, hidden_layer=-2), OPENCLIP_BIGG),
    schedule=ScheduleConfig(timestep_spacing="leading"),
    prediction="epsilon",
    layout=Layout(linear_projection=True, single_file="xl"),
    default_size=1024,
    zero_empty_negative=True,
)
SDXL_REFINER = replace(
    SDXL,
    family="sdxl-refiner",
    unet=UNET_XL_REFINER,
    text=(OPENCLIP_BIGG,),
    layout=Layout(linear_projection=True, single_file="refiner"),
    zero_empty_negative=False,
)
COSXL = replace(
    SDXL,
    family="cosxl",
    schedule=ScheduleConfig(edm=EDMConfig(sigma_max=120.0, sigma_data=1.0, sigmas="exponential")),
    prediction="v",
)
PLAYGROUND = replace(
    SDXL,
    family="playground-2.5",
    vae=VAE_PLAYGROUND,
    schedule=ScheduleConfig(edm=EDMConfig()),
    guidance_scale=3.0,
)

EMOJI = ModelSpec(
    family="emoji",
    unet=UNetConfig(
        levels=(Level(96, 1, 1, 3), Level(128, 1, 1, 4), Level(128, 1, 1, 4)),
        context_dim=128,
        mid_depth=1,
        norm_groups=16,
    ),
    vae=VAEConfig(channels=(16, 32, 64, 128), resnets=1, norm_groups=8, scaling_factor=1.0),
    text=(
        TextConfig(
            width=128,
            layers=3,
            heads=4,
            mlp_width=512,
            activation="quick_gelu",
            vocab_size=6096,
            max_length=32,
            pad_token=6095,
        ),
    ),
    schedule=ScheduleConfig(
        zero_terminal_snr=True, timestep_spacing="trailing", set_alpha_to_one=True
    ),
    prediction="v",
    layout=Layout(linear_projection=True, single_file="v1"),
    default_size=128,
    guidance_scale=2.5,
)


def inpainting(spec: ModelSpec) -> ModelSpec:
    """The 9-channel inpainting variant: latents, mask, and latents of the masked image."""
    return replace(
        spec,
        family=f"{spec.family}-inpainting",
        unet=replace(spec.unet, in_channels=9),
        prediction="epsilon",
    )


def pix2pix(spec: ModelSpec) -> ModelSpec:
    """The 8-channel variant that changes a picture as it is told: latents, and the picture's."""
    return replace(spec, family=f"{spec.family}-pix2pix", unet=replace(spec.unet, in_channels=8))


def depth(spec: ModelSpec) -> ModelSpec:
    """The 5-channel variant that sees how near things are: latents, and a map of depth."""
    unet = replace(spec.unet, in_channels=5)
    return replace(spec, family=f"{spec.family}-depth", unet=unet, prediction="epsilon")


_NOISE_X4 = ScheduleConfig(beta_start=0.0001, beta_end=0.02)
X4 = replace(
    SD2,
    family="sd2-x4",
    unet=UNetConfig(
        levels=(
            Level(256, 2, 0, 8),
            Level(512, 2, 1, 8, self_attends=False),
            Level(512, 2, 1, 8, self_attends=False),
            Level(1024, 2, 1, 8),
        ),
        context_dim=1024,
        mid_depth=1,
        in_channels=7,
        noise_levels=1000,
    ),
    vae=VAEConfig(channels=(128, 256, 512), scaling_factor=0.08333),
    schedule=_NOISE_X4,
    prediction="v",
    guidance_scale=9.0,
    small=SmallConfig(_NOISE_X4),
)
"""Stability's x4 upscaler."""


UNCLIP_NOISE = ScheduleConfig("squaredcos_cap_v2", 0.0001, 0.02)
"""Levels of the noise in a picture's embedding."""
VISION_L = VisionConfig(1024, 24, 16, 4096, "quick_gelu", 224, 14, projection_dim=768)
VISION_H = VisionConfig(1280, 32, 16, 5120, "gelu", 224, 14, projection_dim=1024)
"""The vision towers of CLIP-L and OpenCLIP-H."""


def unclip(spec: ModelSpec, vision: VisionConfig, name: str) -> ModelSpec:
    """The variant that is told what a vision tower sees in a picture, with noise."""
    return replace(
        spec,
        family=f"{spec.family.removesuffix('-v')}-unclip-{name}",
        unet=replace(spec.unet, label_dim=2 * vision.projection_dim),
        sight=SightConfig(vision, UNCLIP_NOISE),
        guidance_scale=10.0,
    )


FAMILIES: dict[str, ModelSpec] = {
    spec.family: spec
    for spec in (
        SD1,
        SD2,
        SD2_V,
        SDXL,
        SDXL_REFINER,
        COSXL,
        PLAYGROUND,
        X4,
        EMOJI,
        inpainting(SD1),
        inpainting(SD2),
        inpainting(SDXL),
        pix2pix(SD1),
        pix2pix(SDXL),
        pix2pix(COSXL),
        depth(SD2),
        unclip(SD2_V, VISION_L, "l"),
        unclip(SD2_V, VISION_H, "h"),
    )
}


def motion_schedule(spec: ModelSpec) -> ScheduleConfig:
    """The noise that AnimateDiff's motion modules for a model were trained with."""
    trained = {"beta_schedule": "linear", "beta_end": 0.012}
    if spec.unet.added is not None:  # the beta for XL
        trained = {"beta_schedule": "scaled_linear", "beta_end": 0.02}
    return replace(spec.schedule, beta_start=0.00085, zero_terminal_snr=False, **trained)
