"""Scores beside those of properscoring."""

import numpy as np
import pytest

pytest.importorskip("torch")
properscoring = pytest.importorskip("properscoring")

from jaxsd.arrays.scores import crps


@pytest.mark.parity
def test_crps_is_that_of_properscoring_but_for_the_pairs() -> None:
    """There a member is paired with itself too, so its mean over pairs is (M - 1) / M as large."""
    rng = np.random.default_rng(0)
    ensemble, truth = rng.standard_normal((7, 50)), rng.standard_normal(50)
    near = np.abs(ensemble - truth).mean(0)
    theirs = properscoring.crps_ensemble(truth, ensemble, axis=0)
    np.testing.assert_allclose(crps(ensemble, truth), near - 7 / 6 * (near - theirs), rtol=1e-9)
