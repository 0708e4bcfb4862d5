"""`jaxsd serve --model M [--model NAME=M2 ...]`: pictures over HTTP."""

import argparse
import json
from functools import partial
from pathlib import Path

from jaxsd.cli.comfy import add_comfy, check_comfy, comfy_of, extra_paths
from jaxsd.cli.options import add_dtype, add_reading, add_signing, loading, opened, reading
from jaxsd.cli.progress import say
from jaxsd.convert.controlnet import controlnet_place
from jaxsd.convert.files.tensors import computed_in
from jaxsd.convert.reading import Reading
from jaxsd.convert.refiner import open_refiner
from jaxsd.convert.upscaler import open_upscaler
from jaxsd.folders import cache_folder, private, writable_cache
from jaxsd.provenance import Signer
from jaxsd.settings import Settings, in_range


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "--model",
        action="append",
        metavar="[NAME=]MODEL",
        help="built-in name, diffusers folder, .safetensors or .ckpt file, or hub id, and the name "
        "that clients give it; may be given several times, the first is taken where none is named "
        "(emoji)",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=7860, help="0 for any that is free (7860)")
    parser.add_argument(
        "--token-file",
        metavar="FILE",
        help="has the token that clients must give; needed for any other --host",
    )
    parser.add_argument(
        "--allowed-host",
        action="append",
        default=[],
        metavar="NAME",
        help="further name that clients call this server by; may be given several times",
    )
    parser.add_argument(
        "--slots",
        type=int,
        metavar="N",
        help="pictures that share a call of the network (measured, up to 8); give it for the same "
        "pictures to the bit in every run",
    )
    parser.add_argument(
        "--devices", type=int, metavar="N", help="devices of this host that draw (all)"
    )
    parser.add_argument(
        "--memory",
        type=float,
        metavar="GB",
        help="for the weights of models on a device: those that were not used for longest make "
        "room (all models stay)",
    )
    parser.add_argument(
        "--max-queue", type=int, default=64, metavar="N", help="pictures that may wait (64)"
    )
    parser.add_argument(
        "--data", metavar="FOLDER", help="where jobs and pictures are kept (the cache folder)"
    )
    parser.add_argument(
        "--shutdown-timeout",
        type=float,
        default=30.0,
        metavar="SECONDS",
        help="to finish pictures in, at the end (30)",
    )
    parser.add_argument(
        "--print-openapi",
        action="store_true",
        help="write the description of the APIs (OpenAPI, JSON) to standard output, and end",
    )
    for name, text in (
        ("lora-folder", "where <lora:NAME:WEIGHT> in a prompt finds NAME.safetensors"),
        ("embedding-folder", "of embeddings whose names may stand in a prompt"),
    ):
        told = f"{text}; may be given several times"
        parser.add_argument(f"--{name}", action="append", default=[], metavar="FOLDER", help=told)
    parser.add_argument(
        "--control",
        action="append",
        default=[],
        metavar="[NAME=]MODEL",
        help="ControlNet or T2I-Adapter of the first model, and the name that clients give it; may "
        "be given several times",
    )
    parser.add_argument(
        "--ip-adapter",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="IP-Adapter of the first model, and the name that clients give it; may be given "
        "several times",
    )
    parser.add_argument(
        "--image-encoder", default="", metavar="MODEL", help="that the IP-Adapters look with"
    )
    parser.add_argument(
        "--upscaler",
        action="append",
        default=[],
        metavar="[NAME=]FILE",
        help="network that enlarges pictures which clients bring, and the name that they give it; "
        "may be given several times",
    )
    parser.add_argument(
        "--refiner",
        default="",
        metavar="[NAME=]MODEL",
        help="model that can go on with pictures of the first model, such as XL's refiner, and the "
        "name that clients give it",
    )
    add_comfy(parser)
    add_signing(parser, "the pictures")
    parser.add_argument(
        "--safety-checker",
        metavar="FOLDER",
        help="give out no picture that this network finds unfit for work, nor any preview",
    )
    parser.add_argument("--wildcards", default="", metavar="FOLDER", help="of NAME.txt files")
    add_dtype(parser)
    parser.add_argument("--taesd", metavar="TAESD", help="tiny autoencoder to decode with")
    add_reading(parser)


