"""A training run as TOML: what to run, never what a model is."""

import tomllib
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainConfig:
    """One run.

    Attributes:
      task: "vae" or "unet".
      output: folder of the run: checkpoints/, metrics.jsonl, model/.
      data: image folder with a metadata.jsonl.
      steps: parameter updates in all.
      learning_rate: peak; reached after `warmup_steps`, held, then lowered linearly to zero over
        the last `decay_steps`. A run can therefore be made longer before it decays.
      ema_decay: of the averaged weights, which are what is written to model/.
      save_every: steps between checkpoints.
      log_every: steps between lines of metrics.
      crop: pixels of the random square crops (task "vae").
      autoencoder: folder of a finished run of task "vae" (task "unet").
      caption_dropout: share of the captions that become empty, for guidance (task "unet").
      templates: share of each kind of picture in a batch (task "unet").
    """

    task: str
    output: str
    data: str
    steps: int
    batch_size: int
    learning_rate: float
    warmup_steps: int = 100
    decay_steps: int = 0
    ema_decay: float = 0.999
    save_every: int = 1000
    log_every: int = 50
    seed: int = 0
    crop: int = 64
    autoencoder: str = ""
    caption_dropout: float = 0.1
    templates: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks what can be checked before anything is read.

        Raises:
          ValueError: a number out of range, or a missing autoencoder.
        """
        for name in ("steps", "batch_size", "learning_rate", "save_every", "log_every", "crop"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be more than 0")
        for name in ("ema_decay", "caption_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, it must be in [0, 1)")
        if self.warmup_steps + self.decay_steps > self.steps:
            raise ValueError(
                f"warmup_steps {self.warmup_steps} and decay_steps {self.decay_steps} are more "
                f"than the {self.steps} steps of the run; lower one of them"
            )


def read_config(path: str | Path, overrides: Sequence[str] = ()) -> TrainConfig:
    """A run from a TOML file, with `key=value` overrides in TOML's own syntax.

    Raises:
      ValueError: not TOML, an unknown or missing key, a value of the wrong type.
      FileNotFoundError: no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no configuration file {path}; see configs/train/")
    try:
        values = tomllib.loads(path.read_text())
        for override in overrides:
            values |= tomllib.loads(override if '"' in override else _quoted(override))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path} or an override of it is not TOML: {error}") from None
    return _checked(values, path)


def _quoted(override: str) -> str:
    """`output=runs/a` as TOML: a bare word becomes a string."""
    key, _, value = override.partition("=")
    try:
        tomllib.loads(override)
    except tomllib.TOMLDecodeError:
        return f'{key} = "{value}"'
    return override


def _checked(values: dict[str, Any], path: Path) -> TrainConfig:
    known = {f.name: f for f in fields(TrainConfig)}
    required = {
        n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING
    }
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"{path}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    required = {
        n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING
    }
    for name, value in values.items():
        kind = known[name].type
        kind = dict if kind == dict[str, float] else kind
        if not isinstance(value, (int, float) if kind is float else kind) or value is True:
            raise ValueError(f"{path}: {name} is {value!r}, it must be of type {kind.__name__}")
    if missing := sorted(required - set(values)):
        raise ValueError(f"{path}: the key {missing[0]!r} is missing")
    return TrainConfig(**values)
