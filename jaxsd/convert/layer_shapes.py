"""Which parameters a layer has: a table path -> shape.

Shapes are those of `jaxsd`'s trees: convolutions `[H, W, in, out]`, dense kernels `[in, out]`.
"""

Shapes = dict[str, tuple[int, ...]]
"""Path -> shape."""


def conv(path: str, inputs: int, outputs: int, size: int = 3) -> Shapes:
    """A square convolution."""
    return {f"{path}/kernel": (size, size, inputs, outputs), f"{path}/bias": (outputs,)}


def dense(path: str, inputs: int, outputs: int) -> Shapes:
    """A dense layer."""
    return {f"{path}/kernel": (inputs, outputs), f"{path}/bias": (outputs,)}


def norm(path: str, width: int) -> Shapes:
    """A layer norm or a group norm."""
    return {f"{path}/scale": (width,), f"{path}/bias": (width,)}


def resnet(path: str, inputs: int, outputs: int, time_dim: int | None = None) -> Shapes:
    """A residual block, with a projection of the time in a U-Net."""
    shapes = {
        **norm(f"{path}/norm1", inputs),
        **conv(f"{path}/conv1", inputs, outputs),
        **norm(f"{path}/norm2", outputs),
        **conv(f"{path}/conv2", outputs, outputs),
    }
    if time_dim is not None:
        shapes |= dense(f"{path}/time_emb_proj", time_dim, outputs)
    if inputs != outputs:
        shapes |= conv(f"{path}/conv_shortcut", inputs, outputs, size=1)
    return shapes


def attention(path: str, width: int, context_dim: int) -> Shapes:
    """An attention from `width` to `context_dim`, all heads together."""
    return {
        f"{path}/to_q/kernel": (width, width),
        f"{path}/to_k/kernel": (context_dim, width),
        f"{path}/to_v/kernel": (context_dim, width),
        **dense(f"{path}/to_out_0", width, width),
    }


def feed_forward(path: str, width: int) -> Shapes:
    """The two dense layers behind attention; the first makes values and gates."""
    return {
        **dense(f"{path}/net_0/proj", width, 8 * width),
        **dense(f"{path}/net_2", 4 * width, width),
    }


def transformer(path: str, width: int, depth: int, context_dim: int, first: int = 0) -> Shapes:
    """Its blocks' first attention is to something of width `first`; 0 for the pixels."""
    shapes = norm(f"{path}/norm", width) | dense(f"{path}/proj_in", width, width)
    for block in (f"{path}/transformer_blocks_{k}" for k in range(depth)):
        shapes |= {
            **norm(f"{block}/norm1", width),
            **attention(f"{block}/attn1", width, first or width),
            **norm(f"{block}/norm2", width),
            **attention(f"{block}/attn2", width, context_dim),
            **norm(f"{block}/norm3", width),
            **feed_forward(f"{block}/ff", width),
        }
    return shapes | dense(f"{path}/proj_out", width, width)
