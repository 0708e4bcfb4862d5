"""What an image was made from."""

from dataclasses import dataclass, field
from typing import Any

from jaxsd.settings.options import Settings


@dataclass(frozen=True)
class Recipe:
    """What an image was made from, so that it can be made again.

    Attributes:
      settings: checked ones.
      model: what was given to `jaxsd.load`.
      model_hash: first ten hex digits of the model file's sha256, as webui shows them; empty where
        the model is not one file.
      dtype: what the networks computed in.
      taesd: as for `jaxsd.load`; empty for the model's own autoencoder.
      version: of jaxsd.
      pictures: sha256 of each picture file that was used, by its name in the settings.
      batch_size: images of the call that drew it, which decides how float32 sums are ordered; 0
        where that is not known.
      reading: options of `jaxsd.load` that say how the model was read, where they were given.
      adapters: sha256 of each file of a LoRA, an embedding, an IP-Adapter or its image encoder.
    """

    settings: Settings
    model: str
    dtype: str
    version: str
    model_hash: str = ""
    taesd: str = ""
    pictures: dict[str, str] = field(default_factory=dict)
    batch_size: int = 0
    reading: dict[str, Any] = field(default_factory=dict)
    adapters: dict[str, str] = field(default_factory=dict)
