"""Measures what a run of "draft", "ddpo" or "dpo" has gained, on seeds that it never saw.

    python tools/measure_reward.py runs/emoji_draft --sheet sheet.png

Draws every prompt with the run's model, with and without its LoRA, from the same noise, and prints
the mean reward of both and of the difference, with standard errors. The sheet has the pictures
without it in rows above those with it.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from absl import app, flags

import jaxsd
from jaxsd.images import contact_sheet, write_picture
from jaxsd.pipeline import Pipeline, draw_many
from jaxsd.training.config import TrainConfig
from jaxsd.training.prompted import lines_of, settings_of
from jaxsd.training.resuming import read_run
from jaxsd.training.rewards import measured, reward_of

SEEDS = flags.DEFINE_integer("seeds", 4, "pictures of each prompt", lower_bound=1)
FIRST_SEED = flags.DEFINE_integer("first_seed", 1_000_000, "the first seed")
PROMPTS = flags.DEFINE_string("prompts", "configs/train/emoji-prompts.txt", "a prompt in each line")
SHEET = flags.DEFINE_string("sheet", None, "where to write the pictures of the first seed")


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


def main(argv: Sequence[str]) -> None:
    """Draws, measures, prints."""
    if len(argv) != 2:
        raise app.UsageError("give the folder of one run")
    config = read_run(Path(argv[1]))
    prompts, seeds = (
        lines_of(PROMPTS.value),
        range(FIRST_SEED.value, FIRST_SEED.value + SEEDS.value),
    )
    reward = reward_of(config.reward, differentiable=False)
    pipe = jaxsd.load(config.model)
    learnt = pipe.with_adapters(lora=[str(Path(argv[1]) / "model.safetensors")])
    pictures = [drawn(own, config, prompts, seeds) for own in (pipe, learnt)]
    texts = [prompt for prompt in prompts for _ in seeds]
    before, after = (measured(reward, config.reward.name, own, texts) for own in pictures)
    print(f"{config.reward.name} of {len(prompts)} prompts, {len(seeds)} seeds each")
    print(f"before {summary(before)}, after {summary(after)}, gain {summary(after - before)}")
    if SHEET.value:
        first = np.concatenate([own[:: len(seeds)] for own in pictures])
        write_picture(Path(SHEET.value), contact_sheet(first, columns=len(prompts)))


if __name__ == "__main__":
    app.run(main)
