"""`jaxsd learn-sampler PROMPTS -o FILE.json`: samplers of few steps for a model."""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from jaxsd.cli.options import add_model, add_settings, given_settings, loading, opened
from jaxsd.cli.progress import StepBar, say, steps_shown
from jaxsd.drawings import with_programs
from jaxsd.memory import check_drawing
from jaxsd.schedulers import HISTORY, Learnt, is_learnt, write_learnt
from jaxsd.settings import checked, settings_from
from jaxsd.text_files import lines_in
from jaxsd.writing import check_place


def configure(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments."""
    parser.add_argument("prompts", help="a text file, a prompt in each line, to learn from")
    parser.add_argument(
        "-o", "--output", default="learnt.json", metavar="FILE", help="(learnt.json)"
    )
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[4, 6, 8], metavar="N", help="steps (4 6 8)"
    )
    parser.add_argument("--updates", type=int, default=30, metavar="N", help="of each (30)")
    parser.add_argument("--batch", type=int, default=4, metavar="N", help="of an update (4)")
    parser.add_argument(
        "--order", type=int, default=3, metavar="N", help="estimates that a step reads, 1 to 5 (3)"
    )
    add_model(parser)
    add_settings(parser)


def main(args: argparse.Namespace) -> None:
    """Draws all prompts in many steps, and learns a sampler for each number of rows."""
    output = Path(args.output)
    if not is_learnt(output.name):
        raise ValueError(f"--output {args.output} does not end in .json, as names of samplers do")
    check_place(output.parent)
    for name, value, most in (
        ("order", args.order, HISTORY),
        ("updates", args.updates, 100_000),
        *(("rows", rows, 100) for rows in args.rows),
    ):
        if not 1 <= value <= most:
            raise ValueError(f"--{name} {value} is out of range; allowed are 1 to {most}")
    spec = opened(args).spec
    given = given_settings(args)
    prompts = [line for _, line in lines_in(args.prompts)]
    if not 1 <= args.batch <= len(prompts):
        raise ValueError(f"--batch {args.batch} is not 1 to {len(prompts)}, the prompts there are")
    base = settings_from(given)
    settings = [replace(base, prompt=text, seed=base.seed + i) for i, text in enumerate(prompts)]
    # Imported here because these import jax: wrong arguments are reported without that delay.
    from jaxsd.pipeline import check_adapters
    from jaxsd.training.sampler_learning import (
        BEGINNINGS,
        REFERENCE,
        Learning,
        beginning,
        learn_sampler,
        nearest,
        references,
        trial_calls,
    )

    begins = [base.sampler] if base.sampler else BEGINNINGS
    of_rows = {
        rows: [checked(replace(one, steps=rows, sampler=begins[0]), spec) for one in settings]
        for rows in sorted(set(args.rows))
    }
    for own in of_rows.values():
        beginning(own[0], spec)
    first = next(iter(of_rows.values()))
    check_drawing(first[0], spec, images=len(first), together=args.batch)
    check_adapters(first, spec)
    pipe = with_programs(args.model, say, first, **loading(args))
    how = Learning(args.updates, args.batch, args.order)
    about = {
        "model": args.model,
        "guidance_scale": first[0].guidance_scale,
        "size": list(first[0].drawn_size),
        "begin": begins,
        "reference": list(REFERENCE),
        "prompts": len(prompts),
        **how._asdict(),
    }
    many = -(-len(first) // args.batch) * REFERENCE[1]
    trials = len(begins) if len(begins) > 1 else 0
    tried = {rows: trials * trial_calls(rows, len(first), args.batch) for rows in of_rows}
    with steps_shown(many + sum(tried.values()) + args.updates * sum(of_rows)) as bar:
        wanted = references(pipe, first, args.batch, bar)
        found: list[Learnt] = []
        done = many
        for rows, own in of_rows.items():
            begun = nearest(pipe, own, wanted, begins, args.batch, partial(_after, bar, done))
            done += tried[rows]
            losses = Losses(bar, done, rows)
            found.append(learn_sampler(pipe, begun, wanted, how, losses))
            done += args.updates * rows
            bar.write(f"{rows} rows, from {begun[0].sampler}: error of latents {losses}")
            write_learnt(output, found, about)
    print(output)


def _after(bar: StepBar, before: int, done: int, _: int) -> None:
    bar(before + done, 0)


class Losses:
    """The losses of a sampler of some rows, shown on a bar that has come so far before."""

    def __init__(self, bar: StepBar, before: int, rows: int) -> None:
        self.bar, self.before, self.rows, self.all = bar, before, rows, []

    def __call__(self, done: int, loss: float) -> None:
        """Takes the loss of an update."""
        self.all.append(loss)
        self.bar(self.before + done * self.rows, 0)

    def __str__(self) -> str:
        few = max(1, len(self.all) // 10)
        first, last = (np.sqrt(np.mean(part)) for part in (self.all[:few], self.all[-few:]))
        return f"{first:.4f} at first, {last:.4f} at last"
