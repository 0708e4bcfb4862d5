"""Writes a tiny pipeline as diffusers' Flax classes did, and hashes of its weights in PyTorch.

Runs in an environment of its own, which has the last diffusers with Flax:

    pip install 'diffusers==0.39.0' 'transformers<5' 'jax==0.10.2' flax torch
    python tools/record_flax_fixture.py --out tests/data/flax_pipeline.zip

The weights are -1/8, 0 or 1/8, so that the archive is small. `torch.json` has the SHA-256 of
each tensor that the code behind `from_flax` made for PyTorch.
"""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import numpy as np
from absl import app, flags

OUT = flags.DEFINE_string("out", None, "archive to write", required=True)

OLD = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out_0"}
WORDS = ["<|startoftext|>", "<|endoftext|>"]


def coarse(params: Any) -> Any:
    """Random weights of the same shapes."""
    leaves, tree = jax.tree.flatten(params)
    random = np.random.default_rng(0)
    made = [random.integers(-1, 2, leaf.shape).astype(np.float32) / 8 for leaf in leaves]
    return jax.tree.unflatten(tree, made)


def tokenizer(folder: Path) -> Any:
    """CLIP's, with letters for a vocabulary."""
    from transformers import CLIPTokenizer

    letters = [chr(code) for code in range(97, 123)]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *WORDS]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        folder / "vocab.json", folder / "merges.txt", model_max_length=77, pad_token=WORDS[1]
    )


def write_pipeline(folder: Path) -> None:
    """A pipeline of Flax, with a ControlNet beside it."""
    import diffusers
    from transformers import CLIPTextConfig, FlaxCLIPTextModel

    sizes = {"block_out_channels": (32,), "layers_per_block": 1, "cross_attention_dim": 16}
    unet = diffusers.FlaxUNet2DConditionModel(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",),
        attention_head_dim=4,
        **sizes,
    )
    vae = diffusers.FlaxAutoencoderKL(block_out_channels=(32,), sample_size=8)
    net = diffusers.FlaxControlNetModel(
        sample_size=8,
        down_block_types=("CrossAttnDownBlock2D",),
        attention_head_dim=4,
        conditioning_embedding_out_channels=(4, 4, 8, 8),
        **sizes,
    )
    text = FlaxCLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(WORDS) + 52,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            bos_token_id=52,
            eos_token_id=53,
            pad_token_id=53,
        ),
        _do_init=False,
    )
    key = jax.random.key(0)
    params = {"unet": unet, "vae": vae, "controlnet": net}
    params = {
        name: coarse(jax.eval_shape(network.init_weights, key)) for name, network in params.items()
    }
    params |= {"text_encoder": coarse(text.params_shape_tree), "scheduler": {}}
    with TemporaryDirectory() as words:
        pipe = diffusers.FlaxStableDiffusionPipeline(
            vae=vae,
            text_encoder=text,
            tokenizer=tokenizer(Path(words)),
            unet=unet,
            scheduler=diffusers.FlaxPNDMScheduler(
                skip_prk_steps=True,
                beta_schedule="scaled_linear",
                beta_start=0.00085,
                beta_end=0.012,
                steps_offset=1,
            ),
            safety_checker=None,
            feature_extractor=None,
        )
        pipe.save_pretrained(folder, params=params)
    net.save_pretrained(folder / "controlnet", params=params["controlnet"])


def in_torch(kind: Any, folder: Path) -> Any:
    """A network of PyTorch with the weights of a Flax folder, by the code behind `from_flax`."""
    from diffusers.models.modeling_pytorch_flax_utils import load_flax_weights_in_pytorch_model
    from flax.serialization import msgpack_restore
    from flax.traverse_util import flatten_dict, unflatten_dict

    if (words := folder / "flax_model.msgpack").exists():
        from transformers.modeling_flax_pytorch_utils import load_flax_checkpoint_in_pytorch_model

        network = kind(kind.config_class.from_pretrained(folder))
        return load_flax_checkpoint_in_pytorch_model(network, str(words))
    network = kind.from_config(kind.load_config(folder))
    flat = flatten_dict(msgpack_restore((folder / "diffusion_flax_model.msgpack").read_bytes()))
    # Flax's autoencoder has the attention's names of before diffusers 0.14, as old files do.
    renamed = {tuple(OLD.get(name, name) for name in path): flat[path] for path in flat}
    load_flax_weights_in_pytorch_model(network, unflatten_dict(renamed))
    return network


def torch_hashes(folder: Path) -> dict[str, dict[str, str]]:
    """Folder of a part -> name of a tensor in PyTorch -> SHA-256 of its bytes in float32."""
    import diffusers
    from transformers import CLIPTextModel

    kinds = {
        "unet": diffusers.UNet2DConditionModel,
        "vae": diffusers.AutoencoderKL,
        "controlnet": diffusers.ControlNetModel,
        "text_encoder": CLIPTextModel,
    }
    hashes = {}
    for part, kind in kinds.items():
        state = in_torch(kind, folder / part).state_dict()
        tensors = {name: tensor.float().numpy() for name, tensor in state.items()}
        hashes[part] = {
            name: hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
            for name, array in tensors.items()
        }
    return hashes


def main(argv: Sequence[str]) -> None:
    """Writes the archive."""
    del argv
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_pipeline(folder)
        (folder / "torch.json").write_text(json.dumps(torch_hashes(folder)))
        with zipfile.ZipFile(OUT.value, "w", zipfile.ZIP_LZMA) as archive:
            for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(str(path.relative_to(folder)))
                archive.writestr(entry, path.read_bytes(), zipfile.ZIP_LZMA)


if __name__ == "__main__":
    app.run(main)
