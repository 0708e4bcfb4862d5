"""Which axis of a parameter is split over which axis of the mesh: two tables.

`PARAM_AXES` names a parameter's axes, which depends on the network. `AXIS_RULES` says where they
go, which is a choice of a run. Attention and MLPs are split as in Megatron-LM (Shoeybi et al. 2019,
section 3): the first kernel of a pair by its outputs, the second by its inputs. So one sum over
"tensor" follows each pair.
"""

import re
from collections.abc import Mapping

from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS_RULES: dict[str, str | None] = {
    "embed": "fsdp",
    "heads": "tensor",
    "mlp": "tensor",
    "channels": "tensor",
}
"""Axis of a parameter -> axis of the mesh."""

_INT8 = ("/kernel/values", "/kernel/scale")
"""Ends of paths of a kernel of 8 bits: its numbers, and a scale for each output channel."""
_IN_OUT = (None, None, "embed", "channels")

PARAM_AXES: tuple[tuple[str, tuple[str | None, ...]], ...] = (
    # LoRAs and embeddings added to a model are small; every device has them whole.
    (r"lora/.*/(down|mid|up|alpha)", ()),
    (r"embedding/\d+", ()),
    # The empty prompt, which guided teachers of students see.
    (r"empty/(context|pooled)", ()),
    # So are hypernetworks.
    (r"hypernet/\d+/.*", ()),
    # GLIGEN's layers are whole on every device too: a quarter of SD 1's U-Net.
    (r"(position_net|fusers)/.*", ()),
    # So are IP-Adapters, and their image encoders run once for a picture.
    (r"ip_adapter/\d+/.*", ()),
    (r"(vision|normalizer)/.*", ()),
    # What a ControlNet-Union makes of the kind of a picture, once for a drawing.
    (r"(task_embedding|transformer_layes_\d+|spatial_ch_projs|control_add_embedding)/.*", ()),
    # Transformers of the U-Net and of the VAE.
    (r"(to_q|to_k|to_v)/kernel", ("embed", "heads")),
    (r"to_out_0/kernel", ("heads", "embed")),
    (r"ff/net_0/proj/kernel", ("embed", "mlp")),
    (r"ff/net_2/kernel", ("mlp", "embed")),
    (r"proj_in/kernel", ("embed", "channels")),
    (r"proj_out/kernel", ("channels", "embed")),
    # Conditions of the U-Net.
    (r"(time|add|class)_embedding/(linear_1|cond_proj)/kernel", ("embed", "mlp")),
    (r"(time|add|class)_embedding/linear_2/kernel", ("mlp", "embed")),
    (r"time_emb_proj/kernel", ("embed", "channels")),
    (r"class_embedding/embedding", ()),
    # Convolutions. Where pictures, latents and moments go in or out there are 3 to 9 channels.
    (r"(quant_conv|post_quant_conv)/kernel", ()),
    (r"conv_in/kernel", (None, None, None, "channels")),
    (r"conv_out/kernel", (None, None, "embed", None)),
    (r"(conv|conv1|conv2|conv_shortcut)/kernel", _IN_OUT),
    # Tiny autoencoders.
    (r"(encoder|decoder)/layers_\d+/(conv_\d/)?kernel", ()),
    # Text encoders.
    (r"self_attn/[qkv]_proj/kernel", ("embed", "heads")),
    (r"self_attn/out_proj/kernel", ("heads", "embed")),
    (r"mlp/fc1/kernel", ("embed", "mlp")),
    (r"mlp/fc2/kernel", ("mlp", "embed")),
    (r"(token|position)_embedding/embedding", (None, "embed")),
    (r"text_projection/kernel", ("embed", "heads")),
    # ControlNet: 16 to 256 channels of the hint, and the convolutions that begin at zero.
    (r"controlnet_cond_embedding/blocks_\d+/kernel", ()),
    (r"body_\d+/.*", ()),  # T2I-Adapters
    (r"controlnet_(down_blocks_\d+|mid_block)/kernel", _IN_OUT),
    # Vectors.
    (r"(bias|scale)", ()),
)
"""Pattern of the end of a path -> names of the axes, `()` for none split; the first match wins."""


def param_spec(path: str, shape: tuple[int, ...], rules: Mapping[str, str | None]) -> PartitionSpec:
    """The axes of the mesh that a parameter's axes are split over; `()` where none is.

    The numbers of a kernel of 8 bits lie as the kernel would, its scales [1, ..., 1, outputs] as
    the kernel's outputs.

    Raises:
      ValueError: no pattern matches.
    """
    if path.endswith(_INT8):
        kernel, _, part = path.rpartition("/")
        spec = param_spec(kernel, shape, rules)
        if part == "values" or not spec:
            return spec
        return PartitionSpec(*[None] * (len(spec) - 1), spec[-1])
    matches = (names for end, names in PARAM_AXES if re.fullmatch(f"(?:.*/)?{end}", path))
    if (names := next(matches, None)) is None:
        raise ValueError(f"no rule for parameter {path} {list(shape)}; add one to PARAM_AXES")
    return PartitionSpec(*(rules[name] if name else None for name in names))


def param_sharding(
    path: str,
    shape: tuple[int, ...],
    mesh: Mesh,
    rules: Mapping[str, str | None] = AXIS_RULES,
) -> NamedSharding:
    """Where a parameter of that path (`unet/conv_in/kernel`) and shape lies.

    Raises:
      ValueError: no pattern matches, or an axis can not be split equally.
    """
    spec = param_spec(path, shape, rules)
    for size, axis in zip(shape, spec, strict=False):
        if axis is not None and size % mesh.shape[axis]:
            raise ValueError(
                f"parameter {path} {list(shape)} can not be split by the {mesh.shape[axis]} "
                f"devices of mesh axis {axis!r}; the mesh is {dict(mesh.shape)}"
            )
    return NamedSharding(mesh, spec)
