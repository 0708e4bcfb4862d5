"""How far pictures of few network calls end from those of 100: every sampler, and learnt ones.

    python tools/compare_samplers.py PROMPTS --learnt few.json --out REPORT

Writes REPORT/samplers.json, samplers.md and samplers.png: for each sampler and number of calls the
error of the latents, root of the mean square over all pictures of PROMPTS, a text file with one in
each line. A method that calls the network twice in a step gets as many steps as fit. Samplers that
add noise end at other pictures than the reference, so their lines are grey.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import app
from absl.flags import argparse_flags
from matplotlib.figure import Figure
from tqdm import tqdm

import jaxsd
from jaxsd.config import ModelSpec
from jaxsd.drawings import with_programs
from jaxsd.schedulers import SAMPLERS, is_learnt
from jaxsd.settings import Settings, checked, tableau_of
from jaxsd.text_files import lines_in
from jaxsd.training.sampler_learning import REFERENCE, latents_of, references

GRIDS = ("karras", "exponential", "beta", "align_your_steps", "gits")
"""Grids that "dpm++_2m" and "unipc" are also drawn with."""
NAMES = (*SAMPLERS, *(f"{name}_{grid}" for name in ("dpm++_2m", "unipc") for grid in GRIDS))
SHOWN = 8
"""Lines of the picture that have a colour, the best ones."""

Errors = dict[str, dict[int, float]]
"""By sampler, then by network calls."""


def within(settings: Settings, name: str, calls: int, spec: ModelSpec) -> Settings | None:
    """The settings with a sampler of as many steps as fit into so many calls; None where none do.

    None too where the sampler does not go with the model.
    """
    for steps in range(calls, 0, -1):
        try:
            own = checked(replace(settings, sampler=name, steps=steps), spec)
        except ValueError:
            return None
        if tableau_of(own, spec).rows <= calls:
            return own
    return None


def errors_of(
    pipe: jaxsd.Pipeline,
    settings: Sequence[Settings],
    wanted: np.ndarray,
    names: Sequence[str],
    calls: Sequence[int],
    batch: int,
    done: Callable[[int], None],
) -> Errors:
    """Draws with every sampler; `done` is called with the network calls of batches so far."""
    errors, before = {}, 0
    for name in names:
        for count in calls:
            fitting = [within(one, name, count, pipe.spec) for one in settings]
            if None not in fitting:
                found = latents_of(pipe, fitting, batch, lambda n, _, b=before: done(b + n))
                apart = float(np.sqrt(np.mean(np.square(found - wanted))))
                errors.setdefault(name, {})[count] = apart
            before += -(-len(settings) // batch) * count
            done(before)
    return errors


def adds_noise(name: str, spec: ModelSpec) -> bool:
    """Whether a sampler ends at another picture each time."""
    if is_learnt(name):
        return False
    return bool(tableau_of(checked(Settings(sampler=name, steps=12), spec), spec).noise.any())


def ranked(errors: Errors) -> list[str]:
    """Names from the nearest on, by the mean logarithm of their errors."""
    return sorted(errors, key=lambda name: np.mean(np.log(list(errors[name].values()))))


def table(errors: Errors, calls: Sequence[int]) -> str:
    """Markdown, the nearest sampler first."""
    lines = [
        f"| network calls | {' | '.join(map(str, calls))} |",
        "| --- |" + " --- |" * len(calls),
    ]
    for name in ranked(errors):
        own = [f"{errors[name][n]:.3f}" if n in errors[name] else "" for n in calls]
        lines.append(f"| `{name}` | {' | '.join(own)} |")
    return "\n".join(lines) + "\n"


def picture(errors: Errors, noisy: set[str], path: Path) -> None:
    """A line for each sampler, learnt ones thick; errors above 1, that of no picture, are cut."""
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    axes = figure.subplots()
    coloured = 0
    for name in ranked(errors):
        style = {"color": "0.85", "linewidth": 1}
        if is_learnt(name):
            style = {"color": "black", "linewidth": 3, "label": "learnt"}
        elif name not in noisy and coloured < SHOWN:
            style, coloured = {"label": name}, coloured + 1
        axes.plot(*zip(*errors[name].items(), strict=True), "o-", markersize=3, **style)
    axes.set(xlabel="network calls", ylabel="error of latents", yscale="log", ylim=(None, 1))
    axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=90)


def report(args: argparse.Namespace) -> str:
    """Draws, compares and writes; returns the table."""
    texts = [line for _, line in lines_in(args.prompts)]
    pipe = with_programs(args.model, tqdm.write)
    settings = [
        checked(Settings(prompt=text, seed=args.seed + i), pipe.spec)
        for i, text in enumerate(texts)
    ]
    names = [*args.samplers, *args.learnt]
    batches = -(-len(texts) // args.batch)
    many = batches * REFERENCE[1]
    with tqdm(total=many + batches * len(names) * sum(args.calls), unit="call") as bar:
        wanted = references(pipe, settings, args.batch, lambda n, _: bar.update(n - bar.n))
        told = (pipe, settings, wanted, names, args.calls, args.batch)
        errors = errors_of(*told, lambda n: bar.update(many + n - bar.n))
    noisy = {name for name in errors if adds_noise(name, pipe.spec)}
    args.out.mkdir(parents=True, exist_ok=True)
    about = {"prompts": len(texts), "reference": REFERENCE, "model": args.model}
    found = json.dumps({"about": about, "errors": errors, "noisy": sorted(noisy)}, indent=1)
    (args.out / "samplers.json").write_text(found + "\n", encoding="utf-8")
    (args.out / "samplers.md").write_text(table(errors, args.calls), encoding="utf-8")
    picture(errors, noisy, args.out / "samplers.png")
    return table(errors, args.calls)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("prompts", help="a text file, a prompt in each line")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--model", default="emoji", help="what jaxsd.load takes")
    parser.add_argument("--samplers", nargs="+", default=NAMES, help="names; all by default")
    parser.add_argument("--learnt", nargs="*", default=[], metavar="FILE", help="learnt samplers")
    parser.add_argument("--calls", type=int, nargs="+", default=[4, 6, 8, 10, 12], metavar="N")
    parser.add_argument("--seed", type=int, default=1000, help="of the first picture")
    parser.add_argument("--batch", type=int, default=8)
    return parser.parse_args(argv[1:])


def main(args: argparse.Namespace) -> None:
    """Prints the table; a wrong command line gives one line and exit code 2."""
    try:
        print(report(args), end="")
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main, flags_parser=arguments)
