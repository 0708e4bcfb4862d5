"""Score the built-in model: how often it draws what it is asked for.

    python tools/evaluate_builtin.py --dataset=DATASET --out=REPORT

Writes REPORT/report.json, report.md and sheet.png: 24 fixed prompts with seeds 0 to 23. DATASET is
what tools/build_emoji_dataset.py writes; questions and seeds are always the same ones.
"""

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from absl import app
from absl.flags import argparse_flags
from emoji.control import Control, edge_questions, score_edges
from emoji.evaluation import Generate, Reconstruct, Score, autoencoder_psnr, evaluate
from PIL import Image, ImageDraw

import jaxsd
from jaxsd.canvases import Pictures
from jaxsd.pipeline import with_controlnet

PROMPTS = (
    "a red apple",
    "a cat",
    "a dog face, flat style",
    "a rocket, twemoji style",
    "a bicycle",
    "a red heart",
    "a slice of pizza",
    "a guitar, flat style",
    "a penguin, twemoji style",
    "an airplane",
    "a piano",
    "an octopus on a yellow background",
    "a strawberry on a light blue background, flat style",
    "a lion on a green background",
    "a purple guitar icon",
    "a green cat icon on a black background",
    "a blue circle",
    "a red triangle on a yellow background",
    "the flag of Japan",
    "a round flag of France",
    "three bananas",
    "two foxes, twemoji style",
    "a small owl in the top left corner",
    "a car to the left of a tree",
)
COLUMNS = 6
LINES, LINE, LETTERS = 3, 14, 24
"""Text below a picture: lines, pixels per line, letters per line."""


def generator(pipe: jaxsd.Pipeline, batch_size: int, **options: object) -> Generate:
    """The pipeline as a function from prompts and seeds to pictures, in batches of one size."""

    def generate(prompts: list[str], seeds: list[int]) -> np.ndarray:
        missing = -len(prompts) % batch_size
        # The last batch is filled up: a batch of another size would compile again.
        prompts, seeds = prompts + [""] * missing, seeds + [0] * missing
        starts = range(0, len(prompts), batch_size)
        batches = [(prompts[i : i + batch_size], seeds[i : i + batch_size]) for i in starts]
        images = [pipe.text_to_image(text, seed=seed, **options) for text, seed in batches]
        return np.concatenate(images)[: len(prompts) - missing]

    return generate


def controlled(pipe: jaxsd.Pipeline, batch_size: int, **options: object) -> Control:
    """The pipeline with its ControlNet "edges", or without it if there are no hints."""
    free = generator(pipe, batch_size, **options)
    control = {"control": [jaxsd.Control(image="given", model="edges")]}

    def generate(prompts: list[str], seeds: list[int], hints: np.ndarray | None) -> np.ndarray:
        if hints is None:
            return free(prompts, seeds)
        missing = -len(prompts) % batch_size
        prompts, seeds = prompts + [""] * missing, seeds + [0] * missing
        seen = [Pictures(controls=(hint,)) for hint in [*hints, *[hints[-1]] * missing]]
        images = []
        for i in range(0, len(prompts), batch_size):
            part = slice(i, i + batch_size)
            given = {"seed": seeds[part], "pictures": seen[part]}
            images.append(pipe.text_to_image(prompts[part], **given, **control, **options))
        return np.concatenate(images)[: len(prompts) - missing]

    return generate


def reconstructor(pipe: jaxsd.Pipeline, batch_size: int) -> Reconstruct:
    """The pipeline's autoencoder: mean of the posterior, decoded."""
    vae = pipe.networks.vae

    @jax.jit
    def there_and_back(images: jax.Array) -> jax.Array:
        params = {"params": pipe.params["vae"]}
        mean, _ = vae.apply(params, images / 127.5 - 1, method="encode")
        decoded = vae.apply(params, mean, method="decode")
        return jnp.round((decoded.clip(-1, 1) + 1) * 127.5)

    def reconstruct(images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), batch_size)
        parts = [there_and_back(images[i : i + batch_size].astype(np.float32)) for i in starts]
        return np.concatenate([np.asarray(part, np.uint8) for part in parts])

    return reconstruct


