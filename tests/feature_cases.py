"""For every feature of a drawing: what it is given and how it is told to do nothing.

On the smallest networks that have all parts, so that a program compiles in seconds.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from tiny_models import (
    CLIP_L,
    TINY,
    abstract_text,
    abstract_unet,
    controlnet_params,
    random_params,
    tree_of,
    uniform,
)
from tiny_vaes import tiny_vae_weights

from jaxsd.config import (
    ControlNetConfig,
    HypernetConfig,
    IPAdapterConfig,
    Level,
    MotionConfig,
    ProjectionConfig,
    T2IAdapterConfig,
    TinyVAEConfig,
    UNetConfig,
    VisionConfig,
    motion_places,
)
from jaxsd.convert.adapter_parameters import (
    fuser_parameters,
    motion_parameters,
    position_net_parameters,
)
from jaxsd.convert.ip_adapter import cross_attentions, layer_parameters
from jaxsd.convert.ip_projections import projection_parameters
from jaxsd.convert.parameters import vision_parameters
from jaxsd.convert.t2i_adapter import t2i_parameters
from jaxsd.models import ControlNet, TextEncoder, UNet
from jaxsd.models.clip_vision import VisionEncoder
from jaxsd.models.ip_adapter import IPAdapter
from jaxsd.models.motion import Motion
from jaxsd.models.t2i_adapter import T2IAdapter
from jaxsd.models.tiles import tiling
from jaxsd.models.tiny_vae import TinyVAE
from jaxsd.sampling import Step, rows_of
from jaxsd.sampling.features.areas import Area, Areas
from jaxsd.sampling.features.channels import Channels
from jaxsd.sampling.features.gligen import Boxes
from jaxsd.sampling.features.ip_adapter import ImagePrompts
from jaxsd.sampling.features.motion import Clip
from jaxsd.sampling.features.sag import blur_of
from jaxsd.sampling.features.sight import Noising, Sight
from jaxsd.sampling.features.windows import Windows
from jaxsd.sampling.program import Given, Networks, Texts
from jaxsd.schedulers import NoiseSchedule, build
from jaxsd.schedulers.guidance import (
    classifier_free,
    composed,
    perturbed,
    refreshed_rows,
    together,
)
from jaxsd.types import Params

ROWS = 3
SIDE, PIXELS = 4, 8
UNET = UNetConfig(
    levels=(Level(8, 1, 0, 1), Level(16, 1, 0, 2)), context_dim=16, mid_depth=1, norm_groups=4
)
VAE_CONFIG = TinyVAEConfig(channels=8, encoder_blocks=(1, 1), decoder_blocks=(1, 1))
TEXT = replace(CLIP_L, width=16, layers=1, heads=2, mlp_width=16, max_length=8)
CONTROLNET = ControlNetConfig(UNET, hint_channels=(4, 6))
T2I_ADAPTER = T2IAdapterConfig(1, (8, 16), resnets=1, downscale=4, halves=(False, False))
T2I_PARAMS: Params = random_params(tree_of(t2i_parameters(T2I_ADAPTER)), "t2i")

PROJECTION = ProjectionConfig(inputs=6, tokens=2, width=UNET.context_dim)
VISION = VisionConfig(8, 1, 2, 8, "gelu", image_size=4, patch_size=2, projection_dim=6)
IP_ADAPTER = IPAdapterConfig(VISION, PROJECTION)
IP_PARAMS: Params = {
    "vision": random_params(tree_of(vision_parameters(VISION)), "vision"),
    "projection": random_params(tree_of(projection_parameters(PROJECTION)), "projection"),
    "layers": random_params(tree_of(layer_parameters(UNET)), "layers"),
}

GLIGEN_TEXT = 6
GLIGEN_PARAMS: Params = {
    "position_net": random_params(
        tree_of(position_net_parameters(GLIGEN_TEXT, UNET.context_dim)), "position_net"
    ),
    "fusers": random_params(tree_of(fuser_parameters(UNET)), "fusers"),
}

MOTION = MotionConfig(frames=8, heads=2, norm_groups=4)
MOTION_PARAMS: Params = random_params(tree_of(motion_parameters(motion_places(UNET), 1)), "motion")

PARAMS: Params = {
    "unet": random_params(abstract_unet(UNET)),
    "vae": tiny_vae_weights(VAE_CONFIG),
    "text": [random_params(abstract_text(TEXT))],
}
NETWORKS = Networks(UNet(UNET), TinyVAE(VAE_CONFIG), (TextEncoder(TEXT),))
TABLEAU = build("euler_a", NoiseSchedule.from_config(TINY["sd1"].schedule), ROWS, "epsilon")


class Asked(NamedTuple):
    """The arguments of `draw`."""

    networks: Networks
    params: Params
    given: Given
    runs: tuple[Step, ...]


class Case(NamedTuple):
    """A feature.

    Attributes:
      asked: (count) -> a drawing of so many images with the feature.
      other: the same with other values of its arrays or its column, to which it listens.
      neutral: the feature set to do nothing.
      without: the same drawing without it.
    """

    asked: Callable[[int], Asked]
    other: Callable[[int], Asked]
    neutral: Callable[[int], Asked]
    without: Callable[[int], Asked]


def plain(count: int) -> Asked:
    """A drawing without features, of guided texts with seeds 0, 1, 2, ..."""
    ids = uniform("ids", (count, 2, TEXT.max_length)) * 20 + 45
    given = Given(
        texts=Texts((ids.astype(np.int32),), np.ones((count, 2), np.float32)),
        time_ids=None,
        guidance=np.full(count, 3.0, np.float32),
        start=np.stack([TABLEAU.start] * count),
        noise=uniform("noise", (count, SIDE, SIDE, 4)),
        keys=jax.vmap(jax.random.key)(np.arange(count, dtype=np.uint32)),
        image=None,
        features={},
    )
    columns = together([classifier_free(3.0, ROWS)] * count)._asdict()
    return Asked(NETWORKS, PARAMS, given, (Step(rows_of([TABLEAU] * count), columns),))


def with_feature(asked: Asked, name: str, given: Any = None, column: Any = None) -> Asked:
    """The drawing with what a feature is given [B, ...], and its column [S, B, ...]."""
    if given is not None:
        own = asked.given
        asked = asked._replace(given=own._replace(features=own.features | {name: given}))
    if column is not None:
        steps = [step._replace(columns=step.columns | {name: column}) for step in asked.runs]
        asked = asked._replace(runs=tuple(steps))
    return asked


def pictures(name: str, count: int) -> np.ndarray:
    """[B, H, W, 3] float32 in [-1, 1]."""
    return uniform(name, (count, PIXELS, PIXELS, 3)) / np.float32(3**0.5)


# Channels beside the latents: the U-Net has a kernel for them, and with zeros there it is the U-Net
# without.


def channels(count: int, *, name: str = "masked", gain: float = 1.0) -> Asked:
    asked = plain(count)
    more = 1 + VAE_CONFIG.latent_channels
    config = replace(UNET, in_channels=UNET.in_channels + more)
    conv_in = dict(PARAMS["unet"]["conv_in"])
    extra = uniform("extra kernel", (3, 3, more, UNET.levels[0].channels)) * np.float32(0.1 * gain)
    conv_in["kernel"] = np.concatenate([conv_in["kernel"], extra], axis=2)
    asked = asked._replace(
        networks=NETWORKS._replace(unet=UNet(config)),
        params=PARAMS | {"unet": PARAMS["unet"] | {"conv_in": conv_in}},
    )
    given = Channels(soft_mask(count), pictures(name, count))
    return with_feature(asked, "channels", given)


def soft_mask(count: int) -> np.ndarray:
    return np.abs(uniform("mask", (count, SIDE, SIDE, 1))) / np.float32(3**0.5)


def controlnet(count: int, *, weights: tuple[float, ...] = (1.0, 0.7)) -> Asked:
    """ControlNets with these weights, and a T2I-Adapter, which is there from the second row on."""
    nets = len(weights) - 1
    tree = controlnet_params(CONTROLNET)
    trees = [jax.tree.map(lambda a, n=n: a * np.float32(0.7**n), tree) for n in range(nets)]
    networks = (*(ControlNet(CONTROLNET),) * nets, T2IAdapter(T2I_ADAPTER))
    asked = plain(count)._replace(
        networks=NETWORKS._replace(controlnets=networks),
        params=PARAMS | {"controlnet": [*trees, T2I_PARAMS]},
    )
    column = np.tile(np.float32(weights), (ROWS, count, 1))
    column[0, :, -1] = 0
    names = ("edges", "depth", "sketch")[-len(weights) :]
    hints = tuple((pictures(name, count) + 1) / 2 for name in names)
    return with_feature(asked, "controlnet", hints, column)


def control_mode(count: int, *, weight: float = 1.0, **factors: float) -> Asked:
    """ControlNets whose residuals have a factor, and another one for negative prompts."""
    told = {"negative": 0.0, "factor": 0.3} | factors
    column = np.full((ROWS, count, 2 + len(UNET.skip_channels)), told["factor"], np.float32)
    column[..., 0] = told["negative"]
    asked = controlnet(count, weights=(weight, weight))
    return with_feature(asked, "control_mode", np.ones(count, np.int32), column)


def ip_adapter(count: int, *, weight: float = 0.8) -> Asked:
    """An IP-Adapter, which is not there in the first row."""
    asked = plain(count)._replace(
        networks=NETWORKS._replace(ip_adapters=(IPAdapter(IP_ADAPTER),)),
        params=PARAMS | {"ip_adapter": [IP_PARAMS]},
    )
    column = np.full((ROWS, count, 1, len(cross_attentions(UNET))), weight, np.float32)
    column[0] = 0
    side = IP_ADAPTER.vision.image_size
    seen = uniform("seen", (count, side, side, 3))
    masks = tuple(uniform("mask", (count, 1, (SIDE // 2**i) ** 2)) for i in range(2))
    given = ImagePrompts((seen,), np.ones(count, np.int32), masks)
    return with_feature(asked, "ip_adapter", given, column)


def sight(count: int, *, name: str = "seen", gain: float = 1.0) -> Asked:
    """An embedding whose projection is added to the time, times `gain`."""
    config, width = replace(UNET, label_dim=2 * VISION.projection_dim), 4 * UNET.levels[0].channels
    shapes = {
        "linear_1": {"kernel": (config.label_dim, width), "bias": (width,)},
        "linear_2": {"kernel": (width, width), "bias": (width,)},
    }
    own = random_params(jax.tree.map(jnp.zeros, shapes, is_leaf=lambda one: type(one) is tuple))
    own["linear_2"] = jax.tree.map(lambda a: a * np.float32(gain), own["linear_2"])
    statistics = {"mean": np.full((1, 6), 0.1, "f4"), "std": np.full((1, 6), 0.7, "f4")}
    asked = plain(count)._replace(
        networks=NETWORKS._replace(unet=UNet(config), vision=VisionEncoder(VISION)),
        params=PARAMS
        | {"unet": PARAMS["unet"] | {"class_embedding": own}, "normalizer": statistics}
        | {"vision": IP_PARAMS["vision"]},
    )
    noising = Noising(np.full((count, 2), 0.7, np.float32), np.full(count, 40, np.float32))
    seen = uniform(name, (count, VISION.image_size, VISION.image_size, 3))
    return with_feature(asked, "sight", Sight(seen, np.ones(count, np.int32), noising))


def reference(count: int, *, share: float = 0.6) -> Asked:
    column = np.full((ROWS, count), share, np.float32)
    return with_feature(plain(count), "reference", pictures("reference", count), column)


def reuse(count: int, *, every: int = 2) -> Asked:
    column = np.tile(refreshed_rows(every, ROWS)[:, None], count)
    return with_feature(plain(count), "reuse", column=column)


def rescale(count: int, *, share: float = 0.7) -> Asked:
    column = np.full((ROWS, count), share, np.float32)
    return with_feature(plain(count), "rescale", column=column)


# Features that columns alone decide about share a program, in which all but one of them do nothing.

IDLE: dict[str, tuple[float, ...]] = {
    "pag": (False,),
    "seg": (False,),
    "freeu": (1.0, 1.0, 1.0, 1.0, 2.0),
    "momentum": (0.0,),
    "apg": (3.0, 1.0, 0.0, 0.0),
    "cfg_zero": (1.0, 1.0),
    "mimic": (1.0, 1.0),
    "threshold": (1.0, 1000.0),
}


FIRST_ROW = (((True,),), ((False,),), ((False,),))


def guiding(count: int, **values: tuple[Any, ...]) -> Asked:
    """A drawing with all of `IDLE`, some of them with other values, for all rows or for each."""
    asked = perturbing(count)
    for name, idle in IDLE.items():
        kind = bool if idle[0] is False else np.float32
        shape = (ROWS, count, len(idle))
        column = np.broadcast_to(np.array(values.get(name, idle), kind), shape)
        asked = with_feature(asked, name, column=column[..., 0] if len(idle) == 1 else column)
    return asked


def hypernet(count: int, *, strength: float = 0.5) -> Asked:
    """One that knows the tokens of texts, and those of the U-Net's first level."""
    widths = (NETWORKS.unet.config.context_dim, NETWORKS.unet.config.levels[0].channels)
    trees = {
        str(width): {
            name: [
                {
                    "kernel": uniform(f"{name} {width} {i}", shape) / np.float32(width**0.5),
                    "bias": uniform(f"bias {name} {i}", shape[1:]),
                }
                for i, shape in enumerate(((width, 2 * width), (2 * width, width)))
            ]
            for name in ("to_k", "to_v")
        }
        for width in widths
    }
    asked = plain(count)._replace(
        networks=NETWORKS._replace(hypernets=(HypernetConfig("relu", False),)),
        params=PARAMS | {"hypernet": [trees]},
    )
    column = np.full((ROWS, count, 1), strength, np.float32)
    return with_feature(asked, "hypernet", column=column)


