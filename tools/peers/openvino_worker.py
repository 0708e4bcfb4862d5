"""OpenVINO, with the modules converted from diffusers at the job's shapes."""

from collections.abc import Callable

from protocol import serve


def prepare(job: dict) -> tuple[Callable[[], None], str]:
    """U-Net or decoder, compiled for the processor."""
    import openvino
    import torch
    import torch_models as models

    if job["part"] not in ("unet", "vae") or job["pooled"]:
        raise NotImplementedError("only the U-Nets of SD 1 and 2 and the decoder are converted")
    wanted = job["dtype"]
    job = job | {"dtype": "float32"}  # OpenVINO gets the precision when it compiles

    class Wrapped(torch.nn.Module):
        def __init__(self, module: torch.nn.Module) -> None:
            super().__init__()
            self.module = module

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            if job["part"] == "unet":
                return self.module(*inputs, return_dict=False)[0]
            return self.module.decode(*inputs, return_dict=False)[0]

    if job["part"] == "unet":
        module, inputs = models.unet(job), tuple(models.unet_inputs(job, 2 * job["batch"]).values())
    else:
        module, inputs = models.vae(job), (models.latents(job),)
    model = openvino.convert_model(
        Wrapped(module).eval(), example_input=inputs, input=[tuple(a.shape) for a in inputs]
    )
    precision = "bf16" if wanted == "bfloat16" else "f32"
    compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": precision})
    arrays = [a.numpy() for a in inputs]
    return lambda: compiled(arrays), f"openvino {openvino.__version__}"


if __name__ == "__main__":
    serve(prepare)
