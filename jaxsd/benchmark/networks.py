"""The functions that jobs time, with random weights that are quick to make."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxsd.benchmark.jobs import Job
from jaxsd.convert.files.tensors import nested
from jaxsd.convert.layer_shapes import Shapes
from jaxsd.convert.parameters import text_parameters, unet_parameters, vae_parameters
from jaxsd.models import VAE, TextEncoder, UNet
from jaxsd.sampling import Step, rows_of
from jaxsd.sampling.program import Given, Networks, Texts, draw
from jaxsd.schedulers import NoiseSchedule, build
from jaxsd.schedulers.guidance import classifier_free, together
from jaxsd.types import Array, Params


def work(job: Job) -> tuple[Callable[..., Array], tuple[Params, ...]]:
    """A job as a pure function, and the shapes of its arguments, parameters first."""
    return {"unet": _unet, "vae": _vae, "text": _text, "image": _image}[job.part](job)


def filled(shapes: Params) -> Params:
    """Arrays of these shapes: small numbers that repeat, since drawing a billion takes minutes."""
    pattern = np.random.default_rng(0).uniform(-1, 1, 65537).astype(np.float32)

    def fill(leaf: jax.ShapeDtypeStruct) -> Array:
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.vmap(jax.random.key)(np.arange(leaf.size, dtype=np.uint32))
        if jnp.issubdtype(leaf.dtype, jnp.integer):
            return jnp.ones(leaf.shape, leaf.dtype)
        gain = np.float32(0.5 * max(1, int(np.prod(leaf.shape[:-1]))) ** -0.5)
        return jnp.asarray(np.resize(pattern * gain, leaf.shape), leaf.dtype)

    return jax.tree.map(fill, shapes)


def _float(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def _unet_inputs(job: Job, images: int) -> Params:
    config, side = job.spec.unet, job.size // job.spec.vae.downscale
    inputs = {
        "x": _float(images, side, side, config.in_channels),
        "timestep": _float(),
        "context": _float(images, job.spec.text[0].max_length, config.context_dim),
    }
    if config.added is not None:
        inputs["pooled"] = _float(images, config.added.pooled_dim)
        inputs["time_ids"] = _float(images, config.added.time_ids)
    return inputs


def _weights(job: Job, shapes: Shapes) -> Params:
    """Parameters of these shapes, in the dtype that they are kept in."""
    stored, dtype = jnp.dtype(job.stored), jnp.dtype(job.dtype)
    kept = stored if stored.itemsize < dtype.itemsize else dtype
    return nested((path, jax.ShapeDtypeStruct(shape, kept)) for path, shape in shapes.items())


def _unet(job: Job) -> tuple[Callable[..., Array], tuple[Params, ...]]:
    unet, inputs = UNet(job.spec.unet, jnp.dtype(job.dtype)), _unet_inputs(job, 2 * job.batch)
    params = _weights(job, unet_parameters(job.spec.unet))
    return lambda params, inputs: unet.apply({"params": params}, **inputs), (params, inputs)


def _vae(job: Job) -> tuple[Callable[..., Array], tuple[Params, ...]]:
    vae, spec = VAE(job.spec.vae, jnp.dtype(job.dtype)), job.spec.vae
    side = job.size // spec.downscale
    params = _weights(job, vae_parameters(spec))
    decode = partial(vae.apply, method=VAE.decode)
    latents = _float(job.batch, side, side, spec.latent_channels)
    return lambda params, latents: decode({"params": params}, latents), (params, latents)


def _text(job: Job) -> tuple[Callable[..., Array], tuple[Params, ...]]:
    encoders = [TextEncoder(config, jnp.dtype(job.dtype)) for config in job.spec.text]
    shape = (2 * job.batch, job.spec.text[0].max_length)
    ids = jax.ShapeDtypeStruct(shape, jnp.int32)
    params = [_weights(job, text_parameters(config)) for config in job.spec.text]

    def encode(params: Params, ids: Array) -> list[Array]:
        pairs = zip(encoders, params, strict=True)
        return [encoder.apply({"params": tree}, ids) for encoder, tree in pairs]

    return encode, (params, ids)


def _image(job: Job) -> tuple[Callable[..., Array], tuple[Params, ...]]:
    spec, dtype, images = job.spec, jnp.dtype(job.dtype), job.batch
    encoders = tuple(TextEncoder(config, dtype) for config in spec.text)
    networks = Networks(UNet(spec.unet, dtype), VAE(spec.vae, dtype), encoders)
    (unet, _), (vae, latents), (text, ids) = (form(job)[1] for form in (_unet, _vae, _text))
    inputs = _unet_inputs(job, 2 * images)
    time_ids = inputs.get("time_ids")
    tableau = build("ddim", NoiseSchedule.from_config(spec.schedule), job.steps, spec.prediction)
    given = Given(
        texts=Texts(
            (jax.ShapeDtypeStruct((images, 2, ids.shape[-1]), jnp.int32),) * len(encoders),
            _float(images, 2),
        ),
        time_ids=None if time_ids is None else _float(images, 2, time_ids.shape[-1]),
        guidance=_float(images),
        start=_float(images, 2),
        noise=latents,
        keys=jax.eval_shape(jax.vmap(jax.random.key), jnp.zeros(images, jnp.uint32)),
        image=None,
        features={},
    )
    columns = together([classifier_free(spec.guidance_scale, tableau.rows)] * images)
    steps = Step(rows_of([tableau] * images), columns._asdict())

    def run(params: Params, given: Given) -> Array:
        return draw(networks, params, given, (steps,)).images

    return run, ({"unet": unet, "vae": vae, "text": text}, given)
