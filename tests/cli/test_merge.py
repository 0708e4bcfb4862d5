"""`jaxsd merge` from its arguments to its files, on a tiny random model."""

from pathlib import Path

import jax
import numpy as np
import pytest
from tiny_models import uniform

from jaxsd.adapters.lora import initial_lora, merged
from jaxsd.adapters.lora_writing import write_lora_kohya
from jaxsd.cli.main import run
from jaxsd.convert import open_model


@pytest.fixture
def lora(model, tmp_path: Path):
    """A LoRA of that model, and its file."""
    opened = open_model(model)
    found = initial_lora(
        opened.params(), ["conv1", "q_proj"], rank=2, alpha=1, key=jax.random.key(0)
    )
    for path, factors in found.items():
        factors["up"] = uniform(path, factors["up"].shape)
    write_lora_kohya(tmp_path / "style.safetensors", found, opened.spec)
    return found, tmp_path / "style.safetensors"


def merge(*argv: object) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        run(["merge", *map(str, argv)])
    return ended.value.code


def test_a_model_with_a_lora_is_written_and_differences_take_it_away(model, lora, tmp_path):
    """A + (A + LoRA - A) and (1 - w) A + w (A + LoRA) are the model with the LoRA, in part."""
    found, file = lora
    places = [tmp_path / name for name in ("merged", "added", "mixed.safetensors")]
    assert not merge(model, places[0], "--lora", f"{file}:0.5:0.25")
    assert not merge(
        model, places[1], "--with", places[0], "--minus", model, "--weight", 1, "--part", "^text=0"
    )
    assert not merge(model, places[2], "--with", places[0], "--weight", 0.5)
    parts = {name: {} for name in ("unet", "text")}
    for path, factors in found.items():
        parts[path.partition("/")[0]][path] = factors
    for place, unet, text in zip(places, (0.5, 0.5, 0.25), (0.25, 0.0, 0.125), strict=True):
        plain = open_model(model).params()
        want = merged(merged(plain, parts["unet"], unet), parts["text"], text)
        got = open_model(place).params()
        jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, atol=1e-5), got, want)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "nothing to merge; give --lora, or --with another model"),
        (("--lora", "a.pt", "--minus", "x"), "--minus and --part need --with"),
        (("--lora", "a.pt"), "there is no file 'a.pt'; lora is FILE[:UNET_WEIGHT[:TEXT_WEIGHT]]"),
        (("--with", "x", "--part", "up"), "part 'up' is not PATTERN=WEIGHT"),
        (("--with", "x", "--weight", "much"), "weight 'much' is not a finite float"),
    ],
)
def test_what_is_wrong_is_one_line(model, tmp_path, capsys, options, message):
    assert merge(model, tmp_path / "out", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
