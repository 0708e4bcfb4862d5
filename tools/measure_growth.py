"""Measures how processor time grows with the work, fits exponents, and draws them.

    python tools/measure_growth.py [NAME ...] [--rounds 3] [--out growth.json] [--plot growth.png]

Without names it measures everything in `MEASURES`, one size after another. Each runs once for
nothing, then `--rounds` times, and the shortest counts; of a size that takes a minute the first run
counts. The exponent is the slope of a line through the logarithms (least squares); beside it is
that of the last two sizes. What was measured is added to `--out`, which keeps what it has of other
names, and the picture is of all that it has.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from growth_of_hosts import HOST
from growth_of_programs import PROGRAMS
from growth_of_servers import SERVERS

from jaxsd.writing import replacing

Points = Mapping[str, Any]
"""{"sizes": [...], "seconds": [...], "work": exponent}, of devices without the last."""
LONG = 60
"""Seconds. What takes longer runs once."""
SLACK = 0.15
"""By which an exponent may be above that of the work: caches are small, and times differ."""


class Measure(NamedTuple):
    """Something whose work grows."""

    axis: str
    sizes: tuple[int, ...]
    prepared: Callable[[int], Callable[[], Any]]  # size -> what is timed, any number of times
    work: float | Callable[[int], float]  # its exponent, or size -> operations


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float:
    """The slope of log(seconds) over log(sizes), by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def measured(one: Measure, rounds: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Least processor seconds of each size, all threads together; and the exponent of the work."""
    power, best = work_of(one), []
    for i, size in enumerate(one.sizes):
        run = one.prepared(size)
        seconds, runs = timed(run), 1
        if seconds < LONG:
            seconds, runs = min(timed(run) for _ in range(rounds)), 1 + rounds
        best.append(seconds)
        left = sum((later / size) ** power for later in one.sizes[i + 1 :]) * seconds * runs
        say(f"{one.axis} {size:,}: {seconds:.3g} s; about {left:.0f} s left of these")
    return {"sizes": list(one.sizes), "seconds": best, "work": power}


def timed(run: Callable[[], Any]) -> float:
    """Processor seconds of all threads."""
    began = time.process_time()
    run()
    return time.process_time() - began


def work_of(one: Measure) -> float:
    """The exponent of the work itself."""
    if isinstance(one.work, int | float):
        return one.work
    return exponent(one.sizes, [one.work(size) for size in one.sizes])


def devices(counts: Sequence[int], say: Callable[[str], None]) -> dict[str, dict[str, list[float]]]:
    """Processor seconds to place the built-in model and to compile its drawing, on that many
    devices of one CPU, each count in a process of its own.
    """
    found: dict[str, dict[str, list[float]]] = {}
    for count in counts:
        force = f"--xla_force_host_platform_device_count={count}"
        flags = f"{os.environ.get('XLA_FLAGS', '')} {force}"
        command = [sys.executable, str(Path(__file__).with_name("growth_of_devices.py"))]
        environment = os.environ | {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        for name, seconds in json.loads(done.stdout).items():
            own = found.setdefault(name, {"sizes": [], "seconds": []})
            own["sizes"].append(count)
            own["seconds"].append(seconds)
        say(f"devices {count} are done")
    return found


MEASURES: dict[str, Measure] = {
    name: Measure(*one) for name, one in (PROGRAMS | HOST | SERVERS).items()
}
DEVICES = (1, 2, 4, 8)


def table(found: Mapping[str, Points]) -> str:
    """A Markdown table, a line for each name."""
    heads = "", "from", "to", "seconds", "exponent", "of the last two", "of the work"
    lines = ["| " + " | ".join(heads) + " |", "| --- " * len(heads) + "|"]
    for name, own in found.items():
        sizes, seconds = own["sizes"], own["seconds"]
        cells = (
            name,
            f"{sizes[0]:,}",
            f"{sizes[-1]:,}",
            f"{seconds[0]:.3g} to {seconds[-1]:.3g}",
            f"{exponent(sizes, seconds):.2f}",
            f"{exponent(sizes[-2:], seconds[-2:]):.2f}",
            f"{own['work']:.2f}" if "work" in own else "",
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def plot(found: Mapping[str, Points], path: Path) -> None:
    """A panel for each axis, on logarithmic scales; a dotted line grows as its size does."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot, ticker

    panels: dict[str, list[str]] = {}
    for name in found:
        panels.setdefault(name.partition(":")[0], []).append(name)
    columns = 4
    rows = -(-len(panels) // columns)
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(4 * columns, 3.2 * rows), layout="constrained", squeeze=False
    )
    for place, (panel, names) in zip(axes.flat, panels.items(), strict=False):
        for name in names:
            sizes, seconds = found[name]["sizes"], found[name]["seconds"]
            what = name.partition(": ")[2] or name
            place.plot(sizes, seconds, "o-", label=f"{what} {exponent(sizes, seconds):.2f}")
        sizes, (*_, top) = max(
            ((found[name]["sizes"], found[name]["seconds"]) for name in names),
            key=lambda own: own[1][-1],
        )
        place.plot(sizes, [top * size / sizes[-1] for size in sizes], ":", color="#adb5bd")
        place.set(xscale="log", yscale="log", title=panel)
        for axis in (place.xaxis, place.yaxis):
            axis.set_minor_formatter(ticker.NullFormatter())
        place.legend(fontsize=7, framealpha=0.6)
    for place in axes.flat[len(panels) :]:
        place.axis("off")
    figure.supylabel("processor seconds; beside each name its exponent")
    figure.savefig(path, dpi=80)
    pyplot.close(figure)


def main() -> None:
    """Measures, writes, prints a table, and ends with 1 if something grows faster than its work."""
    every = (*MEASURES, "devices")
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(every)}")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("growth.json"))
    parser.add_argument("--plot", type=Path, default=Path("growth.png"))
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in every]:
        parser.error(f"{unknown[0]!r} is not measured; there are: {', '.join(every)}")
    found = json.loads(args.out.read_text()) if args.out.exists() else {}

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    for name in args.names or every:
        say(name)
        if name == "devices":
            found |= devices(DEVICES, say)
        else:
            found[name] = measured(MEASURES[name], args.rounds, say)
        with replacing(args.out) as part:
            part.write_text(json.dumps(found, indent=1) + "\n")
    print(table(found), end="")
    plot(found, args.plot)
    faults = [
        name
        for name, own in found.items()
        if exponent(own["sizes"], own["seconds"]) > own.get("work", np.inf) + SLACK
    ]
    if faults:
        sys.exit(f"they grow faster than their work: {', '.join(faults)}")


if __name__ == "__main__":
    main()