def main(args: argparse.Namespace) -> None:
    """Checks all that can be checked, loads the models, and serves until a signal."""
    if args.print_openapi:
        from jaxsd.server.app import openapi

        print(json.dumps(openapi(), indent=2))
        return
    from jaxsd.server.serving import Place, listening, read_token, serve

    token = read_token(args.token_file, args.host)
    for name in ("slots", "max_queue"):
        if getattr(args, name) is not None and getattr(args, name) < 1:
            raise ValueError(f"--{name.replace('_', '-')} is at least 1")
    if args.memory is not None and not args.memory > 0:
        raise ValueError("--memory is more than 0")
    check_comfy(args)
    folders = (*args.lora_folder, *args.embedding_folder, *args.comfy_models, args.wildcards)
    for folder in filter(None, folders):
        if not Path(folder).is_dir():
            raise ValueError(f"{folder} is no folder; give one that there is")
    given = {"lora_folder": args.lora_folder, "embedding_folder": args.embedding_folder}
    places = {name: tuple(value) for name, value in given.items()}
    base = Settings(wildcards=args.wildcards, image_encoder=args.image_encoder, **places)
    in_range(base)
    sources = named_models(args.model or ["emoji"])
    stored = {
        name: opened(argparse.Namespace(**vars(args) | {"model": source}))
        for name, source in sources.items()
    }
    controls, adapters = named_models(args.control), named_models(args.ip_adapter)
    for source in controls.values():
        controlnet_place(source)
    refiners, upscalers = named_models([args.refiner] * bool(args.refiner)), upscalers_of(args)
    for source in refiners.values():
        open_refiner(source, next(iter(stored.values())).spec)
    extra = extra_paths(args)
    signer = Signer(*map(Path, args.c2pa)) if args.c2pa else None
    listener = listening(args.host, args.port)
    # Imported here because these import jax: wrong arguments are reported without that delay.
    from jaxsd.executables import Executables
    from jaxsd.pipeline.upscaling import load_upscaler
    from jaxsd.safety import open_checker
    from jaxsd.server.engine import Engine
    from jaxsd.server.enlarging import Enlarger
    from jaxsd.server.finishing import Finishing
    from jaxsd.server.models import Wanted, check_ip_adapters, devices_of, served
    from jaxsd.server.shelf import Shelf
    from jaxsd.server.store import Store

    checker = None if args.safety_checker is None else open_checker(args.safety_checker)
    devices = devices_of(args.devices)
    cache = writable_cache(say)
    programs = Executables(cache and cache / "programs", say)
    wanted = Wanted(loading(args), Reading(**reading(args)), args.slots, devices, programs, say)
    first, own = next(iter(sources)), (controls, adapters, refiners)
    check_ip_adapters(adapters, base, stored[first])
    models = [
        served(name, source, stored[name], wanted, *(own if name == first else ({}, {}, {})))
        for name, source in sources.items()
    ]
    store = Store(Path(args.data) if args.data else private(cache_folder()) / "served")
    shelf = Shelf(None if args.memory is None else int(args.memory * 1e9))
    place = Place(args.host, args.port, token, tuple(args.allowed_host), args.shutdown_timeout)
    engine = Engine(args.max_queue, devices=devices)
    comfy = comfy_of(args, extra, sources, shelf, programs) if args.comfy else None
    load = partial(load_upscaler, dtype=computed_in(args.dtype), run=programs)
    enlarger, finishing = Enlarger(upscalers, load), Finishing(checker, signer)
    serve(models, base, place, store, engine, listener, say, shelf, finishing, comfy, enlarger)


def named_models(given: list[str]) -> dict[str, str]:
    """Name -> source, of `NAME=SOURCE`, or of sources that give their own names.

    Raises:
      ValueError: two models of one name.
    """
    found: dict[str, str] = {}
    for text in given:
        name, equals, source = text.partition("=")
        if not equals:
            name, source = Path(text).stem or text, text
        if name in found:
            raise ValueError(f"two models have the name {name!r}; give one as NAME={source}")
        found[name] = source
    return found


def upscalers_of(args: argparse.Namespace) -> dict[str, Path]:
    """Name -> file of networks that enlarge pictures.

    Raises:
      ValueError: a file is none, or two have one name.
      FileNotFoundError: no such file.
    """
    from jaxsd.server.enlarging import LANCZOS, NONE

    files = {name: Path(file) for name, file in named_models(args.upscaler).items()}
    for name, file in files.items():
        if name in (NONE, LANCZOS):
            raise ValueError(f"--upscaler {name}: this name is taken; give it another one")
        open_upscaler(file)
    return files
