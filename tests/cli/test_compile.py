"""`jaxsd compile`, and that `generate` and Python then find all that they run."""

import jax
import pytest
from tiny_models import relative_error

import jaxsd
from jaxsd.cli.main import run
from jaxsd.drawings import LARGEST_BATCH, batches
from jaxsd.executables import Executables


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--batch", "0"], "--batch 0 is not a whole number of at least 1"),
        (["--sizes", "64"], "size '64' is not WIDTHxHEIGHT in pixels, such as 512x768"),
        (["--sizes", "65x64"], "width 65 is not a multiple of 8 pixels"),
        (["--dtype", "int4"], "dtype 'int4' is not one of"),
        (["--dtype", "int8", "--for", "v5e:2x2"], "--dtype int8 and --for do not go together"),
        (["--samplers", "dimm"], "sampler 'dimm' is unknown"),
        (["--steps", "0"], "steps"),
        (["--mesh", "4", "1", "1"], "--mesh belongs to --for"),
        (["--programs", "denoise"], "--programs belongs to --for"),
        (["--programs", "steps", "--for", "v5e:2x2"], "--programs 'steps' is unknown: choose of"),
        (["--reuse", "0"], "reuse 0 is out of range; allowed is 1 to 1000"),
        (["--guidance-interval", "1", "0"], "guidance_interval (1.0, 0.0) is not"),
    ],
)
def test_a_mistake_is_one_line(arguments, complaint, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("jaxsd.pipeline.outline", lambda *_, **__: pytest.fail("loaded"))
    with pytest.raises(SystemExit) as ended:
        run(["compile", *arguments])
    assert ended.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "plans", "programs"),
    [
        ([], {}, 5),
        pytest.param(
            ["--guidance-interval", "0.5", "1", "--reuse", "2"],
            {"guidance_interval": (0.5, 1), "reuse": 2},
            8,  # with and without guidance, to make deep features and to use them
            marks=pytest.mark.release,
        ),
    ],
)
def test_what_was_compiled_is_found(
    model, arguments, plans, programs, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    asked = ["--model", str(model), "--sizes", "32x16", "--samplers", "heun", "--steps", "4"]
    with pytest.raises(SystemExit) as ended:
        run(["compile", *asked, *arguments])
    assert not ended.value.code
    assert "32x16, batch 1: ready in" in capsys.readouterr().out
    folder = tmp_path / "jaxsd/programs"
    names = [path.name.partition("-")[0] for path in folder.iterdir()]
    assert set(names) == {
        "initial_noise",
        "encode",
        "denoise",
        "decode",
        "draw",
    }
    assert len(names) == programs

    said = []
    pipe = jaxsd.load(model, programs=Executables(folder, said.append))
    monkeypatch.setattr(Executables, "_compile", lambda *_: pytest.fail("compiled"))
    options = {"width": 32, "height": 16, "seed": 3} | plans
    whole = pipe.draw("an apple", steps=4, sampler="heun", **options)
    for table in ({"steps": 4, "sampler": "heun"}, {"steps": 5, "sampler": "euler"}):
        parts = pipe.draw("an apple", progress=lambda *_: None, **table, **options)
        if table["sampler"] == "heun":
            assert (
                relative_error(parts.images, whole.images) < 1e-4
            )  # other programs, other rounding
    assert said == []


def test_what_is_made_ready_ahead_is_found(model, tmp_path, monkeypatch):
    options = {"width": 32, "height": 16, "seed": 3}
    outlines = []

    def ahead(outline):
        outlines.append(outline)
        outline.prepare_parts(outline.order("", **options))

    pipe = jaxsd.load(model, programs=Executables(tmp_path), ahead=ahead)
    assert not any(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(outlines[0].params))
    monkeypatch.setattr(Executables, "_compile", lambda *_: pytest.fail("compiled"))
    drawing = pipe.draw("an apple", progress=lambda *_: None, **options)
    monkeypatch.undo()
    whole = pipe.draw("an apple", **options)
    assert relative_error(drawing.images, whole.images) < 1e-4


def test_what_goes_wrong_ahead_is_raised(model):
    with pytest.raises(ValueError, match="height 15 is not a multiple of 2 pixels"):
        jaxsd.load(model, ahead=lambda outline: outline.order("", height=15))


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8, 9, 29])
def test_batches_are_few_powers_of_two(count):
    sizes = batches(count)
    assert sum(sizes) == count
    assert sorted(sizes, reverse=True) == sizes
    assert set(sizes) <= {2**n for n in range(LARGEST_BATCH.bit_length())}
