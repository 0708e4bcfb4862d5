"""PhotoMaker in a graph, against transformers' networks and the fusion in torch."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import diffusers
from comfy_twin import Twin, euler, noise_of
from diffusers_pairs import SPECS
from graphs import GRAPH, changed
from PIL import Image
from test_unclip_graphs_parity import prepared
from tiny_models import pipeline_params
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from jaxsd.convert import write_diffusers
from jaxsd.models.photomaker import PhotoMaker
from jaxsd.parity.modules import relative_error
from jaxsd.parity.pipelines import psnr
from jaxsd.sampling import program
from jaxsd.workflow import Workspace, graph_of, run_graph
from jaxsd.workflow.nodes import (
    checkpoint_loader_simple,
    photo_maker_encode,
    photo_maker_loader,
)
from jaxsd.workflow.values import Clip

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

SEED, CFG, SIDE = 5, 4.0, 16
WIDTHS = (32, 48)
"""Of the text encoders, and so of the projections."""
PICTURE = np.random.default_rng(7).integers(0, 256, (50, 90, 3), np.uint8)


class Fusing(nn.Module):
    """An MLP behind a norm, twice with a residual, and a norm: of a word and a picture."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp1, self.mlp2 = self.layers(2 * width, width), self.layers(width, width)
        self.layer_norm = nn.LayerNorm(width)

    @staticmethod
    def layers(inputs: int, width: int) -> nn.ModuleDict:
        own = {"layernorm": nn.LayerNorm(inputs), "fc1": nn.Linear(inputs, width)}
        return nn.ModuleDict(own | {"fc2": nn.Linear(width, width)})

    def forward(self, word: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
        def mlp(own: nn.ModuleDict, x: torch.Tensor) -> torch.Tensor:
            return own["fc2"](nn.functional.gelu(own["fc1"](own["layernorm"](x))))

        x = word + mlp(self.mlp1, torch.cat([word, picture], dim=-1))
        return self.layer_norm(x + mlp(self.mlp2, x))


def random_maker(widths: tuple[int, int], std: float, **numbers: Any) -> nn.ModuleDict:
    """What sees and what fuses, of weights that are nowhere at their defaults."""
    torch.manual_seed(3)
    config = CLIPVisionConfig(projection_dim=widths[0], hidden_act="quick_gelu", **numbers)
    made = nn.ModuleDict(
        {
            "tower": CLIPVisionModelWithProjection(config),
            "visual_projection_2": nn.Linear(config.hidden_size, widths[1], bias=False),
            "fuse_module": Fusing(sum(widths)),
        }
    )
    for one in made.parameters():
        nn.init.normal_(one, std=std)
    return made.eval().requires_grad_(False)


def write(maker: nn.ModuleDict, path: Path) -> None:
    """A file as the authors' with a LoRA in it."""
    state = {name.removeprefix("tower."): own for name, own in maker.state_dict().items()}
    lora = {"unet.mid_block.to_q_lora.down.weight": torch.ones(2, 2)}
    torch.save({"id_encoder": state, "lora_weights": lora}, path)


@pytest.fixture(scope="module")
def maker() -> nn.ModuleDict:
    return random_maker(
        WIDTHS,
        std=0.15,
        hidden_size=64,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=1,
        image_size=SIDE,
        patch_size=8,
    )


@pytest.fixture(scope="module")
def place(maker: nn.ModuleDict, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """ComfyUI's folders with a tiny XL and a tiny PhotoMaker."""
    base = tmp_path_factory.mktemp("photomaker")
    text = tuple(
        replace(one, vocab_size=49408, pad_token=one.pad_token and 49407)
        for one in SPECS["sdxl"].text
    )
    spec = replace(SPECS["sdxl"], text=text)
    write_diffusers(base / "checkpoints/xl", spec, pipeline_params(spec))
    (base / "photomaker").mkdir()
    write(maker, base / "photomaker/photomaker-v1.bin")
    return Workspace(models=[base], inputs=base, outputs=base / "out")


@pytest.fixture(scope="module")
def pipe(place: Workspace) -> Any:
    """The same XL in diffusers."""
    return diffusers.DiffusionPipeline.from_pretrained(place.models[0] / "checkpoints/xl")


@pytest.fixture(scope="module")
def clip(place: Workspace) -> Clip:
    """Its text encoders here."""
    return checkpoint_loader_simple(place, ckpt_name="xl")[1]


def fused(maker: nn.ModuleDict, word: torch.Tensor, pixels: torch.Tensor) -> torch.Tensor:
    """The word [1, d] of a picture [1, 3, s, s]."""
    tower = maker["tower"]
    pooled = tower.vision_model(pixels).pooler_output
    both = [tower.visual_projection(pooled), maker["visual_projection_2"](pooled)]
    return maker["fuse_module"](word, torch.cat(both, dim=-1))


def context_of(pipe: Any, pieces: list[tuple[str, float]]) -> tuple[torch.Tensor, torch.Tensor]:
    """The context [1, 77, d] of pieces with weights, and the pooled text."""
    contexts = []
    for tokenizer, encoder in (
        (pipe.tokenizer, pipe.text_encoder),
        (pipe.tokenizer_2, pipe.text_encoder_2),
    ):
        ids, weights = [49406], [1.0]
        for text, weight in pieces:
            own = tokenizer(text, add_special_tokens=False).input_ids
            ids, weights = [*ids, *own], [*weights, *[weight] * len(own)]
        empty = [49406, 49407] + [tokenizer.pad_token_id] * 75
        ids = [*ids, 49407, *empty[2:]][:77]
        weight = torch.tensor(weights + [1.0] * 77)[None, :77, None]
        found, none = (
            encoder(torch.tensor([row]), output_hidden_states=True) for row in (ids, empty)
        )
        z, z_empty = found.hidden_states[-2], none.hidden_states[-2]
        contexts.append((z - z_empty) * weight + z_empty)
    return torch.cat(contexts, dim=-1), found.text_embeds


@pytest.mark.parametrize(
    ("text", "pieces", "at"),
    [
        ("a man photomaker in oil", [("a man photomaker in oil", 1.0)], 2),
        ("a man photomaker (in oil:1.3)", [("a man photomaker ", 1.0), ("in oil", 1.3)], 2),
        # The second piece, since the word is the second.
        ("man photomaker (in oil:1.3) (1889)", [("man photomaker ", 1), ("1889", 1.1)], 1),
    ],
)
def test_conditions(
    text: str,
    pieces: list[tuple[str, float]],
    at: int,
    maker: nn.ModuleDict,
    place: Workspace,
    pipe: Any,
    clip: Clip,
) -> None:
    """The picture has CLIP's size, so that no byte of it is rounded in two ways."""
    image = np.float32(PICTURE[None, :SIDE, :SIDE]) / 255
    ours = photo_maker_loader(place, photomaker_model_name="photomaker-v1.bin")
    (made,) = photo_maker_encode(place, photomaker=ours, image=image, clip=clip, text=text)
    with torch.no_grad():
        context, pooled = context_of(pipe, pieces)
        plain = context.clone()
        context[:, at] = fused(
            maker, context[:, at], prepared(torch.tensor(image), SIDE, crop=True)
        )
    figure = relative_error(made.context, context.numpy())
    print(f"{figure:.1e}")
    assert figure < 1e-5
    assert relative_error(made.pooled, pooled.numpy()) < 1e-5
    assert (made.context[0, at] - plain[0, at].numpy()).std() > 0.1


@pytest.mark.release
def test_at_full_size(tmp_path: Path) -> None:
    """A ViT-L/14 for the contexts of XL."""
    numbers = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24}
    numbers |= {"num_attention_heads": 16, "image_size": 224, "patch_size": 14}
    maker = random_maker((768, 1280), std=0.03, **numbers)
    write(maker, tmp_path / "photomaker-v1.bin")
    place = Workspace(named={"photomaker": str(tmp_path / "photomaker-v1.bin")})
    ours = photo_maker_loader(place, photomaker_model_name="any")
    rng = np.random.default_rng(2)
    pixels = rng.normal(size=(2, 224, 224, 3)).astype(np.float32)
    words = rng.normal(size=(2, 2048)).astype(np.float32)
    network = {"network": PhotoMaker(ours.config)}
    made = ours.run(program.fused, network, params=ours.params, tokens=words, images=pixels)
    want = fused(maker, torch.tensor(words), torch.tensor(pixels).movedim(-1, 1))
    figure = relative_error(made, want.numpy())
    print(f"{figure:.1e}")
    assert figure < 1e-5


@pytest.mark.release
def test_the_picture(maker: nn.ModuleDict, place: Workspace, pipe: Any) -> None:
    Image.fromarray(PICTURE).save(place.inputs / "person.png")
    nodes = {
        "4": {"ckpt_name": "xl"},
        "5": {"batch_size": 1},
        "10": {"class_type": "PhotoMakerLoader", "photomaker_model_name": "photomaker-v1.bin"},
        "12": {"class_type": "LoadImage", "image": "person.png"},
        "6": {
            "class_type": "PhotoMakerEncode",
            "photomaker": ["10", 0],
            "image": ["12", 0],
            "text": "a man photomaker in oil",
        },
        "7": {"text": "blurry"},
    }
    images = run_graph(graph_of(changed(GRAPH, nodes), "test"), place)["9"]
    twin = Twin(pipe)
    with torch.no_grad():
        context, pooled = context_of(pipe, [("a man photomaker in oil", 1.0)])
        pixels = prepared(torch.tensor(np.float32(PICTURE)[None] / 255), SIDE, crop=True)
        context[:, 2] = fused(maker, context[:, 2], pixels)
        sizes = torch.tensor([[64.0, 72, 0, 0, 64, 72]])

        def x0(x: torch.Tensor, sigma: float, own: torch.Tensor, pooled: torch.Tensor) -> Any:
            added = {"text_embeds": pooled, "time_ids": sizes}
            return twin.x0(x, sigma, own, added_cond_kwargs=added)

        negative = context_of(pipe, [("blurry", 1.0)])

        def run(x: torch.Tensor, sigma: float) -> torch.Tensor:
            uncond = x0(x, sigma, *negative)
            return uncond + CFG * (x0(x, sigma, context, pooled) - uncond)

        sigmas = twin.karras(4)
        noise = noise_of(SEED, (1, 4, 8, 9))
        x, _ = twin.begun(noise, torch.zeros_like(noise), sigmas[0])
        figure = psnr(images, twin.decode(euler(run, x, sigmas) / twin.scale).numpy())
    print(f"{figure:.1f} dB")
    assert figure > 80
