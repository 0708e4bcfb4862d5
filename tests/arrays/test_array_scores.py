"""Scores of ensembles, against closed forms and slow sums."""

import math

import numpy as np

from jaxsd.arrays.scores import coverage, crps, energy_score


def test_crps_of_a_gaussian_is_its_closed_form() -> None:
    """Gneiting and Raftery 2007, below equation 21."""
    truth = np.array([-1.0, 0.0, 2.5])
    ensemble = 3 + 2 * np.random.default_rng(0).standard_normal((200_000, 1))
    z = (truth - 3) / 2
    above = np.array([math.erf(a / math.sqrt(2)) for a in z])  # 2 Phi - 1
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    wanted = 2 * (z * above + 2 * density - 1 / math.sqrt(math.pi))
    # The standard error of 200,000 members is 2 / sqrt(200,000).
    np.testing.assert_allclose(crps(np.repeat(ensemble, 3, axis=1), truth), wanted, atol=0.02)


def test_small_ensembles_have_the_score_of_their_distribution_on_average() -> None:
    rng = np.random.default_rng(1)
    truth = np.full(20_000, 0.7)
    few, many = (crps(rng.standard_normal((n, 20_000)), truth) for n in (2, 20))
    assert abs(few.mean() - many.mean()) < 4 * few.std() / math.sqrt(20_000)


def test_scores_are_the_sums_of_their_equations() -> None:
    rng = np.random.default_rng(2)
    ensemble, truth = rng.standard_normal((5, 3, 4)), rng.standard_normal((3, 4))
    pairs = [(a, b) for a in range(5) for b in range(5) if a != b]
    for row in range(3):
        members = ensemble[:, row]
        near = np.mean([np.linalg.norm(one - truth[row]) for one in members])
        apart = np.mean([np.linalg.norm(members[a] - members[b]) for a, b in pairs])
        np.testing.assert_allclose(energy_score(ensemble, truth)[row], near - apart / 2)
    # Of vectors of one number it is the CRPS.
    alone = energy_score(ensemble.reshape(5, 12, 1), truth.reshape(12, 1))
    np.testing.assert_allclose(crps(ensemble, truth).ravel(), alone, rtol=1e-12)


def test_a_wider_or_moved_forecast_scores_worse() -> None:
    rng = np.random.default_rng(3)
    truth, own = rng.standard_normal(20_000), rng.standard_normal((20, 20_000))
    best = crps(own, truth).mean()
    assert best < crps(1.5 * own, truth).mean()
    assert best < crps(0.5 * own, truth).mean()
    assert best < crps(own + 0.5, truth).mean()


def test_intervals_of_the_true_distribution_cover_their_share() -> None:
    rng = np.random.default_rng(4)
    truth, own = rng.gamma(2.0, size=20_000), rng.gamma(2.0, size=(19, 20_000))
    for share in (0.5, 0.9):  # their ends are ordered members: 5th and 15th, 1st and 19th of 19
        error = math.sqrt(share * (1 - share) / 20_000)
        assert abs(coverage(own, truth, share) - share) < 4 * error
    assert coverage(0.5 * own, truth, 0.9) < 0.8
