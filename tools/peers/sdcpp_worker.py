"""stable-diffusion.cpp, by the package stable-diffusion-cpp-python: whole pictures.

Its weights come from a file, which must be of the job's model; their values do not matter. What it
computes in follows from their type, whatever dtype the job has.
"""

import argparse
import os
from collections.abc import Callable
from importlib.metadata import version

from protocol import serve

PACKAGE = "stable-diffusion-cpp-python"


def main() -> None:
    """Serves jobs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True, help="a file of the original code's names")
    parser.add_argument("--type", default="f16", help="of weights in memory: f32, f16, q8_0, ...")
    parser.add_argument("--flash", action="store_true", help="flash attention, in all networks")
    parser.add_argument("--vae-tile", type=int, default=0, help="side of a tile in latents")
    args = parser.parse_args()

    def prepare(job: dict) -> tuple[Callable[[], None], str]:
        from stable_diffusion_cpp import StableDiffusion

        if job["part"] != "image":
            raise NotImplementedError("only whole pictures are timed")
        model = StableDiffusion(
            model_path=args.model,
            wtype=args.type,
            flash_attn=args.flash,
            vae_decode_only=True,
            n_threads=os.cpu_count(),
            verbose=False,
        )
        tiles = {"vae_tiling": True, "vae_tile_size": args.vae_tile} if args.vae_tile else {}

        def run() -> None:
            model.generate_image(
                "a red apple",
                width=job["size"],
                height=job["size"],
                batch_count=job["batch"],
                sample_steps=job["steps"],
                sample_method="ddim_trailing",
                cfg_scale=7.5,
                **tiles,
            )

        return run, f"{PACKAGE} {version(PACKAGE)}"

    serve(prepare)


if __name__ == "__main__":
    main()
