"""`jaxsd generate PROMPT [PROMPT ...] -o OUT`: pictures of prompts."""

import argparse
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import numpy as np

import jaxsd
from jaxsd.canvases import canvas_of, read_pictures
from jaxsd.cli.options import (
    add_model,
    add_settings,
    add_signing,
    given_settings,
    loading,
    opened,
    reading,
)
from jaxsd.cli.progress import say, steps_shown
from jaxsd.config import ModelSpec
from jaxsd.convert.reading import Reading
from jaxsd.drawings import (
    LARGEST_BATCH,
    Preview,
    calls_of_command,
    check_models,
    check_preview,
    draw,
    only_fit,
)
from jaxsd.memory import check_drawing
from jaxsd.metadata import Again, changed, check_same_files, read_again
from jaxsd.outputs import (
    adapter_hashes,
    check_file,
    check_room,
    model_hash,
    output_paths,
    save_words,
    saved,
    words_path,
)
from jaxsd.preview_display import PreviewDisplay
from jaxsd.provenance import Signer
from jaxsd.settings import (
    Recipe,
    Settings,
    check_inside,
    checked,
    image_count,
    rows_of,
)
from jaxsd.terminal import printable


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("prompts", nargs="*", metavar="PROMPT", help="what to draw")
    parser.add_argument(
        "--again",
        metavar="PICTURE",
        help="draw what the settings in a picture say, but for what is given here; of other "
        "programs' pictures too, with --model",
    )
    parser.add_argument(
        "-o",
        "--output",
        default=".",
        metavar="OUT",
        help="NAME.png, .jpg or .webp, or a folder (this one); several images also give a contact "
        "sheet",
    )
    parser.add_argument("--num-images", type=int, default=1, metavar="N", help="per prompt (1)")
    parser.add_argument(
        "--preview",
        action="store_true",
        help="show pictures while they are drawn, in terminals that can (kitty, iTerm2, sixels), "
        "else in NAME_preview.png",
    )
    parser.add_argument(
        "--preview-taesd", metavar="TAESD", help="the same, sharper, by a tiny autoencoder"
    )
    parser.add_argument(
        "--word-maps",
        action="store_true",
        help="beside each picture NAME_words.png: where it looks at each word of the prompt; takes "
        "twice as long",
    )
    add_signing(parser, "the pictures")
    parser.add_argument(
        "--safety-checker",
        metavar="FOLDER",
        help="write no picture that this network finds unfit for work: the folder safety_checker "
        "of a diffusers model of SD 1, or one with a model of nsfwjs; then the exit status is 1",
    )
    parser.add_argument(
        "--low-memory",
        action="store_true",
        help="read the weights of each network when it runs, and keep them only meanwhile",
    )
    add_model(parser)
    add_settings(parser)
    parser.set_defaults(model=None, dtype=None)  # what --again says, or else as the help says


