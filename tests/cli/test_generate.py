"""`jaxsd generate` from its arguments to its files, on a tiny random model."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_models import TINY

import jaxsd
from jaxsd.cli.main import run
from jaxsd.drawings import introduce
from jaxsd.images import GAP, picture_texts, read_image
from jaxsd.outputs import file_name, model_hash, output_paths
from jaxsd.pipeline.inside import WordMaps
from jaxsd.webui import parse_parameters, read_recipe


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("caches")


def generate(cache: Path, *argv: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from jaxsd.cli.main import run; run()",
            "generate",
            *map(str, argv),
        ],
        env=os.environ | {"XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        timeout=600,
    )


OPTIONS = ("--steps", 3, "--size", "48x32", "--seed", 7, "--guidance-scale", 3.5)
SPARED = ("--guidance-interval", 0.2, 0.8, "--reuse", 2)


def test_prompts_become_pictures_that_carry_their_recipe(model, cache, tmp_path):
    folder = tmp_path / "out"
    words = ("--negative", "fog, rain: \u96e8", "--sampler", "euler_a", "--model", model, *SPARED)
    done = generate(cache, "a cat!", "\u732b", *words, *OPTIONS, "-o", folder)
    assert done.returncode == 0, done.stderr
    names = ["a_cat_7.png", "\u732b_8.png", "contact_sheet.png"]
    assert done.stdout.split() == [str(folder / name) for name in names]
    assert sorted(os.listdir(folder)) == sorted(names)
    first, second = (read_image(folder / name) for name in names[:2])
    assert first.shape == second.shape == (32, 48, 3)
    assert (first != second).any()
    sheet = read_image(folder / "contact_sheet.png")
    np.testing.assert_array_equal(sheet[GAP : GAP + 32, GAP : GAP + 48], first)
    recipe = read_recipe(folder / names[1])
    made = recipe.settings
    assert (made.prompt, made.negative_prompt, made.seed) == ("\u732b", words[1], 8)
    assert (made.steps, made.sampler, made.guidance_scale) == (3, "euler_a", 3.5)
    assert (made.width, made.height, recipe.model) == (48, 32, str(model))
    parts = parse_parameters(picture_texts(folder / names[0])["parameters"])
    assert (parts["Prompt"], parts["Sampler"], parts["Size"]) == ("a cat!", "Euler a", "48x32")
    assert (cache / "jaxsd").stat().st_mode & 0o777 == 0o700
    assert any((cache / "jaxsd").iterdir())

    assert (made.guidance_interval, made.reuse, recipe.batch_size) == ((0.2, 0.8), 2, 2)
    again = tmp_path / "again.png"
    done = generate(cache, "--again", folder / names[1], "-o", again)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{again}\n"
    assert again.read_bytes() == (folder / names[1]).read_bytes()


def test_the_built_in_model_is_introduced_once(tmp_path):
    lines = []
    introduce("models/sd15", tmp_path, lines.append)
    assert lines == []
    introduce("emoji", tmp_path, lines.append)
    introduce("emoji", tmp_path, lines.append)
    assert len(lines) == 1
    assert "draws emoji" in lines[0]
    assert "--model" in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sampler", "dimm"], "sampler 'dimm' is unknown: choose one of ddim"),
        (["--size", "49x32"], "width 49 is not a multiple of 2 pixels"),
        (["--size", "0x32"], "width 0 is out of range; allowed is 1 to 65536"),
        (["--size", "big"], "size 'big' is not WIDTHxHEIGHT in pixels, such as 512x768"),
        (["--steps", "-4"], "steps -4 is out of range; allowed is at least 1"),
        (["--steps", "0"], "steps 0 is out of range; allowed is at least 1"),
        (["--steps", "many"], "steps 'many' is not a finite int"),
        (["--num-images", "0"], "--num-images 0 is not a whole number of at least 1"),
        (["--seed", "-1"], "seed -1 is out of range; allowed is 0 to 9223372036854775807"),
        (["--seed", str(2**63 - 1), "--num-images", "2"], f"seed {2**63} is out of range"),
        (["--guidance-scale", "nan"], "guidance_scale 'nan' is not a finite float"),
        (["--guidance-interval", "0.5", "0.1"], "guidance_interval (0.5, 0.1) is not (FROM, TO)"),
        (["--reuse", "0"], "reuse 0 is out of range; allowed is 1 to 1000"),
        (["--dtype", "int4"], "dtype 'int4' is not one of float32, float16, bfloat16, int8"),
        (["--image", "/no/such.png"], "picture '/no/such.png': No such file or directory"),
        (["--image", __file__], f"picture '{__file__}': no picture of a known kind"),
        (["--mask", "mask.png"], "mask mask.png needs an image to begin from"),
        (["--strength", "0.5"], "strength 0.5 needs an image to begin from"),
        (["--control", "a.png:/no/net"], "no ControlNet at /no/net: no such file or folder"),
        (["--control", "edges.png"], "control 'edges.png' is not IMAGE:MODEL"),
        (["--sampler-options", "eta=2"], "eta must be 0 to 1, not 2"),
        (["--sampler-options", "eta=much"], "sampler_options eta=much: "),
        (["--sampler-options", "strength=0.5"], "'strength=0.5' is not NAME=VALUE of an option"),
        (["--negative", "\udc80"], "is not valid UTF-8 text"),
        (["--model", "/no/such"], "no model at /no/such: no such file or folder"),
        (["-o", "/no/such/a.png"], "cannot write to /no/such/a.png: No such file or directory"),
        (["-o", "/no/such/folder"], "cannot write to /no/such/folder: No such file"),
        (["-o", "/proc/a.png"], "cannot write to /proc/a.png"),
        (["-o", "n" * 255 + ".png"], "File name too long"),
        (["--num-images", "9999999999"], "is 9999999999 images; at most 1048576 are"),
        (["-o", "a.gif"], "a.gif is no name of a picture; it ends with .png, .webp, .jpg, .jpeg"),
        (["-o", "/tmp/a.jpg", "--negative", "\u732b" * 9000], "a JPEG has room for 65533, take"),
        (["-o", "/tmp/a.webp", "--size", "2x16384"], "a WebP has at most 16383 pixels along a"),
        (["--again", __file__], "no picture of a known kind"),
        (["--preview-taesd", "/no/such"], "no tiny autoencoder at /no/such"),
        (["--lora", "no.pt:0.7"], "there is no file 'no.pt'; lora is FILE[:UNET_WEIGHT"),
        (["--word-maps", "--hires", "2"], "hires does not go with looking into the U-Net; leave"),
        (["--word-maps", "--windows", "64", "8"], "windows does not go with looking into the"),
        (
            ["--word-maps", "--image", "a.png", "--mask", "b.png", "--only-masked", "8"],
            "--word-maps are of whole pictures; leave --only-masked out",
        ),
    ],
)
def test_mistakes_are_told_before_anything_is_loaded(
    model, tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.setattr(jaxsd, "load", None, raising=False)
    argv = ["generate", "a cat", "--model", str(model), "-o", str(tmp_path / "a.png"), *arguments]
    with pytest.raises(SystemExit) as end:
        run(argv)
    printed = capsys.readouterr()
    assert end.value.code == 2
    assert message in printed.err
    assert printed.err.startswith("jaxsd generate: ")
    assert printed.err.count("\n") == 1
    assert printed.out == ""
    assert os.listdir(tmp_path) == []


class Interrupted:
    """In place of a pipeline: Ctrl-C comes while the second batch is drawn."""

    spec = TINY["emoji"]

    def order(self, settings, **options):
        return settings

    def drawn(self, order, progress, callback_on_step_end, callback_on_step_end_tensor_inputs):
        if len(order) < 2:
            raise KeyboardInterrupt
        callback_on_step_end(self, 0, 999.0, {"x0": np.zeros((len(order), 4, 6, 4))})
        return order

    def pictures(self, drawing, order):
        return np.full((len(order), 32, 48, 3), 7, np.uint8)


def test_what_was_drawn_before_an_interruption_is_whole(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("jaxsd.drawings.with_programs", lambda *_, **__: Interrupted())
    argv = ["generate", "a", "b", "c", "--preview", "--model", str(model), "-o", str(tmp_path)]
    with pytest.raises(SystemExit) as end:
        run([*argv, "--size", "48x32"])
    printed = capsys.readouterr()
    assert end.value.code == 130
    assert printed.out.split() == [str(tmp_path / "a_0.png"), str(tmp_path / "b_1.png")]
    assert printed.err.splitlines()[-1] == "jaxsd generate: interrupted"
    left = {"a_0.png", "b_1.png", "contact_sheet_preview.png"}
    assert set(os.listdir(tmp_path)) == left
    assert {read_image(tmp_path / name).shape[:2] for name in left} == {(32, 48), (40, 108)}


class Looked:
    """In place of a pipeline: the left half of each drawing is of its first word."""

    def order(self, settings, **options):
        return settings

    def drawn(self, order, progress):
        progress(1, 1)
        return order

    def pictures(self, drawing, order):
        return np.stack([np.full((32, 48, 3), 50 + 100 * one.seed, np.uint8) for one in order])

    def word_maps(self, one, pictures, progress):
        progress(1, 1)
        left = np.zeros((1, 4, 6), np.float32)
        left[..., :3] = 0.1 + one.seed
        return WordMaps(None, dict.fromkeys(one.prompt.split(), left))


def test_maps_of_words_lie_beside_each_picture_that_is_written(
    model, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr("jaxsd.drawings.with_programs", lambda *_, **__: Looked())
    monkeypatch.setattr("jaxsd.cli.generate.only_fit", lambda *_: lambda path, _: "b" in path.name)
    argv = ["generate", "a", "b c", "--model", str(model), "-o", str(tmp_path), "--word-maps"]
    with pytest.raises(SystemExit) as end:
        run([*argv, "--size", "48x32", "--steps", "1"])
    written = [tmp_path / name for name in ("b_c_1.png", "b_c_1_words.png", "contact_sheet.png")]
    assert capsys.readouterr().out.split() == list(map(str, written))
    assert end.value.code == 1, "the first picture was not fit"
    assert sorted(tmp_path.iterdir()) == written
    cells = read_image(written[1])  # the picture and "b" above "c"
    assert cells.shape[1] == 2 * 48 + 3 * GAP
    bottom = (cells.shape[0] - GAP) // 2
    picture, b = (cells[bottom - 32 : bottom, x : x + 48] for x in (GAP, 2 * GAP + 48))
    assert (picture == 150).all()
    assert (b[:, :20] > 240).all(), "but for what Lanczos' filter adds beside an edge"
    assert (b[:, 28:] < 15).all()


def test_the_file_of_a_model_is_hashed_once_and_not_before_the_first_row(
    model, tmp_path, monkeypatch
):
    told = []

    class Drawn(Looked):
        def drawn(self, order, progress):
            told.append("begun")
            for row in (1, 2):
                progress(row, 2)
            return order

    def hashed(path):
        told.append(f"hashed {path}")
        return "0123456789"

    monkeypatch.setattr("jaxsd.drawings.with_programs", lambda *_, **__: Drawn())
    monkeypatch.setattr("jaxsd.cli.generate.model_hash", hashed)
    picture = tmp_path / "a.png"
    with pytest.raises(SystemExit) as end:
        run(["generate", "a", "--model", str(model), "-o", str(picture), "--size", "48x32"])
    assert not end.value.code
    assert told == ["begun", f"hashed {model}"]
    assert read_recipe(picture).model_hash == "0123456789"


@pytest.mark.release
def test_a_picture_is_the_same_with_maps_of_its_words(model, cache, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    for name, more in (("plain.png", ()), ("looked.png", ("--word-maps",))):
        argv = ["generate", "a cat", "--model", str(model), *map(str, OPTIONS), *more]
        with pytest.raises(SystemExit) as end:
            run([*argv, "-o", str(tmp_path / name)])
        assert not end.value.code, capsys.readouterr().err
    assert (tmp_path / "plain.png").read_bytes() == (tmp_path / "looked.png").read_bytes()
    cells = read_image(tmp_path / "looked_words.png")
    assert cells.shape[1] == 2 * 48 + 3 * GAP
    assert cells[-GAP - 32 : -GAP, GAP : GAP + 48].std() > 20, "the map of 'cat'"


def test_a_prompt_without_words_has_no_maps(model, capsys):
    with pytest.raises(SystemExit) as end:
        run(["generate", "a", "?!", "--model", str(model), "--word-maps"])
    assert end.value.code == 2
    assert "--word-maps needs words, and the prompt is '?!'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "a grid needs an axis, as in --x 'steps: 10, 20'"),
        (["--x", "sampler: ddim, dimm"], "sampler 'dimm' is unknown"),
        (["--x", "steps: 2, 4", "-o", "a.gif"], "a.gif is no name of a picture"),
        (["--x", "steps: 2, 4", "-o", "/no/such/a.png"], "cannot write to /no/such/a.png"),
        (["--x", "steps: 2, 4", "--size", "2x16384", "-o", "a.webp"], "a WebP has at most 16383"),
    ],
)
def test_mistakes_in_a_grid_are_told_before_anything_is_loaded(
    model, monkeypatch, capsys, arguments, message
):
    monkeypatch.setattr(jaxsd, "load", None, raising=False)
    with pytest.raises(SystemExit) as end:
        run(["grid", "a cat", "--model", str(model), *arguments])
    printed = capsys.readouterr()
    assert (end.value.code, printed.out, printed.err.count("\n")) == (2, "", 1)
    assert message in printed.err


def test_a_mistake_does_not_wait_for_jax(tmp_path):
    code = (
        "import sys, jaxsd.cli.main as m\ntry: m.run()\n"
        "finally: print(sorted({'jax', 'tokenizers'} & set(sys.modules)))"
    )
    argv = ["generate", "a cat", "--model", "/no/such", "-o", str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "[]\n")


def test_names_of_files(tmp_path):
    one, two = ["a red apple"], ["a red apple", "../etc/passwd"]
    file = tmp_path / "x.png"
    assert output_paths(file, one, 5) == ([file], None)
    assert output_paths(file, two, 5) == ([tmp_path / "x_5.png", tmp_path / "x_6.png"], file)
    assert output_paths(tmp_path, one, 5) == ([tmp_path / "a_red_apple_5.png"], None)
    names = [tmp_path / "a_red_apple_5.png", tmp_path / "etc_passwd_6.png"]
    assert output_paths(tmp_path, two, 5) == (names, tmp_path / "contact_sheet.png")
    assert file_name("!?") == "image"
    assert len(file_name("word " * 100)) <= 60
    assert len(file_name("\U0001d49c" * 60).encode()) == 180
    (tmp_path / "a_red_apple_5.png").mkdir()
    with pytest.raises(ValueError, match=r"a_red_apple_5.png: it is a folder or a pipe"):
        output_paths(tmp_path, one, 5)


def test_the_hash_of_a_model_is_webuis(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"abc")
    # The first ten digits of the sha256 of "abc", from FIPS 180-2, appendix B.1.
    assert model_hash(tmp_path / "model.safetensors") == "ba7816bf8f"
    assert model_hash(tmp_path) == model_hash(tmp_path / "missing") == ""
