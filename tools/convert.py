"""Converts a model: the same as `jaxsd convert`, as a script with absl's flags.

python tools/convert.py --source=model.ckpt --destination=folder
"""

from collections.abc import Sequence

from absl import app, flags, logging

from jaxsd.convert.conversion import open_conversion

_SOURCE = flags.DEFINE_string("source", None, "a folder, a file, or a hub id", required=True)
_DESTINATION = flags.DEFINE_string(
    "destination", None, "NAME.safetensors, or a folder for diffusers", required=True
)
_DTYPE = flags.DEFINE_enum(
    "dtype", None, ["float32", "float16", "bfloat16"], "without it tensors stay as they are"
)
_EMA = flags.DEFINE_bool("ema", None, "which U-Net to take where there are two")
_PREDICTION = flags.DEFINE_enum(
    "prediction", None, ["epsilon", "v", "sample"], "for files that do not say it (SD 2)"
)
_FORCE = flags.DEFINE_bool("force", False, "overwrite the destination")


def main(argv: Sequence[str]) -> None:
    """Converts what the flags name."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}")
    try:
        conversion = open_conversion(
            _SOURCE.value,
            _DESTINATION.value,
            dtype=_DTYPE.value,
            ema=_EMA.value,
            prediction=_PREDICTION.value,
            overwrite=_FORCE.value,
        )
        conversion.run(lambda count: None)
    except (ValueError, OSError) as error:
        raise SystemExit(f"convert: {error}") from error
    logging.info("wrote %s: %s", _DESTINATION.value, conversion.model.spec.family)


if __name__ == "__main__":
    app.run(main)
