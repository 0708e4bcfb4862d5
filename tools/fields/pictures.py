"""A picture of a field's forecasts: three rows with their bands, and the score by time."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from fields.field import Field
from jaxsd.arrays.scores import crps
from jaxsd.writing import replacing

EXAMPLES = 3


def draw_forecasts(
    path: Path, field: Field, ensembles: dict[str, np.ndarray], rows: np.ndarray
) -> None:
    """Draws bands that hold 50% and 90% of the diffusion model's futures, and the simulator's.

    Args:
      path: of the PNG.
      field: whose rows they are.
      ensembles: name -> [M, N, *shape]; "simulator" and "diffusion" are among them.
      rows: [N, *shape], the truth.
    """
    figure = Figure(figsize=(11, 2.7), layout="constrained")
    *places, last = figure.subplots(1, EXAMPLES + 1)
    total = {name: field.seen(field.allowed(e)).sum(-1) for name, e in ensembles.items()}
    truth, times, now = field.seen(rows).sum(-1), np.arange(field.times), field.known
    for axes, row in zip(places, range(EXAMPLES), strict=True):
        own, bound = (total[name][:, row, now - 1 :] for name in ("diffusion", "simulator"))
        for share, alpha in ((0.9, 0.25), (0.5, 0.4)):
            ends = (0.5 - share / 2, 0.5 + share / 2)
            low, high = np.quantile(own, ends, axis=0, method="weibull")
            axes.fill_between(times[now - 1 :], low, high, color="C0", alpha=alpha, linewidth=0)
        for end in np.quantile(bound, (0.05, 0.95), axis=0, method="weibull"):
            axes.plot(times[now - 1 :], end, "--", color="C1", linewidth=1)
        axes.plot(times, truth[row], "k", linewidth=1.5)
        axes.axvline(now - 1, color="0.6", linewidth=0.8)
        axes.set_xlabel("time")
    places[0].set_title(field.title, fontsize="medium", loc="left")
    for name, ensemble in ensembles.items():
        error = crps(field.seen(field.allowed(ensemble))[:, :, now:], field.seen(rows)[:, now:])
        last.plot(times[now:], error.mean((0, 2)), label=name)
    last.set_title(f"CRPS, {field.unit}", fontsize="medium", loc="left")
    last.set_xlabel("time")
    last.legend(fontsize="x-small")
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=72)
