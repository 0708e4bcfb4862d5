"""diffusers' Flax modules, from the last release that has them (0.39)."""

from collections.abc import Callable

from protocol import serve


def prepare(job: dict) -> tuple[Callable[[], None], str]:
    """U-Net or decoder, jitted."""
    import diffusers
    import jax
    import jax.numpy as jnp
    import numpy as np

    if not hasattr(diffusers, "FlaxUNet2DConditionModel"):
        raise NotImplementedError(
            f"diffusers {diffusers.__version__} has no Flax; 0.39 is the last"
        )
    if job["part"] not in ("unet", "vae"):
        raise NotImplementedError("only U-Net and decoder are timed")
    dtype, side, batch = jnp.dtype(job["dtype"]), job["latent"], job["batch"]
    channels = job["vae"]["latent_channels"]
    if job["part"] == "unet":
        kind = diffusers.FlaxUNet2DConditionModel
        module = kind(**_known(kind, job["unet"]), dtype=dtype)
        inputs = [
            jnp.ones((2 * batch, channels, side, side)),
            jnp.float32(981),
            jnp.ones((2 * batch, job["tokens"], job["unet"]["cross_attention_dim"])),
        ]
        if job["pooled"]:
            raise NotImplementedError("XL is not timed")
        apply = jax.jit(lambda params, *inputs: module.apply({"params": params}, *inputs).sample)
    else:
        kind = diffusers.FlaxAutoencoderKL
        module = kind(**_known(kind, job["vae"]), dtype=dtype)
        inputs = [jnp.ones((batch, channels, side, side))]
        apply = jax.jit(
            lambda params, x: module.apply({"params": params}, x, method=module.decode).sample
        )
    shapes = jax.eval_shape(module.init_weights, jax.random.key(0))

    def fill(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        fan_in = max(1, int(np.prod(leaf.shape[:-1])))
        return jnp.full(leaf.shape, 0.1 / fan_in, dtype)

    params = jax.tree.map(fill, shapes)
    run = lambda: jax.block_until_ready(apply(params, *inputs))  # noqa: E731
    return run, f"diffusers {diffusers.__version__}, jax {jax.__version__}"


def _known(module: type, settings: dict) -> dict:
    """Those of PyTorch's settings that a Flax class has too."""
    fields = module.__dataclass_fields__
    known = {n: value for n, value in settings.items() if n in fields and value is not None}
    return {n: tuple(v) if isinstance(v, list) else v for n, v in known.items()}


if __name__ == "__main__":
    serve(prepare)
