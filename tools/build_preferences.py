"""Draws pictures for a run of task "dpo", and pairs them by a reward.

    python tools/build_preferences.py configs/train/emoji-dpo.toml

Of several pictures of a prompt the best is preferred to the worst, the second to the last but one,
and so on. They are written into the `data` folder of the run; the reward, and how they are drawn,
are its tables `reward` and `drawing`.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import app, flags
from measure_reward import PROMPTS, drawn

import jaxsd
from jaxsd.images import write_picture
from jaxsd.training.captions import REJECTED
from jaxsd.training.config import read_config
from jaxsd.training.prompted import lines_of
from jaxsd.training.rewards import measured, reward_of

PICTURES = flags.DEFINE_integer("pictures", 16, "of each prompt", lower_bound=2)


def pairs(rewards: np.ndarray) -> list[tuple[int, int]]:
    """(preferred, rejected) of rewards [N], N // 2 of them."""
    order = np.argsort(-rewards, kind="stable")
    return [(int(order[i]), int(order[-1 - i])) for i in range(len(order) // 2)]


def main(argv: Sequence[str]) -> None:
    """Draws, measures, writes."""
    if len(argv) != 2:
        raise app.UsageError("give the configuration of one run")
    config = read_config(argv[1])
    reward = reward_of(config.reward, differentiable=False)
    folder, lines = Path(config.data), []
    folder.mkdir(parents=True, exist_ok=True)
    prompts, pipe = lines_of(PROMPTS.value), jaxsd.load(config.model)
    pictures = drawn(pipe, config, prompts, range(PICTURES.value))
    for number, (prompt, own) in enumerate(
        zip(prompts, np.split(pictures, len(prompts)), strict=True)
    ):
        rewards = measured(reward, config.reward.name, own, [prompt] * len(own))
        for i, picture in enumerate(own):
            write_picture(folder / f"{number}-{i}.png", picture)
        for best, worst in pairs(rewards):
            names = {"file_name": f"{number}-{best}.png", REJECTED: f"{number}-{worst}.png"}
            lines.append(json.dumps(names | {"text": prompt}, ensure_ascii=False))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{folder}: {len(lines)} pairs")


if __name__ == "__main__":
    app.run(main)
