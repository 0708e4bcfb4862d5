"""The report of `jaxsd parity`: tables in Markdown, and a plot."""

import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import diffusers
import jax
import numpy as np
import torch
import transformers
from matplotlib.figure import Figure

import jaxsd
from jaxsd.parity.modules import ModuleError
from jaxsd.parity.pipelines import Request, SamplerErrors


class Report(NamedTuple):
    """Everything that was compared."""

    model: str
    against: str  # whose code ran beside ours
    request: Request
    modules: dict[str, list[ModuleError]]  # of each network
    samplers: list[SamplerErrors]
    left_out: dict[str, str]  # sampler -> why the model can not be drawn with it


def write(report: Report, folder: Path) -> None:
    """Writes `report.md` and `report.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(markdown(report), encoding="utf-8")
    plot(report).savefig(folder / "report.png", dpi=120)


def markdown(report: Report) -> str:
    """The report as Markdown: networks, images, steps, then every module."""
    networks = [
        (name, len(errors), _power(max(e.error for e in errors)), max(errors, key=_error).path)
        for name, errors in report.modules.items()
    ]
    parts = [
        f"# {report.model}: jaxsd beside {report.against}",
        _versions(),
        "Float32 on the CPU. An error is the largest difference over the largest value.",
        "## Networks",
        _table(("network", "modules compared", "largest error", "in"), networks),
    ]
    if report.samplers:
        parts += [_asked(report.request), "## Images", _images(report.samplers)]
        parts += ["## Latents after each step", _steps(report.samplers)]
    parts += [f"Not drawn with {name}: {why}." for name, why in report.left_out.items()]
    parts += ["![Errors of modules and steps](report.png)", "## Modules"]
    for name, errors in report.modules.items():
        rows = [(e.path, "x".join(map(str, e.shape)), _power(e.error)) for e in errors]
        parts += [f"### {name}", _table(("module", "output", "error"), rows)]
    return "\n\n".join(parts) + "\n"


def plot(report: Report) -> Figure:
    """Errors of the modules in the order of their calls, and of the latents step by step."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, errors in report.modules.items():
        left.semilogy([max(e.error, 1e-9) for e in errors], ".", label=name, markersize=3)
    left.set(title="Modules", xlabel="in the order of their calls", ylabel="relative error")
    left.legend(loc="upper right", fontsize="small")
    for run in report.samplers:
        label = f"{run.sampler}, {min(run.psnr):.0f} dB"
        right.semilogy(range(1, len(run.steps) + 1), run.steps, ".-", label=label)
    right.set(title="Latents", xlabel="step", ylabel="relative error")
    if report.samplers:
        right.legend(loc="upper right", fontsize="small")
    for axes in (left, right):
        axes.set_ylim(1e-8, max(1e-2, axes.get_ylim()[1]))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
    figure.suptitle(f"{report.model}: jaxsd beside {report.against}, float32")
    return figure


def _versions() -> str:
    packages = {"jaxsd": jaxsd, "JAX": jax, "PyTorch": torch, "diffusers": diffusers}
    packages |= {"transformers": transformers, "NumPy": np}
    numbers = [f"{name} {module.__version__}" for name, module in packages.items()]
    return f"{', '.join(numbers)}, Python {platform.python_version()}."


def _asked(request: Request) -> str:
    prompts = ", ".join(f"“{prompt}”" for prompt in request.prompts)
    begun = "the same noise" if request.seed is None else f"seed {request.seed} and those after it"
    return (
        f"{request.steps} steps at {request.width} x {request.height}, guidance scale "
        f"{request.guidance_scale:g}, both from {begun}. Prompts: {prompts}."
    )


def _images(samplers: Sequence[SamplerErrors]) -> str:
    rows = [
        (run.sampler, i + 1, f"{psnr:.1f}", f"{changed:.3%}", furthest)
        for run in samplers
        for i, (psnr, changed, furthest) in enumerate(
            zip(run.psnr, run.changed, run.furthest, strict=True)
        )
    ]
    titles = (
        "sampler",
        "image",
        "PSNR before rounding, dB",
        "8-bit values that differ",
        "by up to",
    )
    return _table(titles, rows)


def _steps(samplers: Sequence[SamplerErrors]) -> str:
    rows = [
        (i + 1, *(_power(run.steps[i]) if i < len(run.steps) else "" for run in samplers))
        for i in range(max(len(run.steps) for run in samplers))
    ]
    return _table(("step", *(run.sampler for run in samplers)), rows)


def _table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _power(error: float) -> str:
    return f"{error:.1e}"


def _error(module: ModuleError) -> float:
    return module.error
