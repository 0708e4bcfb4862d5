"""Reference attention of share 1 against diffusers' cross-frame attention (Text2Video-Zero)."""

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers.pipelines.deprecated.text_to_video_synthesis.pipeline_text_to_video_zero import (
    CrossFrameAttnProcessor,
)
from diffusers_pairs import pair_of
from tiny_models import relative_error, uniform

from jaxsd.models import VAE, UNet
from jaxsd.sampling import Row, Step
from jaxsd.sampling.call import Answer, Call, Networks, unet_call
from jaxsd.sampling.features.reference import Noised, wrap

pytestmark = pytest.mark.parity

TOLERANCE = 1e-5


def test_a_frame_sees_the_first_one() -> None:
    pair, time = pair_of("sd1"), 400.0
    spec = pair.ours.spec
    first, second = (uniform(name, (1, 8, 9, 4)) for name in ("first", "second"))
    context = uniform("context", (1, 77, spec.unet.context_dim))
    networks = Networks(UNet(spec.unet), VAE(spec.vae), ())
    params = {"unet": pair.ours.params["unet"]}

    @jax.jit
    def ours(params: object, share: np.ndarray) -> Answer:
        row = Row(*[None] * len(Row._fields))._replace(
            level=np.float32([[1, 0]]), c_in=np.ones(1, np.float32)
        )
        held = Noised(first, np.zeros_like(first))
        call = Call(second, np.float32([time]), context, None, None, None)
        step = Step(row, {"reference": share})
        return wrap(networks, params, held, unet_call(networks, params))(call, step, {})[0]

    unet = pair.theirs.unet
    processors = unet.attn_processors
    try:
        unet.set_attn_processor(CrossFrameAttnProcessor(batch_size=1))
        frames = torch.from_numpy(np.concatenate([first, second])).permute(0, 3, 1, 2)
        texts = torch.from_numpy(np.repeat(context, 2, 0))
        with torch.no_grad():
            theirs = unet(frames, time, texts).sample.permute(0, 2, 3, 1).numpy()
    finally:
        unet.set_attn_processor(processors)
    found = ours(params, np.ones(1, np.float32)).output
    error = relative_error(found, theirs[1:])
    print(f"cross-frame attention: {error:.1e} of the largest value")
    assert error < TOLERANCE
    assert relative_error(ours(params, np.zeros(1, np.float32)).output, theirs[1:]) > 1e-3