def gligen(count: int, *, name: str = "boxes", used: bool = True) -> Asked:
    """Two boxes and a learnt token beside each text."""
    shape = (count, 2, 3)
    there = np.broadcast_to(np.array([True, True, False]), shape)
    boxes = np.abs(uniform(name, (*shape, 4))) / np.float32(3**0.5)
    given = Boxes(
        uniform("in boxes", (*shape, GLIGEN_TEXT)), boxes, there, np.full(shape[:2], used)
    )
    asked = plain(count)._replace(params=PARAMS | GLIGEN_PARAMS)
    return with_feature(asked, "gligen", given)


def perturbing(count: int, scale: float = 2.0, of: int = 1) -> Asked:
    """A drawing with a third branch, to guide away from; it sees the text of branch `of`."""
    guidance = perturbed(classifier_free(3.0, ROWS), scale, of, (0, ROWS))
    asked = plain(count)
    for name, column in together([guidance] * count, last=1)._asdict().items():
        asked = with_feature(asked, name, column=column)
    return asked


def blurring(count: int, *, rows: tuple[bool, ...] = (True, True, True)) -> Asked:
    column = np.float32(rows)[:, None, None] * blur_of(1.0)
    column = np.repeat(column, count, axis=1)
    return with_feature(perturbing(count, of=0), "sag", column=column)


