"""Guidance between three texts, merges by blocks, saved models, kinds of pictures."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import TINY, pipeline_params

from jaxsd.convert import open_model
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory
from jaxsd.executables import Executables
from jaxsd.nn.int8 import Int8, to_int8
from jaxsd.workflow import Workspace, arrays
from jaxsd.workflow.networks import loaded
from jaxsd.workflow.nodes import (
    checkpoint_save,
    dual_cfg_guider,
    empty_latent_image,
    hypernetwork_loader,
    k_sampler,
    model_merge_blocks,
    model_merge_simple,
    self_attention_guidance,
    set_union_control_net_type,
)
from jaxsd.workflow.values import Clip, Condition, ControlNet, Hint, Model, Vae

RNG = np.random.default_rng(0)
SPEC = TINY["sd1"]
RUN = Executables()


def condition(strength: float = 1.0) -> Condition:
    return Condition(np.zeros((1, 77, 4), np.float32), None, strength=strength)


@pytest.mark.parametrize("style", ["regular", "nested"])
def test_three_texts_guide_as_the_formula_says(style: str) -> None:
    first, second = 5.0, 1.5
    guider = dual_cfg_guider(
        model=None,
        cond1=(condition(), condition(3.0)),
        cond2=(condition(),),
        negative=(condition(),),
        cfg_conds=first,
        cfg_cond2_negative=second,
        style=style,
    )
    sides = arrays.three_sides_of(guider)
    active = np.ones((2, 4), bool)
    guidance = arrays.guidance_of(sides, arrays.side_weights(sides, active, np.ones(2)))
    negative, middle, a, b = made = RNG.normal(size=4)
    positive = (a + 3 * b) / 4  # conditions of one side are a mean by their strengths
    truth = negative + second * (middle - negative) + first * (positive - middle)
    if style == "nested":
        inner = middle + first * (positive - middle)
        truth = negative + second * (inner - negative)
    weights = guidance.weight[1]
    found = (1 - weights.sum()) * made[0] + (weights * made[1:]).sum()
    assert found == pytest.approx(truth, abs=1e-5)
    assert not arrays.needs_areas(sides, active)


def test_merging_by_blocks() -> None:
    names = ("conv_in", "time_embedding", "down_blocks_0", "mid_block", "up_blocks_3")
    names += ("conv_norm_out", "conv_out")
    ones, others = ({name: {"kernel": np.float32(k)} for name in names} for k in (1, 3))
    model = Model(SPEC, ones, RUN, "float32")
    made = model_merge_blocks(
        model1=model, model2=replace(model, params=others), input=0.75, middle=0.5, out=0.0
    )
    found = {name: float(own["kernel"]) for name, own in made.params.items()}
    assert found == dict(zip(names, (1.5, 1.5, 1.5, 2.0, 3.0, 3.0, 3.0), strict=True))
    with pytest.raises(ValueError, match="not of one family"):
        model_merge_blocks(model1=model, model2=replace(model, params={}))


def test_merging_kernels_of_8_bits() -> None:
    kernels = RNG.normal(size=(2, 128, 128)).astype(np.float32)
    packed = [jax.tree.map(jnp.asarray, to_int8(one)) for one in kernels]
    models = [Model(SPEC, {"a": {"kernel": one}}, RUN, "float32") for one in packed]
    truth = 0.25 * np.asarray(packed[0]) + 0.75 * np.asarray(packed[1])
    made = model_merge_simple(model1=models[0], model2=models[1], ratio=0.25).params["a"]["kernel"]
    assert isinstance(made, Int8)
    assert (np.abs(np.asarray(made) - truth) <= 0.5001 * np.asarray(made.scale)).all()
    plain = Model(SPEC, {"a": {"kernel": jnp.asarray(kernels[1])}}, RUN, "float32")
    made = model_merge_simple(model1=plain, model2=models[0], ratio=0.0).params["a"]["kernel"]
    np.testing.assert_array_equal(made, np.asarray(packed[0]))


def test_parts_are_read_in_8_bits() -> None:
    kernel = RNG.normal(size=(128, 128)).astype(np.float16)
    file = {"a/kernel": in_memory(kernel), "a/bias": in_memory(kernel[0])}
    made = loaded(file, "int8", "unet")["a"]
    assert isinstance(made["kernel"], Int8)
    assert made["bias"].dtype == np.float16
    np.testing.assert_array_equal(np.asarray(made["kernel"]), np.asarray(to_int8(kernel)))
    np.testing.assert_array_equal(loaded(file, "int8", "vae")["a"]["kernel"], kernel)
    assert (Workspace(dtype="int8").computes_in, Workspace().computes_in) == ("float32",) * 2


def test_hypernetworks_of_other_models_are_refused(tmp_path: Path) -> None:
    def written(width: int) -> str:
        own = {"weight": np.eye(width, dtype=np.float32), "bias": np.ones(width, np.float32)}
        named = {f"{width}.{i}.linear.0.{kind}": own[kind] for i in (0, 1) for kind in own}
        file = tmp_path / f"{width}.safetensors"
        write_safetensors(file, {name: in_memory(one) for name, one in named.items()}, {})
        return str(file)

    model, width = Model(SPEC, {}, RUN, "float32"), SPEC.unet.context_dim
    place = Workspace(named={"good": written(width), "bad": written(7)})
    made = hypernetwork_loader(place, model=model, hypernetwork_name="good", strength=0.5)
    twice = hypernetwork_loader(place, model=made, hypernetwork_name="good")
    assert [strength for *_, strength in twice.hypernets] == [0.5, 1.0]
    config, params, _ = made.hypernets[0]
    assert config.activation == "linear"
    np.testing.assert_array_equal(params[str(width)]["to_v"][0]["kernel"], np.eye(width))
    with pytest.raises(ValueError, match="is for tokens of 7 numbers, and the model's have"):
        hypernetwork_loader(place, model=model, hypernetwork_name="bad")


def test_what_does_not_go_with_a_blur() -> None:
    model = self_attention_guidance(model=Model(SPEC, {}, RUN, "float32"))
    assert (model.settings.sag, model.settings.sag_sigma) == (0.5, 2.0)
    told = {"positive": (condition(),), "negative": (condition(),), "scheduler": "normal"}
    told |= {"sampler_name": "euler", "latent_image": empty_latent_image(width=64, height=64)}
    for changes, message in (
        ({"model": model.changed(pag=1.0)}, "and PerturbedAttentionGuidance do not go together"),
        ({"sampler_name": "euler_cfg_pp"}, r"and a sampler of CFG\+\+ do not go together"),
        ({"negative": (condition(), condition())}, "needs one negative text"),
    ):
        with pytest.raises(ValueError, match=message):
            k_sampler(Workspace(), **{"model": model} | told | changes)
    other = replace(model, spec=replace(SPEC, prediction="v"))
    with pytest.raises(ValueError, match="is for models that predict the noise"):
        self_attention_guidance(model=other)


def test_a_saved_model_is_read_again(tmp_path: Path) -> None:
    params = pipeline_params(SPEC)
    place = Workspace(outputs=tmp_path)
    for _ in range(2):
        checkpoint_save(
            place,
            model=Model(SPEC, params["unet"], RUN, "float32"),
            clip=Clip(SPEC, {"text": params["text"]}, (), RUN, "float32"),
            vae=Vae(SPEC, params["vae"], RUN, "float32"),
        )
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == [f"ComfyUI_0000{i}_.safetensors" for i in (1, 2)]
    model = open_model(tmp_path / "checkpoints" / names[1])
    assert model.spec.unet == SPEC.unet
    kernel = model.tensors["unet"]["conv_in/kernel"].read()
    np.testing.assert_array_equal(kernel, params["unet"]["conv_in"]["kernel"])


def test_kinds_of_pictures_of_a_union() -> None:
    net = set_union_control_net_type(control_net=ControlNet("a"), type="tile")
    image = np.zeros((1, 8, 8, 3), np.float32)
    plain, seen = arrays.hint_images(
        [Hint(ControlNet("a"), image, 1.0), Hint(net, image, 1.0)], 2, 8, 8
    )
    assert isinstance(plain, np.ndarray)
    np.testing.assert_array_equal(seen.kinds, [[6], [6]])
    assert seen.images[0].shape == (2, 8, 8, 3)
    with pytest.raises(ValueError, match="type auto is not here; give one of openpose, depth"):
        set_union_control_net_type(control_net=net, type="auto")
