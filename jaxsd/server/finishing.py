"""What is done to each picture before anyone has it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxsd.provenance import MADE, MADE_OF, Signer
from jaxsd.server.jobs import Format
from jaxsd.settings import Recipe
from jaxsd.webui import texts_of

DECODED_IN = "jaxsd decoded in"
"""Name of a text in pictures."""


class Unfit(Exception):
    """A picture that nobody may have."""


@dataclass(frozen=True)
class Finishing:
    """Looks at pictures, writes and signs them. For any thread.

    Attributes:
      checker: `jaxsd.safety.SafetyChecker`; None for none.
      signer: None for none.
    """

    checker: Any = None
    signer: Signer | None = None

    @property
    def shows(self) -> bool:
        """Whether pictures may be seen that are not done, which nobody has looked at."""
        return self.checker is None

    def file(
        self, image: np.ndarray, recipe: Recipe, written: Format, decoded_in: str = ""
    ) -> bytes:
        """The file of a picture, uint8 [H, W, 3], with what made it.

        Args:
          image: the picture.
          recipe: of it.
          written: how.
          decoded_in: the dtype of the autoencoder, where it was not that of the recipe.

        Raises:
          Unfit: the checker does not allow it.
        """
        made = MADE_OF if recipe.settings.image else MADE
        more = {DECODED_IN: decoded_in} if decoded_in else {}
        return self.packed(image, texts_of(recipe) | more, written, made)

    def packed(
        self, image: np.ndarray, texts: Mapping[str, str], written: Format, made: str
    ) -> bytes:
        """The same of any picture.

        Args:
          image: uint8 [H, W, 3].
          texts: that its file carries.
          written: how.
          made: the signature's word for where it comes from, of `jaxsd.provenance`.

        Raises:
          Unfit: the checker does not allow it.
        """
        if self.checker is not None and (reason := self.checker(image).reason):
            raise Unfit(f"the safety checker finds {reason}")
        packed = written.encode(image, texts)
        if self.signer is None:
            return packed
        name = f"picture.{written.kind.removeprefix('image/')}"
        return self.signer.signed(packed, name, made)
