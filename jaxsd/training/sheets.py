"""Pictures of a run's prompts, drawn with the current weights."""

from pathlib import Path

from jaxsd.images import contact_sheet, write_picture
from jaxsd.pipeline import Pipeline
from jaxsd.training.config import TrainConfig
from jaxsd.training.loop import OnSave, Task
from jaxsd.types import Params


def sheets(config: TrainConfig, task: Task) -> OnSave | None:
    """Draws `config.samples` after each checkpoint: samples/STEP.png in the folder of the run.

    None where there are no samples.

    Raises:
      ValueError: the task does not train a model that draws.
    """
    if not config.samples:
        return None
    if task.model is None:
        raise ValueError(f"task {config.task!r} draws no pictures; leave out samples")
    folder = Path(config.output) / "samples"

    def on_save(step: int, trained: Params) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        spec, params, tokenizers = task.model(trained)
        images = Pipeline(spec, params, tokenizers, config.dtype).text_to_image(config.samples)
        write_picture(folder / f"{step:06d}.png", contact_sheet(images))

    return on_save
