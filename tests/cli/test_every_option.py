"""Each option of a picture is given by a whole command, from its flags to its picture.

Commands of README and docs/ that CI runs on the built-in model give some; these give the others, to
tiny models.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ip_adapter_fakes import plain, write_adapter
from motion_fakes import write_original
from safetensors.numpy import save_file
from tiny_models import controlnet_params, pipeline_params, random_params, tree_of

from jaxsd.adapters.embedding import write_embedding
from jaxsd.adapters.lora_writing import write_lora_peft
from jaxsd.cli.arguments import parse
from jaxsd.cli.main import run
from jaxsd.cli.options import given_settings
from jaxsd.config import ControlNetConfig, ScheduleConfig, SightConfig, VisionConfig
from jaxsd.convert import open_model, write_controlnet, write_diffusers
from jaxsd.convert.diffusers.parts import PROJECTED_VISION, save_part
from jaxsd.convert.parameters import vision_parameters
from jaxsd.images import read_image, write_picture
from jaxsd.settings import OPTIONS
from jaxsd.webui import read_recipe

ROOT = Path(__file__).parents[2]

LATENTS = "--steps 2 --size 32x32 --guidance-scale 3"
VISION = VisionConfig(16, 1, 2, 16, "gelu", image_size=8, patch_size=4, projection_dim=8)

# What is drawn -> the command; {NAME} is a file or folder of `files`.
COMMANDS = {
    "words": 'generate "a {{red|green}} __animal__ <toy> <lora:style:0.5>" --negative fog '
    '--blend-prompt "a dog" --blend-strength 0.3 --prompt-weights comfy --clip-skip 1 '
    "--wildcards {lists} --lora-folder {loras} --embedding-folder {words} --lora {lora}:0.2 "
    "--embedding {word} --noise torch --batch-place 1 4 --sampler ddim --sampler-options eta=0.5 "
    "--freeu 1.1 1.2 0.9 0.8 --freeu-version 1 --guidance-rescale 0.5 "
    "--dynamic-thresholding 0.9 3 --vae-tile 16 --pag 3",
    "twice": "generate cat --hires 4 --hires-strength 0.5 --hires-steps 1 "
    "--hires-upscaler lanczos --watermark tiny",
    "parts": "generate cat --windows 16 8 --region 0,0,0.5,1:dog --apg 0 15 -0.5 --mimic-scale 2 1",
    "picture": "generate cat --image {cat} --strength 0.9 --mask {mask} --mask-blur 1 "
    "--no-composite --cfg-pp --sampler euler --guidance-scale 0.6 --variation-seed 7 "
    "--variation-strength 0.5 --seed-resize 16 16 --seamless x",
    "sag": "generate cat --sag 0.75 --sag-sigma 2 --refiner {model} --refiner-start 0.5",
    "seg": "generate cat --seg 3 --reference {cat} --reference-strength 0.4",
    "source": 'generate cat --image {cat} --source-prompt "a dog" --sampler bdia '
    "--control {cat}:{net}:0.5 --control-mode prompt",
    "seen": "generate cat --ip-adapter {cat}:{adapter}:0.5 --ip-adapter-mask {mask} "
    "--image-encoder {encoder} --cfg-zero 0",
    "clip": "generate cat cat cat --motion {motion} --motion-context 2 1 --motion-loop "
    "--motion-lora {zoom}:0.5",
    "depth": "generate cat --model {depth} --depth {mask}",
    "changed": "generate cat --model {changes} --image {cat} --image-guidance-scale 1.5",
    "varied": "generate cat --model {varies} --image {cat} --noise-level 10",
}
ELSEWHERE = {
    "guidance_interval": "tests/cli/test_generate.py",
    "reuse": "tests/cli/test_generate.py",
    "width": "tests/cli/test_generate.py (--size)",
    "height": "tests/cli/test_generate.py (--size)",
    "union_at_once": "tests/pipeline/test_controls_union_parity.py, in Python",
}
"""Options that other tests give."""
QUERY = "mid_block.motion_modules.0.transformer_blocks.0.attn1.processor.to_q_lora"


def commands_in_ci() -> Iterator[str]:
    """Those of README and docs/ that `.ci/run` names, and its own."""
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    yield from re.findall(r"\.venv/bin/jaxsd (.*?)'", script)
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        for name, block in re.findall(r"<!-- ci: (\S+) -->\n```sh\n(.*?)```", text, re.DOTALL):
            if f"readme_command {name})" in script:
                yield from re.findall(r"\.venv/bin/jaxsd (.*)", block)


def options_given(command: str) -> set[str]:
    if not command.startswith("generate"):
        return set()
    args = parse(["jaxsd", *shlex.split(command.replace("{{", "{").replace("}}", "}"))])
    return {*given_settings(args), *(["prompt"] if args.prompts else [])}


def test_each_option_is_given_by_a_command_that_is_run() -> None:
    run_here = set().union(*map(options_given, COMMANDS.values()))
    run_in_ci = set().union(*map(options_given, commands_in_ci()))
    assert {"mask", "lora", "preset"} <= run_in_ci
    assert set(OPTIONS) - run_here - run_in_ci == ELSEWHERE.keys()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, model: Path) -> dict[str, Path]:
    """What the commands name."""
    folder, spec = tmp_path_factory.mktemp("files"), open_model(model).spec
    tokenizers = open_model(model).tokenizers
    names = ("lists", "loras", "words", "net", "encoder", "depth", "changes", "varies")
    made = {name: folder / name for name in names} | {"model": model}
    for name in ("lists", "loras", "words"):
        made[name].mkdir()
    (made["lists"] / "animal.txt").write_text("fox\nhen\n")
    rng = np.random.default_rng(0)
    for name, channels in (("cat", 3), ("mask", 1)):
        made[name] = folder / f"{name}.png"
        picture = rng.integers(0, 256, (32, 32, channels), np.uint8)
        write_picture(made[name], np.repeat(picture, 3 // channels, axis=-1))
    attention = "unet/mid_block/attentions_0/transformer_blocks_0/attn1/to_q/kernel"
    down, up = np.float32(rng.normal(size=(2, 32, 2)))
    factors = {"down": down, "up": up.T, "alpha": np.float32(2)}
    made["lora"] = made["loras"] / "style.safetensors"
    write_lora_peft(made["lora"], {attention: factors}, spec)
    made["word"] = made["words"] / "toy.safetensors"
    write_embedding(made["word"], "<toy>", [np.float32(rng.normal(size=(1, 32)))])
    control = ControlNetConfig(spec.unet, hint_channels=(4, 6))
    write_controlnet(made["net"], control, controlnet_params(control))
    made["adapter"] = write_adapter(folder / "ip.safetensors", spec.unet, plain(8, 32))
    tower = random_params(tree_of(vision_parameters(VISION)), "vision")
    save_part(made["encoder"], PROJECTED_VISION, VISION, tower, overwrite=False)
    made["motion"] = write_original(folder / "motion.safetensors", spec.unet)
    made["zoom"] = folder / "zoom.safetensors"
    zoom = {f"{QUERY}.down.weight": down.T, f"{QUERY}.up.weight": up}
    save_file({name: np.ascontiguousarray(value) for name, value in zoom.items()}, made["zoom"])
    sight = SightConfig(VISION, ScheduleConfig(beta_schedule="squaredcos_cap_v2"))
    for name, changed in {
        "depth": replace(spec, unet=replace(spec.unet, in_channels=5)),
        "changes": replace(spec, unet=replace(spec.unet, in_channels=8)),
        "varies": replace(spec, unet=replace(spec.unet, label_dim=16), sight=sight),
    }.items():
        write_diffusers(made[name], changed, pipeline_params(changed), tokenizers=tokenizers)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_makes_a_picture_that_says_what_was_given(
    name: str,
    files: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(files["model"].parent / "cache"))
    first, *rest = shlex.split(COMMANDS[name].format(**files))
    argv = [first, "--model", str(files["model"]), *shlex.split(LATENTS), *rest]
    with pytest.raises(SystemExit) as end:
        run([*argv, "-o", str(tmp_path / "out")])
    printed = capsys.readouterr()
    assert not end.value.code, printed.err
    picture = Path(printed.out.split()[0])
    side = 128 if name == "twice" else 32
    assert read_image(picture).shape == (side, side, 3)
    said = vars(read_recipe(picture).settings)
    given = options_given(shlex.join([first, *rest]).replace("{", "{{")) - {"prompt", "size"}
    assert [one for one in given if said[one] == OPTIONS[one].default] == []
