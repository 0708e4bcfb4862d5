"""Records the results of diffusers' scheduler classes with the tests' toy network.

Each array is named "sampler prediction steps sigmas". Needs the extra [parity]:

    PYTHONPATH=tests python tools/record_scheduler_goldens.py --output tests/goldens/schedulers.npz
"""

from collections.abc import Sequence

import diffusers
import numpy as np
import torch
from absl import app, flags
from diffusers_runs import CLASSES, run_scheduler, scheduler

OUTPUT = flags.DEFINE_string("output", "tests/goldens/schedulers.npz", "File to write.")
WITH_KARRAS = ("lms", "euler", "heun", "dpm++_2m", "dpm++_2m_sde", "dpm++_2s", "unipc", "deis")
ROWS = 39  # of heun with 20 steps


def main(_: Sequence[str]) -> None:
    """Writes the file."""
    rng = np.random.default_rng(0)
    x, noises = rng.standard_normal((2, 2, 3, 3)), rng.standard_normal((ROWS, 2, 2, 3, 3))
    versions = f"diffusers {diffusers.__version__}, torch {torch.__version__}"
    arrays = {"x": x, "noises": noises, "versions": np.array(versions)}
    for name in CLASSES:
        for prediction in ("epsilon", "v"):
            for sigmas in ("", "karras") if name in WITH_KARRAS else ("",):
                for steps in (5, 20):
                    settings = {"use_karras_sigmas": True} if sigmas else {}
                    reference = scheduler(name, prediction, **settings)
                    reference.set_timesteps(steps)
                    result = run_scheduler(reference, x, noises)
                    arrays[f"{name} {prediction} {steps} {sigmas}"] = result.astype(np.float32)
    np.savez_compressed(OUTPUT.value, **arrays)
    print(f"{OUTPUT.value}: {len(arrays) - 3} results, {versions}")


if __name__ == "__main__":
    app.run(main)
