"""Draws the pictures of docs/gallery.md with the built-in model, and writes the page.

    python tools/draw_gallery.py                  # all of them, with fixed seeds
    python tools/draw_gallery.py --only text and  # these pictures alone
    python tools/draw_gallery.py --only ""        # the page alone

The page shows the commands that are run here.
"""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from absl import app, flags

ONLY = flags.DEFINE_spaceseplist("only", None, "names of pictures, all without it")

FOLDER = Path("docs/gallery")
RUN = "from jaxsd.cli.main import run; run()"


class Picture(NamedTuple):
    """A picture of the page.

    Attributes:
      name: of its file.
      title: what it shows.
      command: of `jaxsd`, without `-o`; pictures before it may be named.
      said: one or two sentences below.
    """

    name: str
    title: str
    command: str
    said: str


PICTURES = (
    Picture("text", "From a prompt", 'generate "a red apple"', "20 steps of the usual sampler."),
    Picture("style", "A style", 'generate "a red apple, flat style"', "The model knows three."),
    Picture(
        "sampler",
        "Another sampler",
        'generate "a red apple" --sampler dpm++_2m --steps 8',
        "8 steps. No program is compiled for it.",
    ),
    Picture(
        "variation",
        "A variation",
        'generate "a red apple" --variation-strength 0.6 --variation-seed 7',
        "The noise goes a part of the way to that of another seed.",
    ),
    Picture(
        "variant",
        "Variants",
        'generate "{a pizza|an owl|a guitar} on a {blue|yellow|green} background" --seed 3',
        "The seed draws one of each; the picture has the drawn text in it.",
    ),
    Picture(
        "image",
        "From a picture",
        'generate "a red apple" --image docs/sketch.png --strength 0.6',
        "It begins from docs/sketch.png.",
    ),
    Picture(
        "weights",
        "Weights",
        'generate "a red apple on a (blue:1.3) background"',
        "The arithmetic is webui's, or another one's by name.",
    ),
    Picture(
        "inpaint",
        "Into a mask",
        'generate "a green apple" --image docs/gallery/text.png --mask docs/mask.png',
        "What is black in docs/mask.png keeps its pixels to the byte.",
    ),
    Picture(
        "control",
        "With a ControlNet",
        'generate "a cookie" --control docs/gallery/text.png:emoji-edges --preprocessor canny',
        "The edges of the first picture, another thing in them.",
    ),
    Picture(
        "lora",
        "With a LoRA",
        'generate "a red apple" --lora emoji-neon',
        "Trained by `jaxsd train configs/train/emoji-neon.toml`.",
    ),
    Picture(
        "embedding",
        "With a learnt word",
        'generate "a cat face on a <teal> background" --embedding emoji-teal',
        "Two vectors for a colour that the model was never told.",
    ),
    Picture(
        "and",
        "Two prompts at once",
        'generate "a cat face AND a dog face :0.7" --seed 1',
        "Guidance towards both, with their weights.",
    ),
    Picture(
        "edit",
        "An edit",
        'generate "a red [apple:tomato:0.3]"',
        "The word changes after 30% of the steps.",
    ),
    Picture(
        "outpaint",
        "Beyond the edges",
        'generate "two red apples" --image docs/gallery/text.png --outpaint 0 0 128 0 --seed 1',
        "The left half keeps its pixels.",
    ),
    Picture(
        "hires",
        "Larger, in two passes",
        'generate "a red apple" --hires 2 --hires-upscaler lanczos --hires-strength 0.2',
        "Drawn, enlarged, and drawn over.",
    ),
    Picture(
        "windows",
        "In windows",
        'generate "a tree on a light blue background" --width 256 --windows 128 64 --seed 2',
        "Twice as wide as the model draws: each step averages three windows.",
    ),
    Picture(
        "region",
        "A text for a part",
        'generate "a red heart" --region "docs/mask.png,20:a blue heart silhouette"',
        "Where docs/mask.png is white, the second prompt weighs 20 times as much as the first.",
    ),
    Picture(
        "reuse",
        "Less work",
        'generate "a red apple" --reuse 3',
        "Two of three steps compute the outermost level of the U-Net alone.",
    ),
    Picture(
        "pag",
        "Perturbed attention guidance",
        'generate "a cat face" --pag 3 --seed 2',
        "Away from a branch whose pixels look at themselves alone.",
    ),
    Picture(
        "detail",
        "A part alone",
        'generate "a green apple" --image docs/gallery/text.png --mask docs/mask.png '
        "--only-masked 16 --differential",
        "The part around the mask, drawn larger and put back; grey changes less.",
    ),
    Picture(
        "cfgpp",
        "CFG++",
        'generate "a cat face" --cfg-pp --sampler euler --seed 2',
        "Each step takes the negative prompt's noise; the scale is 0.6.",
    ),
    Picture(
        "mode",
        "A ControlNet, the prompt first",
        'generate "a cookie" --control docs/gallery/text.png:emoji-edges --preprocessor canny '
        "--control-mode prompt",
        "The edges count less than above, and the cookie is round.",
    ),
    Picture(
        "inversion",
        "With a picture's own noise",
        'generate "a green apple" --image docs/gallery/text.png --source-prompt "a red apple" '
        "--sampler bdia",
        "From the noise that leads to the first picture.",
    ),
    Picture(
        "blend",
        "Two prompts in one",
        'generate "a red apple" --blend-prompt "a green pear" --blend-strength 0.5',
        "The mean of what the two prompts became.",
    ),
    Picture(
        "two",
        "By two models, in eight steps",
        'generate "a red apple" --preset tcd --steps 8 --guidance-scale 2.5 --refiner emoji',
        "The second takes over after four fifths of the way; here it is the same one.",
    ),
    Picture(
        "seg",
        "Smoothed energy guidance",
        'generate "a cat face" --seg 3 --seed 2',
        "Away from a branch whose pixels all ask for the same.",
    ),
    Picture(
        "sag",
        "Self-attention guidance",
        'generate "a cat face" --sag 0.75 --seed 2',
        "Away from a picture that is blurred where pixels are looked at.",
    ),
    Picture(
        "freeu",
        "FreeU",
        'generate "a cat face" --freeu 1.1 1.2 0.9 0.6 --seed 2',
        "More of the deepest features, less of what skips them.",
    ),
    Picture(
        "high",
        "A high guidance scale",
        'generate "a cat face" --guidance-scale 10 --seed 2',
        "What the next five are for.",
    ),
    Picture(
        "rescale",
        "Guidance rescale",
        'generate "a cat face" --guidance-scale 10 --guidance-rescale 0.7 --seed 2',
        "The prompt's own contrast again.",
    ),
    Picture(
        "threshold",
        "Dynamic thresholding",
        'generate "a cat face" --guidance-scale 10 --dynamic-thresholding 0.995 3 --seed 2',
        "Values beyond a percentile are cut, and the rest is scaled.",
    ),
    Picture(
        "mimic",
        "The range of a lower scale",
        'generate "a cat face" --guidance-scale 10 --mimic-scale 2.5 0.99 --seed 2',
        "webui's dynamic thresholding (CFG scale fix).",
    ),
    Picture(
        "apg",
        "Adaptive projected guidance",
        'generate "a cat face" --guidance-scale 10 --apg 0 15 -0.5 --seed 2',
        "Without the part along the picture, with a largest length.",
    ),
    Picture(
        "interval",
        "Guidance for a part of the way",
        'generate "a cat face" --guidance-scale 10 --guidance-interval 0.3 0.7 --seed 2',
        "The steps outside of it take half of the time.",
    ),
    Picture(
        "zero",
        "CFG-Zero*",
        'generate "a cat face" --cfg-zero 1 --seed 2',
        "The optimised scale, and an output of 0 in the first step.",
    ),
    Picture(
        "reference",
        "With a picture to look at",
        'generate "a tomato" --reference docs/gallery/text.png --reference-strength 0.8',
        "Self-attention looks at the first picture as well.",
    ),
    Picture(
        "seamless",
        "Seamless",
        'generate "a sunflower" --seamless xy --seed 1',
        "All sides fit to each other. This model knows things in the middle, and scatters petals.",
    ),
    Picture(
        "noise",
        "PyTorch's noise",
        'generate "a red apple" --noise torch --seed 42',
        "The noise that diffusers has for this seed.",
    ),
    Picture(
        "resize",
        "The same seed in another size",
        'generate "a red apple" --width 160 --seed-resize 128 128',
        "The noise of the first picture in the middle.",
    ),
    Picture(
        "alternation",
        "Words in turn",
        'generate "a [cat|dog] face" --seed 1',
        "A cat in odd steps, a dog in even ones.",
    ),
    Picture(
        "few",
        "In two steps",
        'generate "a red apple" --lora emoji-lcm-2step',
        "A student of the model: two calls of the U-Net in place of forty.",
    ),
    Picture(
        "upscale",
        "Enlarged by a network",
        "upscale docs/gallery/style.png --model tests/data/esrgan_slim_x4.safetensors",
        "Four times as large.",
    ),
    Picture(
        "grid",
        "A labelled sheet",
        'grid "a red apple" --x "steps: 4, 8, 20" --y "sampler: euler_a, dpm++_2m_karras"',
        "Six pictures, drawn together.",
    ),
)


def page() -> str:
    """The text of docs/gallery.md."""
    lines = [
        "# Gallery",
        "",
        "Each picture was drawn by the built-in model with the command above it, on a CPU;",
        "`python tools/draw_gallery.py` draws them again.",
    ]
    for one in PICTURES:
        file = f"{FOLDER.name}/{one.name}.png"
        command = f"jaxsd {one.command} -o {one.name}.png"
        lines += ["", f"## {one.title}", "", "```sh", command, "```", ""]
        lines += [f"![{one.title}]({file})", "", one.said]
    return "\n".join([*lines, ""])


def main(argv: Sequence[str]) -> None:
    """Draws the pictures and writes the page."""
    del argv
    FOLDER.mkdir(parents=True, exist_ok=True)
    for one in PICTURES:
        if ONLY.value is None or one.name in ONLY.value:
            argv = [*shlex.split(one.command), "-o", str(FOLDER / f"{one.name}.png")]
            subprocess.run([sys.executable, "-c", RUN, *argv], check=True)
    FOLDER.with_suffix(".md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    app.run(main)
