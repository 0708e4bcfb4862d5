"""Records what scikit-learn's KernelPCA and pydiffmap make of some points.

In an environment with `scikit-learn` and `pydiffmap`:

    python tools/record_diffusion_map_goldens.py --output tests/goldens/diffusion_map.npz
"""

from collections.abc import Sequence
from importlib.metadata import version

import numpy as np
from absl import app, flags
from pydiffmap.diffusion_map import DiffusionMap
from sklearn.decomposition import KernelPCA

OUTPUT = flags.DEFINE_string("output", "tests/goldens/diffusion_map.npz", "File to write.")
GAMMA, EPSILON, ALPHA, COMPONENTS = 0.2, 0.6, 0.7, 5


def main(_: Sequence[str]) -> None:
    """Writes the file."""
    rng = np.random.default_rng(0)
    points, others = rng.standard_normal((60, 5)), rng.standard_normal((20, 5))
    pca = KernelPCA(COMPONENTS, kernel="rbf", gamma=GAMMA, eigen_solver="dense").fit(points)
    settings = {"n_evecs": COMPONENTS, "k": 60, "epsilon": EPSILON, "alpha": ALPHA}
    walk = DiffusionMap.from_sklearn(**settings).fit(points)
    np.savez_compressed(
        OUTPUT.value,
        points=points,
        others=others,
        gamma=GAMMA,
        pca_points=pca.transform(points),
        pca_others=pca.transform(others),
        pca_eigenvalues=pca.eigenvalues_,
        epsilon=EPSILON,
        alpha=ALPHA,
        walk_eigenvalues=walk.evals,
        walk_functions=walk.evecs,
        versions=f"scikit-learn {version('scikit-learn')}, pydiffmap {version('pydiffmap')}",
    )


if __name__ == "__main__":
    app.run(main)
