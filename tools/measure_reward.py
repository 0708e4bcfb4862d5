"""Measures what a run of "draft", "ddpo" or "dpo" has gained, on seeds that it never saw.

    python tools/measure_reward.py runs/emoji_draft --sheet sheet.png

Draws every prompt with the run's model, with and without its LoRA, from the same noise, and prints
the mean reward of both and of the difference, with standard errors. The sheet has the pictures
without it in rows above those with it.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import app
from absl.flags import argparse_flags

import jaxsd
from jaxsd.images import contact_sheet, write_picture
from jaxsd.pipeline import Pipeline, draw_many
from jaxsd.training.config import TrainConfig
from jaxsd.training.prompted import lines_of, settings_of
from jaxsd.training.resuming import read_run
from jaxsd.training.rewards import measured, reward_of

PROMPTS = "configs/train/emoji-prompts.txt"
FIRST_SEED = 1_000_000


def drawn(pipe: Pipeline, config: TrainConfig, prompts: Sequence[str], seeds: range) -> np.ndarray:
    """Pictures of prompts as a run draws them, uint8 [prompts * seeds, H, W, 3].

    All seeds of the first prompt come first.
    """
    settings = [
        replace(one, seed=seed) for one in settings_of(config, pipe.spec, prompts) for seed in seeds
    ]
    return np.stack(draw_many(pipe, settings))


def summary(values: np.ndarray) -> str:
    """The mean and its standard error."""
    return f"{values.mean():.4f} +- {values.std(ddof=1) / np.sqrt(len(values)):.4f}"


def measure(run: Path, prompts: Sequence[str], count: int, sheet: Path | None) -> None:
    """Draws, measures, prints."""
    config, seeds = read_run(run), range(FIRST_SEED, FIRST_SEED + count)
    reward = reward_of(config.reward, differentiable=False)
    pipe = jaxsd.load(config.model)
    learnt = pipe.with_adapters(lora=[str(run / "model.safetensors")])
    pictures = [drawn(own, config, prompts, seeds) for own in (pipe, learnt)]
    texts = [prompt for prompt in prompts for _ in seeds]
    before, after = (measured(reward, config.reward.name, own, texts) for own in pictures)
    print(f"{config.reward.name} of {len(prompts)} prompts, {count} seeds each")
    print(f"before {summary(before)}, after {summary(after)}, gain {summary(after - before)}")
    if sheet:
        shown = np.concatenate([own[::count] for own in pictures])
        write_picture(sheet, contact_sheet(shown, columns=len(prompts)))


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--prompts", default=PROMPTS, help="a text file, a prompt in each line")
    parser.add_argument("--seeds", type=int, default=4, help="pictures of each prompt, 2 or more")
    parser.add_argument("--sheet", type=Path, help="where to write the pictures of the first seed")
    return parser.parse_args(argv[1:])


def main(args: argparse.Namespace) -> None:
    """Measures what the command line asks for; a wrong one gives one line and exit code 2."""
    try:
        if args.seeds < 2:
            raise ValueError(f"--seeds {args.seeds} is too few for a standard error; give 2")
        measure(args.run, lines_of(args.prompts), args.seeds, args.sheet)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    app.run(main, flags_parser=arguments)
