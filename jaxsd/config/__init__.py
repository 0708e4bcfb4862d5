"""What a model is made of, as frozen numbers. No model name and no block-type string here.

Numbers that no network can have are a `ValueError`, wherever they come from.
"""

from jaxsd.config.autoencoders import TinyVAEConfig, VAEConfig, scaled, unscaled
from jaxsd.config.encoders import (
    FaceConfig,
    IPAdapterConfig,
    PerceptronConfig,
    ProjectionConfig,
    ResamplerConfig,
    TextConfig,
    VisionConfig,
)
from jaxsd.config.model import (
    EDMConfig,
    Layout,
    ModelSpec,
    ScheduleConfig,
    SightConfig,
    SmallConfig,
)
from jaxsd.config.unets import (
    FRAMES_TOGETHER,
    AddedConditions,
    ControlNetConfig,
    HypernetConfig,
    Level,
    MotionConfig,
    MotionPlace,
    T2IAdapterConfig,
    UNetConfig,
    motion_places,
)

__all__ = [
    "FRAMES_TOGETHER",
    "AddedConditions",
    "ControlNetConfig",
    "EDMConfig",
    "FaceConfig",
    "HypernetConfig",
    "IPAdapterConfig",
    "Layout",
    "Level",
    "ModelSpec",
    "MotionConfig",
    "MotionPlace",
    "PerceptronConfig",
    "ProjectionConfig",
    "ResamplerConfig",
    "ScheduleConfig",
    "SightConfig",
    "SmallConfig",
    "T2IAdapterConfig",
    "TextConfig",
    "TinyVAEConfig",
    "UNetConfig",
    "VAEConfig",
    "VisionConfig",
    "motion_places",
    "scaled",
    "unscaled",
]
