"""One picture of 512 x 512 by diffusers, as a command: its memory is that of the whole process.

/usr/bin/time -v python tools/peers/diffusers_picture.py sd15 --steps 1
"""

import argparse

import torch
from diffusers import StableDiffusionPipeline


def main() -> None:
    """Draws, and throws the picture away."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", help="diffusers folder of SD 1 or SD 2")
    parser.add_argument("--steps", type=int, default=1)
    args = parser.parse_args()
    pipe = StableDiffusionPipeline.from_pretrained(
        args.model, torch_dtype=torch.float32, safety_checker=None, local_files_only=True
    )
    pipe("a red apple", num_inference_steps=args.steps, height=512, width=512)


if __name__ == "__main__":
    main()
