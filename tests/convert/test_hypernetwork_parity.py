"""Hypernetworks that torch wrote, beside webui's layers in torch."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from jaxsd.convert.hypernetwork import open_hypernetwork
from jaxsd.models.hypernet import ACTIVATIONS, change_of

pytestmark = pytest.mark.parity

MODULES = {
    "linear": torch.nn.Identity,
    "relu": torch.nn.ReLU,
    "leakyrelu": torch.nn.LeakyReLU,
    "elu": torch.nn.ELU,
    "swish": torch.nn.Hardswish,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "softsign": torch.nn.Softsign,
    "mish": torch.nn.Mish,
}


def module(width: int, activation: str, *, norms: bool, activates_output: bool) -> Any:
    """Three layers, under webui's names `linear.N`."""
    layers, sides = [], [width, 2 * width, width, width]
    for i in range(3):
        layers.append(torch.nn.Linear(sides[i], sides[i + 1]))
        if activation != "linear" and (i < 2 or activates_output or norms):
            layers.append(MODULES[activation]())
        if norms:
            layers.append(torch.nn.LayerNorm(sides[i + 1]))
            torch.nn.init.normal_(layers[-1].weight)
    return torch.nn.ModuleDict({"linear": torch.nn.Sequential(*layers)})


@pytest.mark.parametrize(
    ("activation", "norms", "activates_output"),
    [*((name, False, False) for name in MODULES), ("relu", True, False), ("relu", False, True)],
)
def test_layers(activation: str, norms: bool, activates_output: bool, tmp_path: Path) -> None:
    torch.manual_seed(1)
    made = {
        width: [
            module(width, activation, norms=norms, activates_output=activates_output) for _ in "kv"
        ]
        for width in (6, 10)
    }
    saved = {width: [one.state_dict() for one in own] for width, own in made.items()}
    saved |= {"step": 7, "name": "own", "layer_structure": [1, 2, 1, 1], "use_dropout": False}
    saved |= {
        "activation_func": activation,
        "is_layer_norm": norms,
        "activate_output": activates_output,
    }
    torch.save(saved, tmp_path / "own.pt")
    config, trees = open_hypernetwork(tmp_path / "own.pt")
    assert sorted(trees) == ["10", "6"]
    x = np.random.default_rng(0).normal(size=(2, 3, 6)).astype(np.float32)
    for one, name in zip(made[6], ("to_k", "to_v"), strict=True):
        layers = jax.tree.map(lambda tensor: tensor.read(), trees["6"][name])
        want = one["linear"](torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(change_of(config, layers, x), want, rtol=1e-4, atol=1e-5)


def test_every_activation_is_compared() -> None:
    assert ACTIVATIONS.keys() == MODULES.keys()


def test_other_files_are_refused(tmp_path: Path) -> None:
    def refused(table: dict[Any, Any]) -> str:
        torch.save(table, tmp_path / "other.pt")
        with pytest.raises(ValueError, match=r"other\.pt") as error:
            open_hypernetwork(tmp_path / "other.pt")
        assert "\n" not in str(error.value)
        return str(error.value)

    own = module(4, "relu", norms=False, activates_output=False).state_dict()
    assert "is no hypernetwork: it has a tensor a" in refused(
        {"a": torch.ones(2), "b": torch.ones(3)}
    )
    assert "for a width of 4 are not two" in refused({4: [own], "name": "x"})
    assert "for a width of 5 do not fit together" in refused({5: [own, own], "name": "x"})
    unknown = {4: [own, own], "activation_func": "relu6"}
    assert "activation 'relu6' is not one of linear, relu" in refused(unknown)
