"""CLIP scores against transformers: files it wrote, both towers, what pictures are made into."""

from pathlib import Path

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel

from jaxsd.convert.clip import DEVIATION, MEAN, read_clip
from jaxsd.images import clip_resize
from jaxsd.models import TextEncoder, VisionEncoder
from jaxsd.parallel import mesh_of
from jaxsd.score.networks import clip_network
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of, write_tokenizer

pytestmark = pytest.mark.parity

TOLERANCE = 1e-5
"""Of the largest value: float32 sums in another order; 1e-6 was seen."""
PROMPTS = ["a red apple", "a dog on a very, very, very, very long prompt", "b"]


@pytest.fixture(scope="module", params=["quick_gelu", "gelu"])
def theirs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    """A CLIP of transformers, and the folder that it wrote."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    text = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 614}
    text |= {"num_attention_heads": 2, "max_position_embeddings": 12, "hidden_act": request.param}
    text |= {"bos_token_id": 612, "eos_token_id": 613, "pad_token_id": 613}
    vision = {"hidden_size": 48, "intermediate_size": 64, "num_hidden_layers": 2}
    vision |= {"num_attention_heads": 3, "image_size": 34, "patch_size": 8}
    vision |= {"hidden_act": request.param}
    config = CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    model = CLIPModel(config).eval()
    for tensor in model.parameters():  # nothing at its default, norms and biases neither
        tensor.data = tensor.data * 2 + torch.randn_like(tensor) * 0.1
    folder = tmp_path_factory.mktemp("clip")
    model.save_pretrained(folder)
    vocabulary = vocabulary_of(clip_vocabulary().merges[:100])
    write_tokenizer(folder, Tokenizer(vocabulary, 12, 613))
    return model, folder


def test_both_towers(theirs: tuple[CLIPModel, Path]) -> None:
    model, folder = theirs
    clip = read_clip(folder)
    images = np.random.default_rng(0).normal(size=(3, 34, 34, 3)).astype(np.float32)
    ids = clip.tokenizer(PROMPTS)
    pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        out = model(input_ids=torch.from_numpy(ids).long(), pixel_values=pixels)
        states = model.vision_model(pixel_values=pixels, output_hidden_states=True).hidden_states
    see, read = VisionEncoder(clip.vision), TextEncoder(clip.text)
    seen = jax.jit(see.apply)({"params": clip.params["vision"]}, images)
    said = jax.jit(read.apply)({"params": clip.params["text"]}, ids).pooled
    np.testing.assert_allclose(seen.patches, states[-2].numpy(), atol=TOLERANCE * 5)
    for got, want in ((seen.embedding, out.image_embeds), (said, out.text_embeds)):
        got, want = np.asarray(got), want.numpy()
        got = got / np.linalg.norm(got, axis=-1, keepdims=True)
        assert np.abs(got - want).max() <= TOLERANCE * np.abs(want).max()


def test_cosines_from_pictures_and_prompts(theirs: tuple[CLIPModel, Path]) -> None:
    """All the way, beside transformers' processor; eight pictures, on what devices there are."""
    model, folder = theirs
    clip = read_clip(folder)
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((40, 60), (90, 50), (9, 9))]
    network = clip_network(clip, mesh_of(devices=jax.devices()[:1]))
    inputs = [network.prepare(*both) for both in zip(pictures, PROMPTS, strict=True)]
    got = np.asarray(network.run(inputs))
    processor = CLIPImageProcessorPil(size={"shortest_edge": 34}, crop_size=34)
    with torch.no_grad():
        out = model(
            input_ids=torch.from_numpy(clip.tokenizer(PROMPTS)).long(),
            pixel_values=processor(pictures, return_tensors="pt")["pixel_values"],
        )
    want = np.diag(out.logits_per_image) / model.logit_scale.exp().item()
    np.testing.assert_allclose(got, want, atol=1e-5)
    assert network.prepare(pictures[0], None) is None


@pytest.mark.parametrize("size", [(40, 60), (61, 37), (224, 224), (300, 225), (11, 13)])
def test_pictures_are_made_into_what_transformers_makes(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    want = CLIPImageProcessorPil()(picture, return_tensors="np")["pixel_values"][0]
    got = (clip_resize(picture, 224) / 255 - MEAN) / DEVIATION
    np.testing.assert_allclose(got.transpose(2, 0, 1), want, atol=1e-5)
