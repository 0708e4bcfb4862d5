"""Compares a model's numbers with PyTorch's: every module, every step, every image.

Runs torch, transformers and diffusers as well as jaxsd on the CPU in float32, and writes a report
(`report.md` with tables, `report.png`). Needs the extra [parity].

    python tools/parity.py model.safetensors --output=report
    python tools/parity.py ours --against=theirs --bisect

With `--bisect` networks alone are compared, and a line names the first module that differs.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags, logging

from jaxsd.convert.conversion import open_conversion

SAMPLERS = ("ddim", "pndm", "euler", "dpm++_2m", "unipc")
"""Those of `pipeline_parity.SCHEDULERS`."""

_OUTPUT = flags.DEFINE_string("output", "parity", "folder to write the report to")
_PROMPTS = flags.DEFINE_multi_string("prompt", ["a red apple", "a boat on a lake"], "what to draw")
_NEGATIVE = flags.DEFINE_string("negative_prompt", "blurry", "what guidance leads away from")
_SAMPLERS = flags.DEFINE_list(
    "samplers", ["ddim", "pndm", "euler", "dpm++_2m"], f"some of {', '.join(SAMPLERS)}"
)
_STEPS = flags.DEFINE_integer("steps", 20, "steps of each sampler", lower_bound=1)
_SIZE = flags.DEFINE_integer("size", None, "height and width; what suits the model by default")
_GUIDANCE = flags.DEFINE_float("guidance_scale", 7.5, "1 means none", lower_bound=1.0)
_AGAINST = flags.DEFINE_string("against", None, "diffusers folder of the other side; the same one")
_BISECT = flags.DEFINE_bool("bisect", False, "name the first module that differs, and stop there")
_TOLERANCE = flags.DEFINE_float(
    "tolerance", 1e-4, "what counts as a difference, over the largest value", lower_bound=0.0
)


def compare(model: str, folder: Path, against: Path) -> None:
    """Opens a diffusers folder in both libraries, compares them, and writes the report."""
    # Torch and diffusers take long to import: mistakes in arguments are found before.
    import diffusers
    from module_parity import first_apart
    from parity_report import Report, write
    from pipeline_parity import (
        DRAWS,
        Request,
        compare_networks,
        compare_sampler,
        open_both,
    )

    diffusers.logging.set_verbosity_error()
    ours, theirs = open_both(folder, against)
    size, unit = _SIZE.value or ours.spec.default_size, ours.spec.vae.downscale
    if size <= 0 or size % unit:
        raise app.UsageError(f"size {size} is not a multiple of {unit} above 0")
    request = Request(
        prompts=_PROMPTS.value,
        negatives=[_NEGATIVE.value] * len(_PROMPTS.value),
        guidance_scale=_GUIDANCE.value,
        steps=_STEPS.value,
        height=size,
        width=size,
    )
    modules = {}
    for name, errors in compare_networks(ours, theirs, request):
        logging.info("%s: %d modules", name, len(errors))
        modules[name] = errors
        if _BISECT.value and (found := first_apart(errors, _TOLERANCE.value)):
            print(f"{name}: {found.path} is the first that differs, by {found.error:.1e}")
            return
    if _BISECT.value:
        print(f"no module of {', '.join(modules)} differs by more than {_TOLERANCE.value:g}")
        return
    samplers, left_out = [], {}
    for sampler in _SAMPLERS.value if type(theirs).__name__ in DRAWS else []:
        try:
            samplers.append(compare_sampler(ours, theirs, sampler, request))
        except ValueError as error:  # such as pndm at zero terminal SNR
            left_out[sampler] = str(error)
            logging.info("%s is left out: %s", sampler, error)
        else:
            logging.info("%s: %.1f dB", sampler, min(samplers[-1].psnr))
    write(Report(model, request, modules, samplers, left_out), Path(_OUTPUT.value))


def main(argv: Sequence[str]) -> None:
    """Writes the report of the model that the argument names."""
    if len(argv) != 2:
        raise app.UsageError("name one model: a diffusers folder, a single file, or a hub id")
    folder = Path(argv[1])
    if unknown := sorted(set(_SAMPLERS.value) - set(SAMPLERS)):
        raise app.UsageError(f"samplers {unknown} are not among {', '.join(SAMPLERS)}")
    if _AGAINST.value and not (Path(_AGAINST.value) / "model_index.json").is_file():
        raise app.UsageError(f"{_AGAINST.value} is not a diffusers folder")
    with tempfile.TemporaryDirectory() as scratch:
        if not (folder / "model_index.json").is_file():
            # diffusers needs the hub to read a single file, but not to read a folder from jaxsd.
            folder = Path(scratch) / "model"
            try:
                open_conversion(argv[1], str(folder)).run(lambda count: None)
            except (ValueError, OSError) as error:
                raise SystemExit(f"parity: {error}") from error
        compare(Path(argv[1]).stem, folder, Path(_AGAINST.value or folder))
    if not _BISECT.value:
        logging.info("wrote %s", Path(_OUTPUT.value) / "report.md")


if __name__ == "__main__":
    app.run(main)