def main(args: argparse.Namespace) -> None:
    """Checks all that can be checked before a weight is read, then loads, draws and writes."""
    started = time.perf_counter()
    before = begun(args)
    first = changed(before, given_settings(args))
    asked = args.prompts or [first.prompt]
    count = image_count("--num-images", args.num_images, len(asked))
    model = opened(args)
    spec = model.spec
    previewed = args.preview or args.preview_taesd is not None
    if previewed and args.safety_checker:
        raise ValueError("--preview shows pictures that --safety-checker has not seen; give one")
    if previewed:
        check_preview(model, args.preview_taesd)
    if args.word_maps:
        check_word_maps(first, asked, spec)
    together = count if first.motion else min(count, LARGEST_BATCH)
    check_drawing(checked(first, spec), spec, images=count, together=together)
    prompts = [text for text in asked for _ in range(args.num_images)]
    number = getattr(first, first.counted)
    settings = [
        checked(replace(first, prompt=prompt, **{first.counted: number + i}), spec)
        for i, prompt in enumerate(prompts)
    ]
    check_models(settings[:1], spec)
    pictures, hashes = read_pictures(settings[0])
    check_same_files(before, hashes | adapter_hashes(first))
    canvas_of(settings[0], pictures)
    paths, sheet = output_paths(Path(args.output), [one.prompt for one in settings], number)
    beside = {path: words_path(path) for path in paths} if args.word_maps else {}
    files = [*paths, *map(check_file, beside.values())]
    if args.again and any(path.exists() and path.samefile(args.again) for path in files):
        raise ValueError(f"{args.again} would be replaced; say with -o where to write")
    # The same settings are drawn in a batch of the same size, for the same bits.
    same = settings == [before.settings] and 0 < before.batch_size <= LARGEST_BATCH
    batch = before.batch_size if same else 0
    calls = calls_of_command(settings)
    sizes = [max(batch, size) for size in calls for _ in range(size)]
    recipes = [
        Recipe(
            one,
            model=args.model,
            dtype=args.dtype,
            version=jaxsd.__version__,
            taesd=args.taesd or "",
            pictures=hashes,
            adapters=adapter_hashes(one),
            batch_size=size,
            reading=Reading(**reading(args)).stated,
        )
        for one, size in zip(settings, sizes, strict=True)
    ]
    check_room(paths[0], max(recipes, key=lambda one: len(one.settings.prompt)))
    signer = Signer(*map(Path, args.c2pa)) if args.c2pa else None
    rows = rows_of(settings[0], spec)
    fit = only_fit(args.safety_checker, say)
    display = PreviewDisplay(sheet or paths[0])
    preview = Preview(display, args.preview_taesd) if previewed else None
    with (
        ThreadPoolExecutor(1) as aside,
        steps_shown(rows * (len(calls) + len(beside))) as progress,
    ):
        hashed = cache(partial(aside.submit, model_hash, Path(args.model)))  # begins when called

        def shown(done: int, rows: int) -> None:
            hashed()  # not before the first row, which waits for processors
            progress(done, rows)

        looked: list[dict[str, np.ndarray]] = []
        images = draw(
            args.model,
            spec,
            settings,
            pictures,
            batch=batch,
            progress=shown,
            say=progress.write,
            preview=preview,
            look=looked.append if beside else None,
            low_memory=args.low_memory,
            **loading(args),
        )
        hashes_too = (replace(one, model_hash=hashed().result()) for one in recipes)
        written: list[Path] = []
        try:
            for path in saved(paths, sheet, images, hashes_too, signer, fit):
                written.append(path)
                if words := beside.get(path):
                    save_words(words, path, looked[-1], signer, begun=bool(first.image))
                    written.append(words)
        finally:
            print("".join(f"{path}\n" for path in written), end="")
    seconds = time.perf_counter() - started
    print(f"{len(settings)} drawn in {seconds:.1f} s", file=sys.stderr)
    if not set(paths) <= set(written):
        sys.exit(1)


def check_word_maps(settings: Settings, prompts: Sequence[str], spec: ModelSpec) -> None:
    """Finds out whether there will be maps of words, before a weight is read.

    Raises:
      ValueError: a prompt without words, or what can not be looked into.
    """
    check_inside(settings)
    if settings.only_masked:
        raise ValueError("--word-maps are of whole pictures; leave --only-masked out")
    if not spec.text:
        raise ValueError("--word-maps needs a model that is told a prompt; this one sees a picture")
    for prompt in prompts:
        if not any(map(str.isalnum, prompt)):
            raise ValueError(f"--word-maps needs words, and the prompt is {prompt!r}")


def begun(args: argparse.Namespace) -> Recipe:
    """The recipe to begin from, and its model in the arguments where they name none.

    Raises:
      ValueError: nothing to draw, or a recipe that another model is needed for.
      OSError: --again is not a picture.
    """
    if not (args.again or args.prompts or args.image):
        raise ValueError("nothing to draw: give a PROMPT, or --again PICTURE")
    again = Again(Recipe(Settings(), model="emoji", dtype="float32", version=""))
    if args.again:
        prompts = {"prompt": args.prompts[0]} if args.prompts else {}
        again = read_again(args.again, given_settings(args) | prompts)
    before = again.recipe
    if args.model is None:
        if not before.model:
            raise ValueError(f"{args.again} was made by {again.by}; say with --model what draws it")
        if before.model_hash and model_hash(Path(before.model)) != before.model_hash:
            raise ValueError(
                f"{before.model} is not the file that drew {args.again}, whose sha256 begins with "
                f"{before.model_hash}; say with --model what draws it"
            )
        args.model, args.taesd = before.model, args.taesd or before.taesd or None
        vars(args).update(before.reading | Reading(**reading(args)).stated)
    if again.left:
        left = printable(f"{args.again}: not taken over: {'; '.join(again.left)}")
        print(left, file=sys.stderr)
    args.dtype = args.dtype or before.dtype
    return before
