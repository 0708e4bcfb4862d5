"""`jaxsd video [CONFIG] [key=value ...]`: a moving picture from key frames, with sound."""

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.store import write_whole
from jaxsd.bulk.work import checked_work, weights_hash
from jaxsd.cli.bulk import draw_work
from jaxsd.cli.hosts import add_hosts, is_alone
from jaxsd.config import ModelSpec
from jaxsd.convert import open_model
from jaxsd.drawings import drawer
from jaxsd.terminal import printable
from jaxsd.text_files import read_json
from jaxsd.video.config import VideoConfig, key_frames, read_video
from jaxsd.video.files import check_kind
from jaxsd.video.following import Draw, follow
from jaxsd.video.making import made, places_of
from jaxsd.video.pictures import check_files, over_clip, steadied
from jaxsd.video.plan import (
    CLIP,
    FIRST,
    TABLE,
    Plan,
    check_folder,
    frames_folder,
    planned,
    rows_of,
)
from jaxsd.writing import check_place

OUTPUT = "video.mp4"
"""Where no configuration says it."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="CONFIG or key=value",
        help="a video, such as configs/video/beat.toml, and values in place of its own",
    )
    parser.add_argument("--prompt", action="append", help="of a key frame; several times")
    parser.add_argument("--seed", action="append", type=int, help="of a key frame; several times")
    parser.add_argument("--seconds", type=float, help="length; that of the sound if not given")
    parser.add_argument("--fps", type=float, help="frames in a second (24)")
    parser.add_argument(
        "--clip",
        metavar="PLACE",
        help="draw over the frames of a film, an animated picture, or a folder of pictures",
    )
    parser.add_argument("--motion", metavar="PLACE", help="motion modules (AnimateDiff)")
    parser.add_argument("--audio", metavar="FILE", help=".wav, .flac, .ogg or .mp3")
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help=f".mp4, .webm, .gif, .png, .webp, or a folder ({OUTPUT})",
    )
    add_hosts(parser)


def main(args: argparse.Namespace) -> None:
    """Reads the video, and draws it."""
    draw_video(_config(args), args)


def draw_video(config: VideoConfig, args: argparse.Namespace) -> None:
    """Plans all frames, draws those that are not there yet, and puts them together."""
    output, folder = Path(config.output), frames_folder(config.output)
    check_place(output if not output.suffix else output.parent)
    if line := check_kind(output, sounds=bool(config.audio)):
        _say(line)
    if config.follow and not is_alone(args):
        raise ValueError("follow draws one frame after the other, which one host does")
    if config.steady and not is_alone(args):
        raise ValueError(
            "steady draws the first frame before the others, which one host does; draw it with "
            "jaxsd generate, and give it as reference"
        )
    model = open_model(config.model, **config.reading)
    plan = planned(config, model.spec)
    check_folder(folder)
    if config.clip:
        plan = over_clip(plan, folder / CLIP)
    check_files(plan)
    if config.steady:
        first = _drawn(plan._replace(frames=plan.frames[:1]), folder / FIRST, args, size=1)
        if first is None:
            return
        plan = steadied(plan, places_of(first)[0])
    from tqdm import tqdm

    if config.follow:
        drawing, weights = _one_by_one(plan, model.spec), weights_hash(model.tensors)
        with tqdm(total=len(plan.frames), unit="frame") as bar:
            places = follow(plan, folder, model.spec, weights, drawing, bar.update)
    else:
        manifest = _drawn(plan, folder, args, size=config.batch_size)
        if manifest is None:
            return
        weights, places = str(read_json(folder / "run.json")["model_hash"]), places_of(manifest)
    with tqdm(total=len(plan.frames), unit="frame", desc="writing") as bar:
        files, line = made(plan, places, weights, done=bar.update)
    if line:
        _say(line)
    if is_alone(args) and not config.keep_frames:
        shutil.rmtree(folder)
    for file in files:
        print(file)


def _config(args: argparse.Namespace) -> VideoConfig:
    config, *values = args.words if args.words and "=" not in args.words[0] else [None, *args.words]
    names = ("seconds", "fps", "clip", "audio", "output", "motion")
    flags: dict[str, Any] = {
        name: value for name in names if (value := getattr(args, name)) is not None
    }
    if args.prompt or args.seed:
        flags["key"] = key_frames(args.prompt or [], args.seed or [])
    if config is None:
        values = [f"output={OUTPUT}", *values]
    return read_video(config, values, flags)


def _drawn(plan: Plan, folder: Path, args: argparse.Namespace, size: int) -> Path | None:
    """Draws the frames of a plan, `size` at a time; the manifest, once all are there.

    A shard has several calls, so that hosts have shares. A call has one merge of LoRAs, so where
    their weights move each frame is a call of its own. With motion all frames are one call.
    """
    config, table = plan.config, folder / TABLE
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(table, rows_of(plan))
    if len({frame.settings.lora for frame in plan.frames}) > len(config.key):
        size = 1
    if config.motion:
        size = len(plan.frames)
    run = BulkConfig(
        output=str(folder),
        rows=str(table),
        inputs=".",
        batch_size=size,
        images_per_shard=8 * size,
        **{name: getattr(config, name) for name in ("model", "dtype", "taesd", "mesh")},
        **config.reading,
    )
    return draw_work(checked_work(run, skip_bad_rows=False, say=_say), args, "frame")


def _one_by_one(plan: Plan, spec: ModelSpec) -> Draw:
    """A function that draws a frame by itself."""
    config, settings = plan.config, [frame.settings for frame in plan.frames]
    told = {"dtype": config.dtype, "taesd": config.taesd or None} | config.reading
    return drawer(config.model, spec, settings, say=_say, **told)


def _say(line: str) -> None:
    print(printable(line), file=sys.stderr)
