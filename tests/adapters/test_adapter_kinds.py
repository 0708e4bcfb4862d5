"""Every kind of adapter: what LyCORIS makes of its own files, and the formulas by hand."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny_models import TINY, relative_error, uniform

from jaxsd.adapters.kinds import KINDS, changed, kind_of
from jaxsd.adapters.lora_files import read_lora
from jaxsd.convert.files.safetensors_file import write_safetensors
from jaxsd.convert.files.tensors import in_memory

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "adapters.npz")
CASES = sorted({name.partition("/")[0] for name in GOLDENS.files} - {"versions"})
WHOLE = {"dora", "dora_by_inputs", "loha_dora", "oft_rescaled", "boft_rescaled"}


def ours(array: np.ndarray) -> np.ndarray:
    """A weight of PyTorch in our axes."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T


@pytest.mark.parametrize("case", CASES)
def test_weights_are_those_that_lycoris_applies(tmp_path, case):
    """Its files, at its strength: 0.7, or 1 where it does not scale all of the change."""
    arrays = {key.partition("/")[2]: GOLDENS[key] for key in GOLDENS if key.startswith(f"{case}/")}
    keys = {key: in_memory(array) for key, array in arrays.items() if "." in key}
    write_safetensors(tmp_path / "x.safetensors", keys, {})
    lora = read_lora(tmp_path / "x.safetensors", TINY["sd1"])
    strength = 1.0 if case in WHOLE else 0.7
    for path, factors in lora.items():
        prefix = "bias_" if path.endswith("/bias") else ""
        before, after = (ours(arrays[f"{prefix}{name}"]) for name in ("before", "after"))
        got = jax.jit(changed)(before, factors, strength)
        assert relative_error(got, after) < 1e-6
        assert relative_error(before, after) > 0.05  # that it did change something
    assert len(lora) == (2 if "bias_before" in arrays else 1)


def test_every_kind_is_compared():
    names = {"LoRA": "locon", "LoHa": "loha", "LoKr": "lokr", "difference": "full"}
    names |= {"GLoRA": "glora", "OFT": "oft", "BOFT": "boft"}
    names |= {"IA3 of outputs": "ia3", "IA3 of inputs": "ia3_inputs"}
    assert names.keys() == KINDS.keys()
    assert set(names.values()) <= set(CASES)


@pytest.mark.parametrize("scale", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("by_inputs", [False, True])
def test_the_strength_of_dora_weights_its_whole_change(scale, by_inputs):
    """W + s (m (W + BA) / |W + BA| - W) in NumPy; 0 changes no bit."""
    kernel = uniform("kernel", (6, 5))
    factors = {"down": uniform("down", (6, 2)), "up": uniform("up", (2, 5))}
    factors |= {"alpha": np.float32(3), "magnitude": uniform("m", (6, 1) if by_inputs else (5,))}
    got = changed(jnp.asarray(kernel), factors, scale)
    after = kernel + 1.5 * factors["down"] @ factors["up"]
    norm = np.linalg.norm(after, axis=int(by_inputs), keepdims=True)
    want = kernel + scale * (after * factors["magnitude"] / norm - kernel)
    assert relative_error(got, want) < 1e-6
    assert scale or np.array_equal(got, kernel)


def test_changes_are_added_in_float32():
    """Half of what float16 can tell apart is not lost twice."""
    kernel = jnp.ones((2, 2), jnp.float16)
    got = changed(kernel, {"diff": np.full((2, 2), 2.0**-11 * 1.1, np.float32)}, 1.0)
    assert got.dtype == jnp.float16
    assert float(got[0, 0]) == 1 + 2.0**-10


def test_incomplete_factors_are_of_no_kind():
    assert kind_of({"down", "up", "alpha"}) == "LoRA"
    assert kind_of({"hada_w1_a", "hada_w1_b"}) is None
    assert kind_of({"lokr_w1", "lokr_w2_a"}) is None
