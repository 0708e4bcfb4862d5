"""What `jaxsd generate` is asked for, checked before jax is imported or a weight is read."""

import argparse
import math
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxsd.config import ModelSpec
from jaxsd.convert import open_model
from jaxsd.convert.tiny_vae import with_tiny_vae
from jaxsd.schedulers import NoiseSchedule, build, guided_rows, renewed_rows
from jaxsd.types import Prediction

DTYPES = ("float32", "bfloat16", "float16")
LONGEST_NAME = 60
"""Characters of a prompt that go into the name of its file."""


def add_approximations(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that take work off, and change the picture."""
    parser.add_argument(
        "--guidance-interval",
        type=float,
        nargs=2,
        default=(0.0, 1.0),
        metavar=("FROM", "TO"),
        help="guide from here to there on the way from noise to picture alone, faster (0 1)",
    )
    parser.add_argument(
        "--reuse",
        type=int,
        default=1,
        metavar="N",
        help="compute the U-Net's deep features in every N-th step alone, faster (1)",
    )
    parser.add_argument(
        "--taesd",
        metavar="FOLDER",
        help="tiny autoencoder (diffusers' AutoencoderTiny) to decode with, faster and coarser",
    )


@dataclass(frozen=True)
class Job:
    """A drawing that can begin.

    Attributes:
      prompts: one per image.
      rows: calls of the network.
      seed: of the first image.
      paths: of the images.
      sheet: of the contact sheet; None for a single image.
    """

    model: str
    prompts: list[str]
    negative_prompt: str
    sampler: str
    steps: int
    rows: int
    guidance_scale: float
    guidance_interval: tuple[float, float]
    reuse: int
    seed: int
    width: int
    height: int
    dtype: str
    prediction: Prediction | None
    taesd: str | None
    paths: list[Path]
    sheet: Path | None


def checked(args: argparse.Namespace) -> Job:
    """The job that the arguments describe.

    Raises:
      ValueError: an argument that does not fit, named.
      FileNotFoundError: no such model.
    """
    check_arguments(args)
    model = open_model(args.model, prediction=args.prediction)
    if args.taesd is not None and model.spec.vae is not None:
        with_tiny_vae(model, args.taesd)
    schedule = NoiseSchedule.from_config(model.spec.schedule)
    tableau = build(args.sampler, schedule, args.steps, model.spec.prediction)
    interval = (args.guidance_interval[0], args.guidance_interval[1])
    renewed_rows(args.reuse, guided_rows(interval, tableau.rows), tableau.rows)
    width, height = sides(args.size, model.spec)
    scale = args.guidance_scale
    prompts = [text for text in args.prompts for _ in range(args.num_images)]
    paths, sheet = output_paths(Path(args.output), prompts, args.seed)
    return Job(
        model=args.model,
        prompts=prompts,
        negative_prompt=args.negative,
        sampler=args.sampler,
        steps=args.steps,
        rows=tableau.rows,
        guidance_scale=model.spec.guidance_scale if scale is None else scale,
        guidance_interval=interval,
        reuse=args.reuse,
        seed=args.seed,
        width=width,
        height=height,
        dtype=args.dtype,
        prediction=args.prediction,
        taesd=args.taesd,
        paths=paths,
        sheet=sheet,
    )


def check_arguments(args: argparse.Namespace) -> None:
    """Checks what can be told from the arguments alone.

    Raises:
      ValueError: text that is not Unicode, or a number or dtype that is not allowed.
    """
    for text in (*args.prompts, args.negative):
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError(f"prompt {text!r} is not valid UTF-8 text") from None
    if args.num_images < 1:
        raise ValueError(f"--num-images {args.num_images} is not at least 1")
    last = args.seed + len(args.prompts) * args.num_images - 1
    if not 0 <= args.seed <= last < 2**32:
        raise ValueError(f"--seed {args.seed} (to {last}) is not within 0 to {2**32 - 1}")
    if args.guidance_scale is not None and not math.isfinite(args.guidance_scale):
        raise ValueError(f"--guidance-scale {args.guidance_scale} is not a finite number")
    if args.dtype not in DTYPES:
        raise ValueError(f"--dtype {args.dtype!r} is not one of {', '.join(DTYPES)}")


def sides(size: str | None, spec: ModelSpec) -> tuple[int, int]:
    """Width and height in pixels, of "WxH" or what suits the model.

    Raises:
      ValueError: not two numbers, or not multiples of what the model's latents stand for.
    """
    if size is None:
        return spec.default_size, spec.default_size
    found = re.fullmatch(r"(\d{1,5})[xX](\d{1,5})", size)
    if not found:
        raise ValueError(f"--size {size!r} is not WIDTHxHEIGHT in pixels, such as 512x768")
    unit = spec.vae.downscale if spec.vae else 8
    width, height = map(int, found.groups())
    for side in (width, height):
        if side == 0 or side % unit:
            raise ValueError(f"--size {size}: {side} is not a multiple of {unit} above 0")
    return width, height


def output_paths(output: Path, prompts: Sequence[str], seed: int) -> tuple[list[Path], Path | None]:
    """Files of the images, and of the contact sheet where there are several.

    In a folder, which is made if it is missing: PROMPT_SEED.png and contact_sheet.png. Several
    images of one NAME.png: NAME_SEED.png, and NAME.png is the contact sheet.

    Raises:
      ValueError: not a PNG, or nothing can be written there.
    """
    is_folder = output.is_dir() or not output.suffix
    if not is_folder and output.suffix.lower() != ".png":
        raise ValueError(f"output {output} is neither NAME.png nor a folder")
    folder = output if is_folder else output.parent
    try:
        if is_folder:
            folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"cannot write to {output}: {error.strerror or error}") from error
    seeds = range(seed, seed + len(prompts))
    if is_folder:
        named = zip(prompts, seeds, strict=True)
        paths = [folder / f"{file_name(prompt)}_{number}.png" for prompt, number in named]
        sheet = folder / "contact_sheet.png"
    else:
        paths = [output.with_stem(f"{output.stem}_{number}") for number in seeds]
        sheet = output
    return ([sheet] if len(prompts) == 1 and not is_folder else paths), (
        sheet if len(prompts) > 1 else None
    )


def file_name(prompt: str) -> str:
    """A prompt as part of a file's name: words and underscores."""
    return re.sub(r"\W+", "_", prompt[:LONGEST_NAME]).strip("_") or "image"
