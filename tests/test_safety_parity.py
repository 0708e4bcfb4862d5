"""Verdicts of random checkers against diffusers' own, from pictures of several sizes on."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from diffusers.pipelines.stable_diffusion.safety_checker import (
    StableDiffusionSafetyChecker,
    cosine_distance,
)
from transformers import CLIPConfig, CLIPImageProcessorPil

from jaxsd.safety import SafetyChecker

pytestmark = pytest.mark.parity

VISION = {
    "hidden_size": 48,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "image_size": 34,
    "patch_size": 8,
}
TEXT = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}


def test_verdicts_are_those_of_diffusers(tmp_path, monkeypatch):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    theirs = StableDiffusionSafetyChecker(
        CLIPConfig(vision_config=VISION, text_config=TEXT, projection_dim=24)
    ).eval()
    for tensor in theirs.parameters():
        tensor.data = tensor.data * 2 + torch.randn_like(tensor) * 0.1
    theirs.concept_embeds.data = torch.randn(17, 24)
    theirs.special_care_embeds.data = torch.randn(3, 24)
    rng = np.random.default_rng(0)
    sizes = rng.integers(20, 90, (24, 2))
    pictures = [
        (rng.integers(0, 256, (*size, 3)) * rng.random(3)).astype(np.uint8) for size in sizes
    ]
    processor = CLIPImageProcessorPil(size={"shortest_edge": 34}, crop_size=34)
    pixels = processor(pictures, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        seen = theirs.visual_projection(theirs.vision_model(pixels)[1])
        both = (theirs.concept_embeds, theirs.special_care_embeds)
        cosines = [cosine_distance(seen, one) for one in both]
    # Limits that some pictures are over, and some special ones.
    theirs.concept_embeds_weights.data = cosines[0].max(0).values - 0.002
    theirs.special_care_embeds_weights.data = cosines[1].quantile(0.7, 0)
    theirs.save_pretrained(tmp_path)
    _, want = theirs(pixels, [np.ones(1)] * len(pictures))
    assert 0 < sum(want) < len(want)

    checker = SafetyChecker(tmp_path)
    got = [checker(one) for one in pictures]
    assert [bool(one.reason) for one in got] == want
    assert any((one.special > 0).any() for one in got)
    scores = (cosines[0] - theirs.concept_embeds_weights).numpy()
    monkeypatch.setattr("jaxsd.safety.DIGITS", 9)  # both round to three digits
    exact = [checker(one) for one in pictures]
    care = [0.01 * (one.special > 0).any() for one in exact]
    plain = np.array([one.concepts - more for one, more in zip(exact, care, strict=True)])
    np.testing.assert_allclose(plain, scores, atol=1e-5)
