r"""How near students of the built-in model are to its pictures of 20 steps: docs/distillation.md.

    python tools/measure_students.py --dataset data/emoji --out REPORT \
        --halved runs/emoji_8_steps/model.safetensors:8 runs/emoji_4_steps/model.safetensors:4

Draws 24 plain captions and 8 with held-out grounds by the model in few steps, by its shipped
student, and by students of task "progressive" (`--halved FILE:STEPS`), with the same seeds. Writes
REPORT/students.md and students.png, rows of pictures in the order of the table.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from absl import app
from absl.flags import argparse_flags
from emoji.evaluation import FIRST_SEED, asked, gallery_of, named_style
from emoji.folders import read_rows
from emoji.metrics import has_colours, top
from emoji.words import STYLES
from evaluate_builtin import generator
from tqdm import tqdm

from jaxsd.drawings import with_programs
from jaxsd.images import contact_sheet, write_picture

PLAIN, HELD = 8, 8
"""Plain captions of each style, and captions of pairs that were held out."""
BATCH = 8
SHIPPED = "emoji-lcm-2step"
SHEET = (
    "a red apple",
    "a cat",
    "a rocket, twemoji style",
    "a slice of pizza",
    "a guitar, flat style",
    "an octopus on a yellow background",
    "the flag of Japan",
    "a penguin, twemoji style",
)


class Drawing(NamedTuple):
    """A way to draw."""

    name: str
    calls: int
    options: dict[str, Any]


def drawings(halved: Sequence[str], scale: float) -> Iterator[Drawing]:
    """The model with its guidance scale, its shipped student, and students of halvings.

    Raises:
      ValueError: an entry of `halved` is not FILE:STEPS.
    """
    for steps in (20, 8, 4, 2, 1):
        told = {"steps": steps, "guidance_scale": scale, "sampler": "ddim"}
        yield Drawing(f"model, {steps} steps", 2 * steps, told)
    alone = {"guidance_scale": 1.0}
    yield Drawing("model, 1 step, no guidance", 1, alone | {"steps": 1, "sampler": "ddim"})
    for steps in (4, 2, 1):
        options = (f"original_steps={steps}",)
        told = {"steps": steps, "sampler": "lcm", "sampler_options": options, "lora": (SHIPPED,)}
        yield Drawing(f"{SHIPPED}, {steps} steps", steps, alone | told)
    for one in halved:
        file, _, steps = one.rpartition(":")
        if not (file and steps.isdecimal()):
            raise ValueError(f"--halved {one} is not FILE:STEPS, as in model.safetensors:4")
        told = {"steps": int(steps), "sampler": "ddim", "lora": (file,)}
        options = ("spacing=trailing",)
        name = f"halved, {steps} steps"
        yield Drawing(name, int(steps), alone | told | {"sampler_options": options})


def report(args: argparse.Namespace) -> str:
    """Draws, scores and writes; returns the table."""
    train = read_rows(args.dataset / "train")
    plain = {
        style: [row for row in train if row.template == "plain" and row.style == style]
        for style in STYLES
    }
    questions = {style: asked(rows, PLAIN) for style, rows in plain.items()}
    grounds = [row for row in read_rows(args.dataset / "heldout") if row.template == "background"]
    held = asked([row for row in grounds if row.style == STYLES[0]], HELD)
    prompts = [named_style(row) for rows in questions.values() for row in rows]
    prompts += [row.text for row in held]
    galleries = {style: gallery_of(rows) for style, rows in plain.items()}
    pipe = with_programs("emoji", tqdm.write)
    seeds = [FIRST_SEED + i for i in range(len(prompts))]
    lines = ["| | calls | difference | glyph | white | named ground |", "| --- " * 6 + "|"]
    sheet: list[np.ndarray] = []
    whole = None
    every = list(drawings(args.halved, pipe.spec.guidance_scale))
    for drawing in tqdm(every, unit="way to draw"):
        generate = generator(pipe, BATCH, **drawing.options, progress=lambda done, rows: None)
        images = generate(prompts, seeds)
        whole = images if whole is None else whole
        apart = np.sqrt(np.mean(np.square(images.astype(np.float64) - whole)))
        ranks = np.concatenate(
            [
                galleries[style].ranks(images[i * PLAIN : (i + 1) * PLAIN], [r.object for r in own])
                for i, (style, own) in enumerate(questions.items())
            ]
        )
        white = np.mean([has_colours(image, None, "white") for image in images[: -len(held)]])
        both = zip(images[-len(held) :], held, strict=True)
        ground = np.mean([has_colours(image, None, row.background) for image, row in both])
        shares = " | ".join(f"{100 * share:.0f}%" for share in (top(ranks, 1), white, ground))
        lines.append(f"| {drawing.name} | {drawing.calls} | {apart:.1f} | {shares} |")
        tqdm.write(lines[-1])
        sheet += [*generate(list(SHEET), list(range(len(SHEET))))]
    args.out.mkdir(parents=True, exist_ok=True)
    table = "\n".join(lines) + "\n"
    (args.out / "students.md").write_text(table, encoding="utf-8")
    write_picture(args.out / "students.png", contact_sheet(np.stack(sheet), columns=len(SHEET)))
    return table


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--halved", nargs="*", default=[], metavar="FILE:STEPS", help="students")
    return parser.parse_args(argv[1:])


def main(args: argparse.Namespace) -> None:
    """Prints the table; a wrong command line gives one line and exit code 2."""
    try:
        print(report(args), end="")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main, flags_parser=arguments)
