"""Draws pictures for a run of task "dpo", and pairs them by a reward.

    python tools/build_preferences.py configs/train/emoji-dpo.toml

Of several pictures of a prompt the best is preferred to the worst, the second to the last but one,
and so on. They are written into the `data` folder of the run; the reward, and how they are drawn,
are its tables `reward` and `drawing`.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app
from absl.flags import argparse_flags
from measure_reward import PROMPTS, drawn

import jaxsd
from jaxsd.images import write_picture
from jaxsd.training.captions import REJECTED
from jaxsd.training.config import TrainConfig, read_config
from jaxsd.training.prompted import lines_of
from jaxsd.training.rewards import measured, reward_of


def pairs(rewards: np.ndarray) -> list[tuple[int, int]]:
    """(preferred, rejected) of rewards [N], N // 2 of them."""
    order = np.argsort(-rewards, kind="stable")
    return [(int(order[i]), int(order[-1 - i])) for i in range(len(order) // 2)]


def build(config: TrainConfig, prompts: Sequence[str], count: int) -> int:
    """Draws, measures, writes; returns how many pairs there are."""
    reward = reward_of(config.reward, differentiable=False)
    pipe = jaxsd.load(config.model)
    pictures = np.split(drawn(pipe, config, prompts, range(count)), len(prompts))
    folder, lines = Path(config.data), []
    folder.mkdir(parents=True, exist_ok=True)
    for number, (prompt, own) in enumerate(zip(prompts, pictures, strict=True)):
        names = [f"{number}-{i}.png" for i in range(count)]
        for name, picture in zip(names, own, strict=True):
            write_picture(folder / name, picture)
        rewards = measured(reward, config.reward.name, own, [prompt] * count)
        for best, worst in pairs(rewards):
            row = {"file_name": names[best], REJECTED: names[worst], "text": prompt}
            lines.append(json.dumps(row, ensure_ascii=False))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return len(lines)


def arguments(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse_flags.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config", help="the configuration of a run")
    parser.add_argument("--prompts", default=PROMPTS, help="a text file, a prompt in each line")
    parser.add_argument("--pictures", type=int, default=16, help="of each prompt, 2 or more")
    return parser.parse_args(argv[1:])


def main(args: argparse.Namespace) -> None:
    """Builds what the command line asks for; a wrong one gives one line and exit code 2."""
    try:
        if args.pictures < 2:
            raise ValueError(f"--pictures {args.pictures} makes no pair; give 2 or more")
        config = read_config(args.config)
        count = build(config, lines_of(args.prompts), args.pictures)
    except (ValueError, OSError) as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    print(f"{config.data}: {count} pairs")


if __name__ == "__main__":
    app.run(main, flags_parser=arguments)
