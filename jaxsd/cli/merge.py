"""`jaxsd merge MODEL OUT`: a model with LoRAs merged, or made of other models."""

import argparse
import warnings
from dataclasses import replace

from jaxsd.cli.options import add_reading, reading
from jaxsd.settings import OPTIONS, Adapters, option_value
from jaxsd.typed import parsed


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("model", metavar="MODEL", help="a folder, a file, or a hub id")
    parser.add_argument(
        "destination",
        metavar="OUT",
        help="NAME.safetensors for a single file (webui, ComfyUI), else a diffusers folder",
    )
    lora = OPTIONS["lora"].metadata
    parser.add_argument("--lora", action="append", default=[], metavar="LORA", help=lora["help"])
    parser.add_argument(
        "--with", dest="other", metavar="B", help="model to mix in: (1 - W) A + W B"
    )
    parser.add_argument(
        "--minus", metavar="C", help="take the difference to C instead: A + W (B - C)"
    )
    parser.add_argument("--weight", default="0.5", metavar="W", help="how much of --with (0.5)")
    parser.add_argument(
        "--part",
        action="append",
        default=[],
        metavar="PATTERN=W",
        help="another weight where PATTERN, a regular expression, is found in the path of a "
        "parameter, such as unet/up_blocks=0.3 or ^text=0; the last one that is found counts",
    )
    parser.add_argument(
        "--dtype", help="float32, float16 or bfloat16; else that of MODEL's tensors"
    )
    add_reading(parser)
    parser.add_argument("--force", action="store_true", help="overwrite OUT")


def main(args: argparse.Namespace) -> None:
    """Merges tensor by tensor, with a progress bar in bytes."""
    from tqdm import tqdm

    from jaxsd.adapters.model_merging import Weights, add_difference, weighted_sum, with_loras
    from jaxsd.convert import open_model
    from jaxsd.convert.conversion import open_conversion
    from jaxsd.convert.files.tensors import dtype_named
    from jaxsd.pipeline.adapting import merges_of, words_of

    if not args.lora and args.other is None:
        raise ValueError("nothing to merge; give --lora, or --with another model")
    if args.other is None and (args.minus or args.part):
        raise ValueError("--minus and --part need --with, the model to mix in")
    dtype = args.dtype and dtype_named(args.dtype)
    weights = Weights(parsed(float, args.weight, "weight"), tuple(map(_part, args.part)))
    loras = option_value("lora", args.lora)
    conversion = open_conversion(
        args.model, args.destination, overwrite=args.force, **reading(args)
    )
    model = conversion.model
    if args.other is not None:
        other = open_model(args.other, **reading(args))
        if args.minus is None:
            model = weighted_sum(model, other, weights)
        else:
            model = add_difference(model, other, open_model(args.minus, **reading(args)), weights)
    model = with_loras(model, merges_of(loras, model.spec))
    if words := words_of(Adapters(loras), model.spec):
        warnings.warn(f"learnt words are not merged: {', '.join(words)}", stacklevel=2)
    conversion = replace(conversion, model=model.converted(dtype))
    with tqdm(total=conversion.nbytes, unit="B", unit_scale=True, desc="merging") as bar:
        conversion.run(lambda count: bar.update(count) and None)
    print(f"wrote {args.destination}: {model.spec.family}")


def _part(text: str) -> tuple[str, float]:
    pattern, equals, weight = text.rpartition("=")
    if not equals or not pattern:
        raise ValueError(f"part {text!r} is not PATTERN=WEIGHT, such as unet/up_blocks=0.3")
    return pattern, parsed(float, weight, f"part {text!r}:")
