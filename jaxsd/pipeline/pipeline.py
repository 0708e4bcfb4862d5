"""A model that draws pictures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxsd.pipeline.drawer import Drawer, Progress
from jaxsd.pipeline.inside import Inside, WordMaps, looked_inside, words_looked_at
from jaxsd.pipeline.kinds import encoded, output_of, pictures_of
from jaxsd.pipeline.likelihood import log_densities
from jaxsd.sampling.inside import Edit
from jaxsd.settings import Settings, adapters_of, of_drawing, tableau_of
from jaxsd.types import Array

WATCHING = ("progress", "callback_on_step_end", "callback_on_step_end_tensor_inputs")
"""Arguments of `Pipeline.draw` that are called while it draws."""


@dataclass(frozen=True, repr=False)
class Pipeline(Drawer):
    """A model, ready to draw."""

    def text_to_image(self, prompt: str | Sequence[str], **options: Any) -> Any:
        """Draws pictures of prompts.

        Args:
          prompt: a text, or several; `num_images` are drawn for each.
          **options: see `draw`; and `output_type`: "np" (the default), "pil", "jax" or "latent",
            see `jaxsd.pipeline.kinds`.

        Returns:
          uint8 [B, H, W, 3], or what `output_type` says; the images of the first prompt first.
        """
        return self._pictures(prompt, options)

    def image_to_image(self, image: np.ndarray, prompt: str | Sequence[str], **options: Any) -> Any:
        """Draws pictures that begin from a picture.

        Args:
          image: uint8 [H, W, 3] of any size: it is scaled to cover the size that is drawn, and its
            middle is cut out. Or several, one per image.
          prompt: a text, or several.
          **options: see `draw`; `strength` says how much of the picture changes. And `output_type`.

        Returns:
          As `text_to_image`.
        """
        return self._pictures(prompt, options | {"image": image})

    def inpaint(
        self,
        image: np.ndarray,
        mask: np.ndarray | None,
        prompt: str | Sequence[str],
        **options: Any,
    ) -> Any:
        """Repaints a part of a picture, or paints beyond its edges (`outpaint`).

        Args:
          image: uint8 [H, W, 3] of any size, or several, one per image.
          mask: uint8 [H, W], 255 where to paint, 0 where the picture stays; None to paint only
            beyond the edges. Or several, one per image.
          prompt: a text, or several.
          **options: see `draw`; `mask_blur`, `composite` and `outpaint` among them. And
            `output_type`.

        Returns:
          As `text_to_image`.
        """
        return self._pictures(prompt, options | {"image": image, "mask": mask})

    def _pictures(self, prompt: str | Sequence[str], options: dict[str, Any]) -> Any:
        watched = {name: options.pop(name) for name in WATCHING if name in options}
        output = output_of(options.pop("output_type", "np"))
        order = self.order(prompt, **options)
        drawing = self.drawn(order, **watched)
        return output(drawing.images, drawing.latents, lambda: self.pictures(drawing, order))

    def word_maps(
        self,
        prompt: str | Settings,
        words: Sequence[str] | None = None,
        *,
        progress: Progress = lambda done, rows: None,
        **options: Any,
    ) -> WordMaps:
        """Draws a prompt, and tells where it looked at each word (Tang et al. 2022, DAAM).

        Args:
          prompt: a text, or settings.
          words: of the prompt; None for all of them.
          progress: called after every row with (done, all).
          **options: see `draw`.

        Returns:
          Unrounded images, and a map [B, h, w] for each word, in [0, 1]: its tokens' share of the
          cross-attention to all words, the mean over rows, layers of the up blocks but the deepest,
          heads and tokens.

        Raises:
          ValueError: see `draw`; and for a word that the prompt does not have.
        """
        order = self.order(prompt, **options)
        tokenizers = self._with_words(adapters_of(order.settings)).tokenizers
        count, seen = len(order.settings), self._programs(order)
        images, maps = words_looked_at(seen, order, tokenizers[0], words, progress)
        return WordMaps(images[:count], {word: own[:count] for word, own in maps.items()})

    def inside(
        self,
        prompt: str | Settings | Sequence[str] | Sequence[Settings],
        record: Sequence[str],
        edit: Edit | None = None,
        **options: Any,
    ) -> Inside:
        """Draws, and gives what modules of the U-Net gave in each row.

        Args:
          prompt: as for `draw`.
          record: paths, as those of parameters: "mid_block", "up_blocks_0/resnets_1".
          edit: (path, output [B*K, ...], step) -> what the module gives instead, a function of JAX;
            `step.row.number` [B] is the row. Another function compiles again.
          **options: see `draw`.

        Raises:
          ValueError: see `draw`; and for a path that no module has.
        """
        order = self.order(prompt, **options)
        count = len(order.settings)
        images, rows = looked_inside(self._programs(order), order, record, edit)
        return Inside(images[:count], [jax.tree.map(lambda a: a[:count], row) for row in rows])

    def log_likelihood(
        self, image: np.ndarray | Sequence[np.ndarray], prompt: str | Sequence[str], **options: Any
    ) -> np.ndarray:
        """The log-density that the model gives to the latents of pictures, in nats, [B] float32.

        By the probability-flow ODE with Hutchinson's estimator, whose signs are those of the seed
        (Song et al. 2021, equations 39 and 40). Divide by -log(2) and the number of values for
        bits per dimension.

        Args:
          image: uint8 [H, W, 3] of any size, or several, one per text.
          prompt: a text, or several; an empty one for the density without a text.
          **options: see `draw`; `steps`, `seed` and sizes among them. There is no guidance.
        """
        texts = [prompt] if isinstance(prompt, str) else list(prompt)
        own = {"sampler": "bdia", "guidance_scale": 1.0, "source_prompt": [t or " " for t in texts]}
        order = self.order(texts, image=image, **options | own)
        tableau = of_drawing(order.settings[0], tableau_of(order.settings[0], self.spec))
        found = np.asarray(log_densities(self._programs(order), order, tableau))
        if not np.isfinite(found).all():
            raise FloatingPointError(f"a log-density was not finite in {self.dtype}; try float32")
        return found[: len(order.settings)]

    def encode(self, images: np.ndarray, *, vae_tile: int = 0) -> Array:
        """Scaled latents [B, h, w, c] float32 of pictures uint8 [B, H, W, 3], see `encoded`.

        `vae_tile` is that of `Settings`.
        """
        programs = self._own_programs((), Settings(vae_tile=vae_tile))
        return encoded(programs, images, self.batch(len(images)))

    def decode(self, latents: Array, *, vae_tile: int = 0) -> np.ndarray:
        """Pictures, uint8 [B, H, W, 3], of scaled latents [B, h, w, c]; see `pictures_of`."""
        programs = self._own_programs((), Settings(vae_tile=vae_tile))
        return pictures_of(programs, latents, self.batch(len(latents)))
