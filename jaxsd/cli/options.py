"""Flags for the options in `jaxsd.settings` and for the model; several commands have them."""

import argparse
import shlex
from dataclasses import Field, fields
from typing import Any

from jaxsd.config import TinyVAEConfig, VAEConfig
from jaxsd.convert import open_model
from jaxsd.convert.files.tensors import computed_in
from jaxsd.convert.reading import Reading
from jaxsd.convert.stored_model import StoredModel
from jaxsd.convert.tiny_vae import with_tiny_vae
from jaxsd.memory import check_drawing
from jaxsd.settings import OPTIONS, SIZE, Settings


def add_settings(parser: argparse.ArgumentParser) -> None:
    """Adds a flag for every option but the prompt."""
    parser.add_argument(
        f"--{SIZE}", metavar="WxH", default=argparse.SUPPRESS, help="width and height in pixels"
    )
    for name, option in OPTIONS.items():
        if name != "prompt":
            flags = (f"--{name.replace('_', '-')}", *option.metadata["also"])
            parser.add_argument(*flags, dest=name, default=argparse.SUPPRESS, **_form(option))


def _form(option: Field) -> dict[str, Any]:
    """How a flag is written: once, several times, with several values, or as yes and no."""
    said, default = option.metadata, option.default
    listed = isinstance(default, tuple)
    shown = " ".join(map(str, default)) if listed else str(default)
    if default is None:
        shown = "what suits the model"
    form = {"help": f"{said['help']} ({shown})" if shown else said["help"]}
    if option.type is bool:
        return form | {"action": argparse.BooleanOptionalAction}
    form["metavar"] = said["metavar"] or option.name.upper()
    if isinstance(said["metavar"], tuple):
        return form | {"nargs": len(said["metavar"])}
    return form | {"action": "append"} if listed else form


def given_settings(args: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, as texts."""
    return {
        name: shlex.join(value) if isinstance(value, list) else value
        for name in (SIZE, *OPTIONS)
        if (value := getattr(args, name, None)) is not None
    }


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that say which model to use, and how it computes."""
    parser.add_argument(
        "--model",
        default="emoji",
        help="built-in name, diffusers folder, .safetensors or .ckpt file, or hub id (emoji)",
    )
    add_dtype(parser)
    parser.add_argument(
        "--taesd",
        metavar="TAESD",
        help="tiny autoencoder to decode with, faster and coarser: a folder of diffusers' "
        "AutoencoderTiny, or its file of weights",
    )
    add_reading(parser)


def add_dtype(parser: argparse.ArgumentParser) -> None:
    """Adds the argument that says what a model computes in."""
    parser.add_argument(
        "--dtype",
        default="float32",
        help="float32, bfloat16, float16, or int8: kernels in 8 bits, else float32 (float32)",
    )


def add_signing(parser: argparse.ArgumentParser, what: str) -> None:
    """Adds the files that `what` is signed with."""
    parser.add_argument(
        "--c2pa",
        nargs=2,
        metavar=("CERTIFICATES", "KEY"),
        help=f"sign {what} as made by a model (Content Credentials), with these files in PEM",
    )


def add_reading(parser: argparse.ArgumentParser) -> None:
    """Adds the options of `open_model`."""
    for option in fields(Reading):
        switch = option.type in (bool, bool | None)
        form = {"action": argparse.BooleanOptionalAction} if switch else {}
        told = {"default": option.default, "help": option.metadata["help"]}
        parser.add_argument(f"--{option.name}", **told, **form)


def reading(args: argparse.Namespace) -> dict[str, Any]:
    """The options of `open_model` that were given."""
    return {option.name: getattr(args, option.name) for option in fields(Reading)}


def loading(args: argparse.Namespace) -> dict[str, Any]:
    """The options of `jaxsd.load` that were given."""
    return {"dtype": args.dtype, "taesd": args.taesd, **reading(args)}


def autoencoder_of(args: argparse.Namespace, height: int, width: int) -> VAEConfig | TinyVAEConfig:
    """The model's autoencoder, for pictures of a size.

    Raises:
      ValueError: as `opened`, it has none, or the pictures do not fit into memory.
    """
    spec = opened(args).spec
    if spec.vae is None:
        raise ValueError(f"{args.model} has no VAE; pass a model that has one")
    check_drawing(Settings(height=height, width=width), spec, images=1, together=1)
    return spec.vae


def opened(args: argparse.Namespace) -> StoredModel:
    """The model, without its weights.

    Raises:
      ValueError: a model, tiny autoencoder or dtype that cannot be used.
      FileNotFoundError: no such model.
    """
    computed_in(args.dtype)
    model = open_model(args.model, **reading(args))
    if args.taesd is not None and model.spec.vae is not None:
        return with_tiny_vae(model, args.taesd)
    return model