def contact_sheet(images: np.ndarray, titles: Sequence[str]) -> Image.Image:
    """Pictures in rows of six, each with its prompt below."""
    size = images.shape[1]
    rows = -(-len(images) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (size + 8), rows * (size + 8 + LINES * LINE)), "white")
    draw = ImageDraw.Draw(sheet)
    for i, (image, title) in enumerate(zip(images, titles, strict=True)):
        x, y = i % COLUMNS * (size + 8) + 4, i // COLUMNS * (size + 8 + LINES * LINE) + 4
        sheet.paste(Image.fromarray(image), (x, y))
        draw.multiline_text((x, y + size), textwrap.fill(title, LETTERS), fill="black", spacing=1)
    return sheet


def table(scores: Sequence[Score], psnrs: dict[str, float]) -> str:
    """The report as Markdown."""
    lines = ["| question | pictures | right |", "|---|---|---|"]
    lines += [f"| {s.question} | {s.pictures} | {100 * s.share:.1f}% |" for s in scores]
    lines += [f"| autoencoder, {name} | | {value:.1f} dB |" for name, value in psnrs.items()]
    return "\n".join(lines) + "\n"


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--model", default="emoji", help="what jaxsd.load takes")
    parser.add_argument("--concepts", type=int, default=170, help="plain captions of each style")
    parser.add_argument("--composed", type=int, default=24, help="captions of each other kind")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--sampler", default="ddim")
    parser.add_argument("--sampler-option", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--lora", action="append", default=[], metavar="FILE[:STRENGTH]")
    parser.add_argument("--guidance-scale", type=float, help="by default what suits the model")
    parser.add_argument(
        "--guidance-interval", type=float, nargs=2, default=(0.0, 1.0), metavar=("FROM", "TO")
    )
    parser.add_argument("--reuse", type=int, default=1, metavar="N")
    parser.add_argument("--taesd", metavar="FOLDER", help="a tiny autoencoder to decode with")
    parser.add_argument("--dtype", default="float32", help="as jaxsd generate has it, also int8")
    parser.add_argument("--vae-tile", type=int, default=0, metavar="PIXELS", help="0: no tiles")
    parser.add_argument("--controlnet", help="for edges, such as emoji-edges: does it obey?")
    parser.add_argument("--edges", type=int, default=32, help="pictures of each kind for it")
    parser.add_argument("--batch-size", type=int, default=8)
    return parser.parse_args(argv[1:])


def report(args: argparse.Namespace) -> str:
    """Asks, scores and writes the report; returns its table."""
    pipe = jaxsd.load(args.model, args.dtype, taesd=args.taesd)
    scale = pipe.spec.guidance_scale if args.guidance_scale is None else args.guidance_scale
    settings = {
        "steps": args.steps,
        "sampler": args.sampler,
        "sampler_options": tuple(args.sampler_option),
        "lora": tuple(args.lora),
        "guidance_scale": scale,
        "guidance_interval": tuple(args.guidance_interval),
        "reuse": args.reuse,
        "vae_tile": args.vae_tile,
    }
    generate = generator(pipe, args.batch_size, **settings)
    scores = evaluate(generate, args.dataset, concepts=args.concepts, composed=args.composed)
    if args.controlnet:
        control = controlled(
            with_controlnet(pipe, args.controlnet, "edges"), args.batch_size, **settings
        )
        scores += score_edges(control, edge_questions(args.dataset, args.edges))
    psnrs = autoencoder_psnr(reconstructor(pipe, args.batch_size), args.dataset, count=128)
    sheet = contact_sheet(generate(list(PROMPTS), list(range(len(PROMPTS)))), PROMPTS)

    summary = {
        "model": args.model,
        "taesd": args.taesd,
        "dtype": args.dtype,
        "controlnet": args.controlnet,
        "settings": settings,
        "scores": [score._asdict() for score in scores],
        "autoencoder_psnr_db": psnrs,
        "sheet": PROMPTS,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    sheet.save(args.out / "sheet.png")
    (args.out / "report.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    (args.out / "report.md").write_text(table(scores, psnrs), encoding="utf-8")
    return table(scores, psnrs)


def main(args: argparse.Namespace) -> None:
    """Prints the report; a wrong command line gives one line and exit code 2."""
    try:
        print(report(args))
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main, flags_parser=arguments)
