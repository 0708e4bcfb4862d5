"""What a benchmark found, as a table, as JSON, and as a plot."""

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import jaxsd
from jaxsd.benchmark.contest import Result, ours
from jaxsd.writing import replacing

HEADER = (
    "| job | worker | seconds (median, range) | x jaxsd | images/s | TFLOP/s | share | compile s "
    "| peak GB |"
)

Contest = Sequence[Result]


def machine() -> dict[str, Any]:
    """Where and when: processor, cores, memory, versions, date."""
    facts = {"date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"), "jaxsd": jaxsd.__version__}
    facts |= {name: _version(name) for name in ("jax", "jaxlib", "flax")}
    return facts | {"python": platform.python_version(), **_processor()}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _processor() -> dict[str, Any]:
    facts: dict[str, Any] = {"processor": platform.processor() or platform.machine()}
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        memory = Path("/proc/meminfo").read_text(encoding="utf-8").split()[1]
    except OSError:
        return facts
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    wide = [f for f in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if f in flags]
    facts |= {"cores": len(named), "memory": f"{int(memory) / 2**20:.0f} GiB"}
    return facts | {"processor": f"{named[0] if named else '?'} ({', '.join(wide)})"}


def table(contests: Sequence[Contest]) -> str:
    """A Markdown table, a line per job and worker, fastest first; then who was left out and why."""
    lines = [HEADER, "| --- " * (HEADER.count("|") - 1) + "|"]
    notes = []
    for results in contests:
        counted = sorted((r for r in results if not r.left_out), key=lambda r: r.median)
        lines += [_line(result, ours(results)) for result in counted]
        notes += [
            f"- {_title(r)}: {r.worker} left out: {r.left_out}" for r in results if r.left_out
        ]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def _title(result: Result) -> str:
    job = result.job
    steps = f", {job.steps} steps" if job.part == "image" else ""
    stored = "" if job.stored == "float32" else f" of {job.stored} files"
    return f"{job.model} {job.part} {job.size} px, batch {job.batch}, {job.dtype}{stored}{steps}"


def _line(result: Result, reference: Result | None) -> str:
    low, high = min(result.seconds), max(result.seconds)
    ratio = rate = share = ""
    if reference is not None:
        speed = reference.about["flops"] / result.median
        ratio = f"{result.median / reference.median:.2f}"
        rate, share = f"{speed / 1e12:.3f}", f"{speed / reference.about['rate']:.0%}"
    cells = (
        _title(result),
        f"**{result.worker}**" if result is reference else result.worker,
        f"{result.median:.3g} ({low:.3g} to {high:.3g})",
        ratio,
        f"{result.job.batch / result.median:.3g}" if result.job.part == "image" else "",
        rate,
        share,
        f"{result.compile:.1f}",
        f"{result.peak / 1e9:.2f}",
    )
    return "| " + " | ".join(cells) + " |"


def document(facts: dict[str, Any], command: str, contests: Sequence[Contest]) -> str:
    """A section of BENCHMARKS.md: where, when, by which command, and the table."""
    where = ", ".join(f"{name} {value}" for name, value in facts.items() if name != "date")
    rates = {r.job.dtype: r.about["rate"] for results in contests if (r := ours(results))}
    said = "; ".join(f"{dtype} {rate / 1e9:.0f} GFLOP/s" for dtype, rate in rates.items())
    return (
        f"## {facts['date']}\n\n{where}.\n\n`{command}`\n\nBest matrix product measured beside: "
        f"{said or 'none'}; *share* is of that.\n\n{table(contests)}"
    )


def add_section(path: Path, section: str) -> None:
    """Puts a section before the others of BENCHMARKS.md, which is made if it is missing."""
    text = path.read_text(encoding="utf-8") if path.exists() else "# Benchmarks\n"
    before, mark, others = text.partition("\n## ")
    with replacing(path) as part:
        part.write_text(f"{before}\n{section}{mark}{others}", encoding="utf-8")


def as_json(facts: dict[str, Any], command: str, contests: Sequence[Contest]) -> str:
    """Everything, with every single run."""
    found = [vars(r) | {"job": vars(r.job)} for results in contests for r in results]
    return json.dumps({"machine": facts, "command": command, "results": found}, indent=1) + "\n"


def plot(contests: Sequence[Contest], path: Path) -> bool:
    """Bars of every worker's time over jaxsd's, job by job; False where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    bars = [
        (f"{_title(r)}: {r.worker}", r.median / reference.median, r is reference)
        for results in contests
        if (reference := ours(results))
        for r in sorted(results, key=lambda r: r.median if r.seconds else 0)
        if not r.left_out
    ][::-1]
    figure, axes = pyplot.subplots(figsize=(9, 0.6 + 0.25 * len(bars)), layout="constrained")
    colours = ["#d9480f" if own else "#adb5bd" for _, _, own in bars]
    axes.barh([name for name, _, _ in bars], [ratio for _, ratio, _ in bars], color=colours)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("time, in jaxsd's")
    figure.savefig(path, dpi=100)
    pyplot.close(figure)
    return True
