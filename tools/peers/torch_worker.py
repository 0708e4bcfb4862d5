"""diffusers in PyTorch: eager or with `--compile`, and optionally with `--channels-last`."""

import argparse
from collections.abc import Callable

from protocol import serve


def main() -> None:
    """Serves jobs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()

    def prepare(job: dict) -> tuple[Callable[[], None], str]:
        import torch
        import torch_models as models

        torch.backends.cuda.matmul.allow_tf32 = True
        torch.backends.cudnn.allow_tf32 = True

        def ready(module: torch.nn.Module, method: str = "forward") -> Callable:
            if args.channels_last:
                module.to(memory_format=torch.channels_last)
            call = getattr(module, method)
            mode = "max-autotune" if torch.cuda.is_available() else None
            return torch.compile(call, mode=mode) if args.compile else call

        run = PARTS[job["part"]](job, models, ready)

        def timed() -> None:
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()

        return timed, models.versions()

    serve(prepare, _peak)


def _peak() -> int | None:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _unet(job: dict, models: object, ready: Callable) -> Callable[[], None]:
    call, inputs = ready(models.unet(job)), models.unet_inputs(job, 2 * job["batch"])
    return lambda: call(**inputs, return_dict=False)


def _vae(job: dict, models: object, ready: Callable) -> Callable[[], None]:
    call, latents = ready(models.vae(job), "decode"), models.latents(job)
    return lambda: call(latents, return_dict=False)


def _text(job: dict, models: object, ready: Callable) -> Callable[[], None]:
    calls, ids = [ready(module) for module in models.texts(job)], models.ids(job)
    return lambda: [call(ids, output_hidden_states=True) for call in calls]


def _image(job: dict, models: object, ready: Callable) -> Callable[[], None]:
    """Prompts, DDIM's steps with guidance, and decoding, as diffusers' pipelines do them."""
    import diffusers
    import torch

    encode, decode = _text(job, models, ready), ready(models.vae(job), "decode")
    call, inputs = ready(models.unet(job)), models.unet_inputs(job, 2 * job["batch"])
    settings = {k: v for k, v in job["scheduler"].items() if not k.startswith("_")}
    scheduler = diffusers.DDIMScheduler.from_config(settings)

    def run() -> None:
        encode()
        x = models.latents(job)
        scheduler.set_timesteps(job["steps"])
        for timestep in scheduler.timesteps:
            inputs["sample"], inputs["timestep"] = torch.cat([x, x]), timestep
            without, with_text = call(**inputs, return_dict=False)[0].chunk(2)
            x = scheduler.step(without + 7.5 * (with_text - without), timestep, x)[0]
        decode(x, return_dict=False)

    return run


PARTS = {"unet": _unet, "vae": _vae, "text": _text, "image": _image}

if __name__ == "__main__":
    main()
