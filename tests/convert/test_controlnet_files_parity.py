"""diffusers' own ControlNet files in, its loader on ours, its reading of the original names."""

import pytest

torch = pytest.importorskip("torch")
diffusers = pytest.importorskip("diffusers")

from convert_fakes import assert_same
from diffusers import ControlNetModel
from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint
from test_control_lora import control_lora, original_file, random_unet, write
from test_controlnet_files import LINEAR, ORIGINAL, original_tensors, random_controlnet
from tiny_models import CONTROLNETS
from torch_twins import controlnet_twin, load, unet_twin

from jaxsd.convert import read_controlnet, write_controlnet

pytestmark = pytest.mark.parity

families = pytest.mark.parametrize("family", CONTROLNETS)


def twin_of(family: str) -> ControlNetModel:
    return controlnet_twin(CONTROLNETS[family], linear_projection=LINEAR[family])


def assert_same_state(got: ControlNetModel, want: dict[str, torch.Tensor]) -> None:
    state = got.state_dict()
    assert state.keys() == want.keys()
    for name, tensor in want.items():
        assert torch.equal(state[name], tensor), name


@families
def test_diffusers_loads_what_is_written(tmp_path, family):
    params = random_controlnet(CONTROLNETS[family])
    write_controlnet(tmp_path / "ours", CONTROLNETS[family], params)
    got, told = ControlNetModel.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(told.values()), told
    assert_same_state(got, load(twin_of(family), params).state_dict())
    got.save_pretrained(tmp_path / "theirs")
    config, tree = read_controlnet(tmp_path / "theirs")
    assert config == CONTROLNETS[family]
    assert_same(tree, params)
    # Every setting that decides the network is what diffusers has for the twin.
    wanted = dict(twin_of(family).config)
    for name in ("_name_or_path", "_use_default_values", "upcast_attention"):
        wanted.pop(name, None)
    for name, value in wanted.items():
        found = got.config[name]
        if isinstance(value, list | tuple) and not isinstance(found, list | tuple):
            assert set(value) == {found}, name
        else:
            assert (list(found) if isinstance(found, tuple) else found) == (
                list(value) if isinstance(value, tuple) else value
            ), name


@pytest.mark.parametrize("kind", ["bin", "fp16"])
@families
def test_other_files_of_diffusers(tmp_path, family, kind):
    params = random_controlnet(CONTROLNETS[family], "float16" if kind == "fp16" else "float32")
    twin = load(twin_of(family).to(torch.float16 if kind == "fp16" else torch.float32), params)
    variant = "fp16" if kind == "fp16" else None
    twin.save_pretrained(tmp_path / "net", variant=variant, safe_serialization=kind != "bin")
    assert not (tmp_path / "net/diffusion_pytorch_model.safetensors").exists()
    config, tree = read_controlnet(tmp_path / "net", dtype=None)
    assert config == CONTROLNETS[family]
    assert_same(tree, params)


@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_diffusers_reads_the_original_names_alike(family):
    """Its reader knows hint networks of four widths, and no added conditions."""
    config = ORIGINAL[family]
    params, tensors = original_tensors(family)
    state = {name: torch.from_numpy(tensor.read().copy()) for name, tensor in tensors.items()}
    if len(config.hint_channels) != 4:
        last = f"input_hint_block.{4 * len(config.hint_channels) - 2}"
        for leaf in ("weight", "bias"):
            state[f"input_hint_block.14.{leaf}"] = state.pop(f"{last}.{leaf}")
    layers = {"layers_per_block": config.unet.levels[0].resnets}
    got = convert_controlnet_checkpoint(state, layers)
    twin = load(controlnet_twin(config, linear_projection=LINEAR[family]), params)
    want = twin.state_dict()
    assert got.keys() == want.keys()
    for name, tensor in want.items():
        assert torch.equal(got[name], tensor), name


def test_a_checkpoint_in_the_original_names(tmp_path):
    """As .pth files hold them, in a table `state_dict` and under `control_model.`."""
    params, tensors = original_tensors("sd1")
    state = {
        f"control_model.{name}": torch.from_numpy(tensor.read().copy())
        for name, tensor in tensors.items()
    }
    torch.save({"state_dict": state}, tmp_path / "net.pth")
    config, tree = read_controlnet(tmp_path / "net.pth")
    assert config == ORIGINAL["sd1"]
    assert_same(tree, params)


@pytest.mark.parametrize("linear", [False, True])
def test_diffusers_adds_up_a_control_lora_alike(tmp_path, linear):
    """Its own reader of Stability AI's files (levels of two resnets), on top of a U-Net's copy.

    diffusers 0.42.1 loses the biases beside factors, so they are the U-Net's here.
    """
    config = CONTROLNETS["sd1"]
    unet, params = random_unet(config.unet), random_controlnet(config)
    stored = control_lora(config, params, 0.1, linear=linear)
    copied = {name: unet[name] for name in params.keys() & unet.keys()}
    stored |= {
        name: array
        for name, array in original_file(config, params | copied).items()
        if name.replace(".bias", ".up") in stored
    }
    path = write(tmp_path / "a.safetensors", stored)
    own = load(unet_twin(config.unet, linear_projection=linear), unet)
    theirs = controlnet_twin(config, linear_projection=linear)  # as its `from_unet` does:
    theirs.load_state_dict(own.state_dict(), strict=False)
    theirs.load_lora_adapter(str(tmp_path), weight_name=path.name, prefix=None)
    _, tree = read_controlnet(path, unet=(config.unet, unet))
    ours = load(controlnet_twin(config, linear_projection=linear), tree)
    generator = torch.Generator().manual_seed(0)
    shapes = ((2, 4, 8, 8), (2, 5, config.unet.context_dim), (2, 3, 64, 64))
    latents, context, image = (torch.randn(shape, generator=generator) for shape in shapes)
    with torch.no_grad():
        got, want = (
            net(latents, 500, context, controlnet_cond=image, return_dict=False)
            for net in (ours, theirs)
        )
    for one, other in zip((*got[0], got[1]), (*want[0], want[1]), strict=True):
        # The products are added to what comes out there, and to the kernels here.
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4 * other.abs().max())