def guiding_case(name: str, used: tuple[float, ...], other: tuple[Any, ...]) -> Case:
    return Case(
        asked=partial(guiding, **{name: used}),
        other=partial(guiding, **{name: other}),
        neutral=guiding,
        without=plain,
    )


def region(count: int, *, share: float = 0.7, name: str = "share") -> Asked:
    """Two texts, each with a share of a pixel; both see the prompt, if `share` is 0."""
    masks = 0.5 + share * 0.5 * np.clip(uniform(name, (count, SIDE, SIDE, 1)), -1, 1)
    asked, shares = plain(count), np.stack([masks, 1 - masks], axis=1).astype(np.float32)
    columns = together([composed((1.0, 1.0), 3.0, ROWS)] * count)._asdict()
    columns["which"] = np.array(columns["which"] if share else np.minimum(columns["which"], 1))
    columns["which"][..., 2] = 0 if share else 1
    for key, column in columns.items():
        asked = with_feature(asked, key, column=column)
    return with_feature(asked, "region", shares)


def windows(count: int, *, side: int = 2, gain: float = 1.0) -> Asked:
    """Windows of this side, which share the half of it with each other."""
    starts, shares = tiling(SIDE, side, side // 2, 1)
    row, column = (grid.ravel() for grid in np.mgrid[: len(starts), : len(starts)])
    corners = np.stack([starts[row], starts[column]], axis=-1)
    given = Windows(corners, shares[row] * np.float32(gain), shares[column])
    given = jax.tree.map(lambda a: np.stack([a] * count), given)
    return with_feature(plain(count), "windows", given)


def painted(count: int) -> Asked:
    """A drawing that begins from noise, with a picture beside it."""
    asked = plain(count)
    return asked._replace(given=asked.given._replace(image=pictures("source", count)))


def blend(count: int, *, mask: np.ndarray | None = None) -> Asked:
    one, none = np.ones_like(TABLEAU.alpha), np.zeros_like(TABLEAU.alpha)
    levels = np.stack([TABLEAU.alpha, TABLEAU.sigma, one, none, one], axis=-1)[1:]
    column = np.tile(levels[:, None], (1, count, 1)).astype(np.float32)
    column[-1] = [1, 0, 1, 0, 1]
    mask = soft_mask(count) if mask is None else mask
    return with_feature(painted(count), "blend", mask, column)


def noise_mask(
    count: int, *, mask: np.ndarray | None = None, grey: tuple[float, float] = (0, 0)
) -> Asked:
    column = np.broadcast_to(np.float32(grey), (ROWS, count, 2))
    mask = soft_mask(count) if mask is None else mask
    return with_feature(painted(count), "noise_mask", mask, column)


def areas(count: int, *, name: str = "share", divides: bool = True) -> Asked:
    """Two texts for the positive side: one has a mask, the other one sees the upper half alone.

    It does not count, if nothing `divides`.
    """
    asked, mask = plain(count), np.ones((count, 3, SIDE, SIDE, 1), np.float32)
    area = Area(np.zeros((count, 2), np.int32), np.zeros((count, SIDE // 2, SIDE), np.float32))
    weight = np.zeros((ROWS, count, 3, 2), np.float32)
    weight[..., 0, 0], weight[..., 1:, 1] = 1 - 3.0, 3.0
    mask[:, 2, SIDE // 2 if divides else 0 :] = 0
    if divides:
        mask[:, 1] = 0.5 + 0.2 * np.clip(uniform(name, (count, SIDE, SIDE, 1)), -1, 1)
    columns = together([composed((1.0, 1.0), 3.0, ROWS)] * count)._asdict()
    columns["which"] = np.minimum(columns["which"], 1)
    if divides:
        columns["which"][..., 2] = 0
    for key, column in columns.items():
        asked = with_feature(asked, key, column=column)
    return with_feature(asked, "areas", Areas(mask, (None, None, area)), weight)


def motion(count: int, *, gain: float = 1.0, length: int = 2) -> Asked:
    """A clip in contexts of two frames; the last row has other ones. `gain` is of the modules."""
    trees = jax.tree.map(np.copy, MOTION_PARAMS)
    for block in trees.values():
        for module in block.values():
            for name in module["proj_out"]:
                module["proj_out"][name] *= np.float32(gain)
    asked = plain(count)._replace(
        networks=NETWORKS._replace(motion=Motion(MOTION)), params=PARAMS | {"motion": trees}
    )
    weights = np.tile(np.float32([1, 2, 1][:length]), (count, 1))
    firsts = np.tile(np.int32([0, 1]), (ROWS, count, 1))
    firsts[-1] = [2, 0] if count == 3 else [0, -1]
    return with_feature(asked, "motion", Clip(np.full(count, count, np.int32), weights), firsts)


ALONE: dict[str, Case] = {
    "motion": Case(
        asked=motion,
        other=lambda count: motion(count, gain=0.5),
        neutral=lambda count: motion(count, gain=0.0),
        without=plain,
    ),
    "hypernet": Case(
        asked=hypernet,
        other=lambda count: hypernet(count, strength=-0.3),
        neutral=lambda count: hypernet(count, strength=0.0),
        without=plain,
    ),
    "gligen": Case(
        asked=gligen,
        other=lambda count: gligen(count, name="others"),
        neutral=lambda count: gligen(count, used=False),
        without=plain,
    ),
    "ip_adapter": Case(
        asked=ip_adapter,
        other=lambda count: ip_adapter(count, weight=0.2),
        neutral=lambda count: ip_adapter(count, weight=0.0),
        without=plain,
    ),
    "channels": Case(
        asked=channels,
        other=lambda count: channels(count, name="another"),
        neutral=lambda count: channels(count, gain=0.0),
        without=plain,
    ),
    "controlnet": Case(
        asked=controlnet,
        other=lambda count: controlnet(count, weights=(0.3, 0.2)),
        neutral=lambda count: controlnet(count, weights=(0.0, 0.0)),
        without=plain,
    ),
    "control_mode": Case(
        asked=control_mode,
        other=lambda count: control_mode(count, negative=1.0, factor=0.5),
        neutral=lambda count: control_mode(count, weight=0.0, negative=1.0, factor=1.0),
        without=plain,
    ),
    "windows": Case(
        asked=windows,
        other=lambda count: windows(count, gain=0.7),
        neutral=lambda count: windows(count, side=SIDE),
        without=plain,
    ),
    "reference": Case(
        asked=reference,
        other=lambda count: reference(count, share=1.0),
        neutral=lambda count: reference(count, share=0.0),
        without=plain,
    ),
    "sight": Case(
        asked=sight,
        other=lambda count: sight(count, name="another"),
        neutral=lambda count: sight(count, gain=0.0),
        without=plain,
    ),
    "reuse": Case(
        asked=reuse,
        other=lambda count: reuse(count, every=3),
        neutral=lambda count: reuse(count, every=1),
        without=plain,
    ),
    "rescale": Case(
        asked=rescale,
        other=lambda count: rescale(count, share=0.3),
        neutral=lambda count: rescale(count, share=0.0),
        without=plain,
    ),
    "pag": guiding_case("pag", (True,), FIRST_ROW),
    "seg": guiding_case("seg", (True,), FIRST_ROW),
    "freeu": guiding_case("freeu", (1.3, 1.4, 0.6, 0.2, 2), (1.3, 1.4, 0.6, 0.2, 1)),
    "sag": Case(
        asked=blurring,
        other=lambda count: blurring(count, rows=(False, True, True)),
        neutral=lambda count: blurring(count, rows=(False, False, False)),
        without=plain,
    ),
    "region": Case(
        asked=region,
        other=lambda count: region(count, name="another"),
        neutral=lambda count: region(count, share=0.0),
        without=plain,
    ),
    "areas": Case(
        asked=areas,
        other=lambda count: areas(count, name="another"),
        neutral=lambda count: areas(count, divides=False),
        without=plain,
    ),
    "momentum": guiding_case("momentum", (0.5,), (-0.4,)),
    "apg": guiding_case("apg", (3.0, 0.0, 2.0, -0.5), (3.0, 0.5, 0.0, 0.4)),
    "cfg_zero": guiding_case("cfg_zero", (3.0, 1.0), (3.0, 0.0)),
    "mimic": guiding_case("mimic", (0.4, 0.9), (0.6, 1.0)),
    "threshold": guiding_case("threshold", (0.9, 0.5), (0.995, 0.3)),
    "blend": Case(
        asked=blend,
        other=lambda count: blend(count, mask=1 - soft_mask(count)),
        neutral=lambda count: blend(count, mask=np.ones((count, SIDE, SIDE, 1), np.float32)),
        without=painted,
    ),
    "noise_mask": Case(
        asked=noise_mask,
        other=lambda count: noise_mask(count, grey=(0.5, 1)),
        neutral=lambda count: noise_mask(count, mask=np.ones((count, SIDE, SIDE, 1), np.float32)),
        without=painted,
    ),
}
"""Every name of `FEATURES` has to be here."""

APART = ("motion", "sag", "windows", "region", "areas", "reference", "sight")
"""`motion` makes images frames of a clip, `sag` needs what `reuse` leaves out, `windows` have
nothing that it could use again, `region` and `areas` have branches of their own, `reference` has
the U-Net twice, and `sight` another one."""


def merged(count: int, parts: dict[str, Callable[[int], Asked]]) -> Asked:
    """One drawing with what each of some features is given and told."""
    base = perturbing(count)
    networks, params, given, runs = base
    for name, part in parts.items():
        own = part(count)
        changed = {
            field: value
            for field, value in own.networks._asdict().items()
            if value != getattr(base.networks, field)
        }
        networks, params = (
            networks._replace(**changed),
            params
            | {part: tree for part, tree in own.params.items() if tree is not PARAMS.get(part)},
        )
        image = given.image if own.given.image is None else own.given.image
        given = given._replace(features=given.features | own.given.features, image=image)
        [step], [more] = runs, own.runs
        names = {name, "controlnet"} if name == "control_mode" else {name}
        columns = {key: column for key, column in more.columns.items() if key in names}
        runs = (step._replace(columns=step.columns | columns),)
    return Asked(networks, params, given, runs)


TOGETHER = {name: case for name, case in ALONE.items() if name not in APART}
IDLING = {name: case.neutral for name, case in TOGETHER.items()}


def among_idle(name: str, case: Case) -> Case:
    """The feature in a drawing with all others of `TOGETHER`, which do nothing: one program."""

    def drawing(own: Callable[[int], Asked]) -> Callable[[int], Asked]:
        others = {other: idle for other, idle in IDLING.items() if other != name}
        return lambda count: merged(count, others | {name: own})

    asked, other, neutral = map(drawing, (case.asked, case.other, case.neutral))
    return Case(asked, other, neutral, without=plain)


CASES = {name: among_idle(name, case) if name in TOGETHER else case for name, case in ALONE.items()}


def all_at_once(count: int) -> Asked:
    """A drawing with every feature of `TOGETHER`, and a T2I-Adapter."""
    return merged(count, {name: case.asked for name, case in TOGETHER.items()})
