"""The record of a run: settings, metrics, curves."""

import json
import platform
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax
import numpy as np

import jaxsd
from jaxsd.text_files import lines_in, table_of
from jaxsd.training.config import TrainConfig
from jaxsd.training.resuming import places_of, refuse_other_run
from jaxsd.writing import naming, replacing

PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "grain", "numpy", "pillow")


class Record:
    """The folder of a run: run.json, metrics.jsonl, TensorBoard's events.

    Of several hosts only the first writes; on the others it only has the folder's name.

    Args:
      folder: of the run.
      config: its settings.
      about: what else run.json says.

    Raises:
      ValueError: the folder holds another run.
    """

    def __init__(self, folder: Path, config: TrainConfig, about: Mapping[str, Any]) -> None:
        refuse_other_run(config)
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self._board = folder, None
        if jax.process_index() > 0:
            return
        with replacing(folder / "run.json") as part:
            text = json.dumps(description(config) | dict(about), indent=2)
            part.write_text(text + "\n", encoding="utf-8")
        self._board = _Board(folder / "tensorboard")

    def log(self, step: int, numbers: dict[str, Any]) -> None:
        """Adds a line of metrics of a step, without those that are not finite."""
        line = {
            name: round(float(value), 6) for name, value in numbers.items() if np.isfinite(value)
        }
        if not line or self._board is None:
            return
        path = self.folder / "metrics.jsonl"
        with naming(path), path.open("a") as file:
            file.write(json.dumps({"step": step} | line) + "\n")
        self._board.add(step, line)

    def close(self) -> None:
        """Finishes the events and draws loss.png."""
        if self._board is not None:
            self._board.close()
            draw_curves(self.folder)


class _Board:
    """TensorBoard's events, written at once: a thread would show a traceback if the disk is full,
    and the run would then wait for it for ever.
    """

    def __init__(self, folder: Path) -> None:
        # Imported here because it belongs to an extra.
        from tensorboardX.event_file_writer import EventsWriter

        self._folder = folder
        with naming(folder):
            folder.mkdir(exist_ok=True)
            self._file = EventsWriter(str(folder / "events"))

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """Adds numbers of a step."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        with naming(self._folder):
            for name, value in numbers.items():
                summary = scalar(name, value)
                self._file.write_event(Event(summary=summary, step=step, wall_time=time.time()))
            self._file.flush()

    def close(self) -> None:
        """Ends the file."""
        with naming(self._folder):
            self._file.close()


def description(config: TrainConfig) -> dict[str, Any]:
    """Everything needed to repeat a run, except the data."""
    return {
        "config": asdict(config),
        "places": places_of(config),
        "versions": {"jaxsd": jaxsd.__version__} | {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "devices": [device.device_kind for device in jax.devices()],
        "commit": commit(Path(__file__).parent),
    }


def commit(folder: Path) -> str:
    """The commit of a checkout, with "+" if files differ from it; empty outside of one."""
    command = ["git", "describe", "--always", "--abbrev=40", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl; if a step ran twice, only the later ones.

    A step may have several lines, with different metrics. A line that was cut when the run was
    killed is left out.
    """
    kept: list[dict[str, float]] = []
    for _, text in lines_in(folder / "metrics.jsonl"):
        try:
            line = table_of(text, "the line")
        except ValueError:
            continue
        while kept and kept[-1]["step"] > line["step"]:
            kept.pop()
        same = [old for old in kept[-3:] if old["step"] == line["step"]]
        if any(set(old) & set(line) > {"step"} for old in same):
            del kept[len(kept) - len(same) :]
        kept.append(line)
    return kept


def draw_curves(folder: Path) -> None:
    """Draws loss.png: every loss of metrics.jsonl over the steps.

    Losses of single batches are noisy, so running means over a 25th of the run are drawn too.
    """
    if not (folder / "metrics.jsonl").is_file():
        return
    lines = read_metrics(folder)
    names = sorted({name for line in lines for name in line if name.startswith("loss")})
    if not names:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for name in names:
        steps, losses = np.array([(at["step"], at[name]) for at in lines if name in at]).T
        width = max(1, len(steps) // 25)
        (line,) = axes.plot(
            np.convolve(steps, np.ones(width) / width, "valid"),
            np.convolve(losses, np.ones(width) / width, "valid"),
            label=name,
            marker="." if len(steps) < 30 else None,
        )
        if width > 1:
            axes.plot(steps, losses, color=line.get_color(), alpha=0.2, linewidth=0.7)
    # A loss that is minus a reward has no logarithm.
    below_zero = any(line.get(name, 0) < 0 for line in lines for name in names)
    axes.set(xlabel="step", ylabel="loss", yscale="linear" if below_zero else "log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    with replacing(folder / "loss.png") as part:
        figure.savefig(part, format="png", dpi=120)
