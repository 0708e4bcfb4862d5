"""The commands, and their arguments."""

import argparse
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

from absl.flags import argparse_flags

import jaxsd
from jaxsd.terminal import printable

COMMANDS = {
    "animate": "a face in a picture, from expression to expression",
    "arrays": "arrays of a trained model: new ones, or how given ones go on",
    "bench": "how long the parts of models take here",
    "bulk": "the images of a table of rows, on many devices",
    "cache-latents": "pictures and captions as a training run's networks see them",
    "compile": "programs for a model and sizes, before they are needed",
    "convert": "a model from one of PyTorch's layouts to another",
    "decode": "pictures of latents",
    "encode": "pictures as latents, for other tools",
    "export": "what a run has learnt, for other programs",
    "generate": "pictures of prompts",
    "grid": "one picture in many versions, on a sheet with their names",
    "info": "what a model, another file of weights, or a picture is",
    "learn-sampler": "samplers of few steps for a model, from what it draws in many",
    "map": "pictures laid out by likeness, and which are nearly the same",
    "merge": "a model with LoRAs merged, or made of other models",
    "pack": "an image folder as ArrayRecord files, to train on",
    "parity": "a model's numbers beside PyTorch's",
    "score": "numbers of quality over a folder of pictures",
    "serve": "pictures over HTTP, for other programs and in a browser",
    "train": "run or resume a training run",
    "upscale": "pictures, enlarged by a network",
    "video": "a moving picture from key frames, with sound",
    "workflow": "graphs of ComfyUI, run here",
}
"""Name of the file in `jaxsd.cli`, with `-` for `_` -> what it does."""


class Parser(argparse_flags.ArgumentParser):
    """An argument parser that also takes absl's logging flags, and reports errors in one line."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with status 2."""
        self.exit(2, printable(f"{self.prog}: {message}; see {self.prog} -h") + "\n")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments after the name of the program.

    Only the file of the named command is imported, which keeps `--help` quick.
    """
    parser = Parser(prog="jaxsd", description="Stable Diffusion in JAX")
    parser.add_argument("--version", action="version", version=f"jaxsd {jaxsd.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, description=text)
        if name in argv:
            file_of(name).configure(command)
    return parser.parse_args(argv[1:])


def file_of(command: str) -> ModuleType:
    """The module of a command."""
    return import_module(f"jaxsd.cli.{command.replace('-', '_')}")
