"""Models merged by each block of a U-Net; differences saved as LoRAs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_models import TINY, abstract_text, abstract_unet, random_params

from jaxsd.adapters.lora_extracting import QUANTILE, low_rank
from jaxsd.adapters.lora_files import read_lora
from jaxsd.convert.files.safetensors_file import read_safetensors
from jaxsd.convert.files.tensors import nested
from jaxsd.executables import Executables
from jaxsd.types import Params
from jaxsd.workflow import Workspace
from jaxsd.workflow.nodes import (
    checkpoint_save,
    clip_merge_subtract,
    lora_save,
    model_merge_sd1,
    model_merge_sdxl,
    model_sampling_continuous_edm,
    model_sampling_continuous_v,
)
from jaxsd.workflow.values import Clip, Model, Vae

RUN = Executables()


MODULES = (
    *("time_embedding/linear_1", "conv_in", "down_blocks_0/resnets_0/conv1", "conv_norm_out"),
    *("mid_block/resnets_0/conv1", "mid_block/attentions_0/norm", "conv_out"),
    "up_blocks_0/resnets_0/conv1",
)


def model_of(family: str, number: float) -> Model:
    """Some of a U-Net's biases, all one number."""
    leaves = ((f"{module}/bias", np.full(1, number, np.float32)) for module in MODULES)
    return Model(TINY[family], nested(leaves), RUN, "float32")


@pytest.mark.parametrize(
    ("family", "merge", "end"), [("sd1", model_merge_sd1, "."), ("sdxl", model_merge_sdxl, "")]
)
def test_merging_by_each_block(family: str, merge: Callable[..., Model], end: str) -> None:
    """Blocks by their names in the original code."""
    ratios = {
        "time_embed.": 0.5,
        f"input_blocks.0{end}": 0.75,
        f"input_blocks.1{end}": 0.25,
        f"middle_block.1{end}": 0.125,
        f"output_blocks.0{end}": 0.625,
        "out.": 0.375,
    }
    made = merge(model1=model_of(family, 1), model2=model_of(family, 3), **ratios).params
    found = [float(flat(made)[f"{module}/bias"][0]) for module in MODULES]
    # The middle's first block has no ratio, which is 1 then.
    want = [0.5, 0.75, 0.25, 0.375, 1.0, 0.125, 0.375, 0.625]
    assert [(3 - value) / 2 for value in found] == want


def flat(tree: Params) -> dict[str, np.ndarray]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def test_factors_are_the_nearest_ones_but_for_their_tails() -> None:
    kernel = np.random.default_rng(1).normal(size=(30, 20, 3, 3)).astype(np.float32)
    up, down = low_rank(kernel, 4)
    assert (up.shape, down.shape) == ((30, 4, 1, 1), (4, 20, 3, 3))
    matrix = kernel.reshape(30, -1).astype(float)
    u, s, vh = np.linalg.svd(matrix, full_matrices=False)
    free = {"up": u[:, :4] * s[:4], "down": vh[:4]}
    for got, own in ((up.reshape(30, 4), free["up"]), (down.reshape(4, -1), free["down"])):
        bound = np.abs(got).max()
        np.testing.assert_allclose(np.abs(got), np.minimum(np.abs(own), bound), atol=1e-5)
    every = np.abs(np.concatenate([up.ravel(), down.ravel()]))
    largest = np.isclose(every, every.max()).mean()
    assert 0.5 * (1 - QUANTILE) < largest < 3 * (1 - QUANTILE)
    assert low_rank(kernel[:3, :, 0, 0], 8)[0].shape == (3, 3)


def test_saved_differences(tmp_path: Path) -> None:
    spec, place = TINY["sdxl"], Workspace(outputs=tmp_path)
    unet = random_params(abstract_unet(spec.unet))
    text = [random_params(abstract_text(one)) for one in spec.text]
    model = Model(spec, unet, RUN, "float32")
    clip = Clip(spec, {"text": text}, (), RUN, "float32")
    for kind in ("full_diff", "standard"):
        told = {"model_diff": model, "text_encoder_diff": clip}
        lora_save(place, filename_prefix=f"loras/{kind}", lora_type=kind, rank=3, **told)
    whole, low = (tmp_path / "loras" / f"{one}_00001_.safetensors" for one in ("full_diff", kind))
    trees, read = flat({"unet": unet, "text": text}), read_lora(whole, spec)
    assert {path for path in trees if "/embeddings/" not in path} == set(read)
    for path in ("unet/conv_in/kernel", "text/1/encoder/layers_0/mlp/fc1/bias"):
        own = read[path]["diff"]
        own = own.transpose(2, 3, 1, 0) if own.ndim == 4 else own
        np.testing.assert_allclose(own, trees[path], rtol=1e-3, atol=1e-6)
    tensors, _ = read_safetensors(low)
    first, width = "diffusion_model.input_blocks.0.0", spec.unet.levels[0].channels
    layer = "text_encoders.clip_l.transformer.text_model.encoder.layers.0.mlp.fc1"
    assert tensors[f"{first}.lora_up.weight"].shape == (width, 3, 1, 1)
    assert tensors[f"{first}.lora_down.weight"].shape == (3, 4, 3, 3)
    assert tensors[f"{first}.diff_b"].shape == (width,)
    assert tensors[f"{layer}.lora_down.weight"].shape == (3, spec.text[0].width)
    assert tensors[f"{layer.replace('clip_l', 'clip_g')}.diff_b"].dtype == np.float16
    assert tensors["diffusion_model.out.0.diff"].dtype == np.float16
    with pytest.raises(ValueError, match="there is nothing to save"):
        lora_save(place)
    with pytest.raises(ValueError, match="are not of one family"):
        lora_save(place, model_diff=model, text_encoder_diff=replace(clip, spec=TINY["sd1"]))


def test_noise_that_a_file_can_not_state(tmp_path: Path) -> None:
    model = Model(TINY["sd1"], {}, RUN, "float32")
    clip, vae = Clip(TINY["sd1"], {}, (), RUN, "float32"), Vae(TINY["sd1"], {}, RUN, "float32")
    for own in (
        model_sampling_continuous_v(model=model, sampling="v_prediction"),
        model_sampling_continuous_edm(model=model, sampling="eps"),
    ):
        with pytest.raises(ValueError, match="a file can not say that a model of continuous"):
            checkpoint_save(Workspace(outputs=tmp_path), model=own, clip=clip, vae=vae)


def test_differences_of_text_encoders() -> None:
    first, second = (
        Clip(TINY["sd1"], {"a": np.full(2, k, np.float32)}, (), RUN, "float32") for k in (5, 3)
    )
    made = clip_merge_subtract(clip1=first, clip2=second, multiplier=2.0)
    np.testing.assert_array_equal(made.params["a"], [4, 4])
