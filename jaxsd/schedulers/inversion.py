"""Tables run backwards: from a picture to the noise that leads to it."""

import numpy as np

from jaxsd.schedulers.tableau import Tableau, blank


def inverted(tableau: Tableau) -> Tableau:
    """The table that leads from the end of another one back to its beginning; float32.

    It begins with a picture, in both samples, and ends with those that the other one begins with.

    Raises:
      ValueError: in one line, for a method that adds noise or that looks further back.
    """
    t = Tableau(*(np.asarray(field, np.float64) for field in tableau))
    plain = not t.noise.any() and not t.history[:, :, 1:].any() and (t.keep == [0, 1]).all()
    on_z, on_before = t.samples[:, 0, 0], t.samples[:, 0, 1]
    if plain and not on_before.any() and np.allclose(on_z, t.sigma[1:] / t.sigma[:-1]):
        return _float32(_estimated(t))
    if plain and on_before.all() and (t.samples[:, 1] == [1, 0]).all():
        return _float32(_exact(t))
    raise ValueError("only ddim (with eta 0), euler and bdia lead back to a picture's noise")


def there_and_back(tableau: Tableau) -> Tableau:
    """The rows of `inverted`, and after them those of the table itself; float32.

    Raises:
      ValueError: see `inverted`.
    """
    there = inverted(tableau)
    rows = [np.concatenate(pair) for pair in zip(there[:-3], tableau[:-3], strict=True)]
    levels = [np.append(a[:-1], b) for a, b in zip(there[-3:-1], tableau[-3:-1], strict=True)]
    return _float32(Tableau(*rows, *levels, there.start))


def trace_weights(back: Tableau) -> tuple[np.ndarray, float]:
    """What makes a log-density of divergences along a table of `inverted`, that of `bdia`.

    With alpha = cos(phi) and sigma = sin(phi) the probability flow is dz/dphi = v (Salimans and Ho
    2022), so log p(z) at the picture is that at the noise plus the integral of tr(dv/dz) (Song et
    al. 2021, equation 39). It is the trapezoidal rule over the rows, whose levels are those of
    their calls but in the first row; where there is no noise the trace is 0.

    Returns:
      [S] float32 weights of the trace of the network's own derivative, and the weight of a 1 for
      each value of the picture.
    """
    t = Tableau(*(np.asarray(field, np.float64) for field in back))
    size = np.hypot(t.alpha, t.sigma)
    phi = np.arctan2(t.sigma, t.alpha)[:-1]
    weight = np.zeros(t.rows)
    step = np.diff(phi)
    weight[1:] = np.append(step[1:], 0) / 2
    weight[2:] += step[1:] / 2
    weight[1] += step[0] / 2 * (1 + phi[0] / phi[1])
    alpha, sigma, size = t.alpha[1:-1] / size[1:-1], t.sigma[1:-1] / size[1:-1], size[1:-1]
    of_network = weight[1:] * -t.c_out[1:] * t.c_in[1:] * size / sigma
    of_one = weight[1:] * (alpha - t.c_skip[1:] * size) / sigma
    return np.float32(np.append(0, of_network)), float(of_one.sum())


def _estimated(t: Tableau) -> Tableau:
    """DDIM inversion (Dhariwal and Nichol 2021, appendix F), right for many rows.

    A row z = A*z' + H*x0, with x0 = c_skip*z' + c_out*output, is solved for z', the noisier sample,
    as if the network gave the same output for z, at the timestep of z'. For z it gives
    c_skip*z + c_out*output, so z' = ((1 + H*c_skip)*z - H*that)/(A + H*c_skip). A prediction of x0
    itself is taken as v, which is also right where z has no noise.
    """
    size = np.hypot(t.alpha, t.sigma)
    on_z = t.sigma[1:] / t.sigma[:-1]
    on_x0 = t.alpha[1:] - on_z * t.alpha[:-1]
    skip = np.where(t.c_skip == 0, t.alpha[:-1] / size[:-1] ** 2, t.c_skip)
    rows = blank(t.rows)
    rows.samples[:, :, 0] = ((1 + on_x0 * skip) / (on_z + on_x0 * skip))[:, None]
    rows.history[:, :, 0] = (-on_x0 / (on_z + on_x0 * skip))[:, None]
    calls = t._replace(c_in=t.c_in * size[:-1] / size[1:])[:5]
    return Tableau(*(a[::-1] for a in (*calls, *rows, t.alpha, t.sigma)), np.array([1.0, 0.0]))


def _exact(t: Tableau) -> Tableau:
    """The rows of `bdia`, each solved for the sample two before: the network sees what it saw.

    One picture is not two samples. DDIM inversion makes the other, so there is one row more.
    """
    rows = blank(t.rows)
    rows.samples[:, 0, 0] = -t.samples[:, 0, 0] / t.samples[:, 0, 1]
    rows.samples[:, 0, 1] = 1 / t.samples[:, 0, 1]
    rows.history[:, 0, 0] = -t.history[:, 0, 0] / t.samples[:, 0, 1]
    rows.samples[:, 1, 0] = 1
    for field in rows[:2]:
        field[0] = field[0, ::-1].copy()  # the last row: the newer sample comes first again
    first = [field[:1].copy() for field in _estimated(t)[:8]]
    first[5][:, 1], first[6][:, 1] = [1, 0], 0
    later = [a[::-1] for a in (*t[:5], *rows)]
    fields = [np.concatenate(pair) for pair in zip(first, later, strict=True)]
    levels = [np.append(level[::-1], level[0]) for level in (t.alpha, t.sigma)]
    return Tableau(*fields, *levels, np.array([1.0, 0.0]))


def _float32(tableau: Tableau) -> Tableau:
    return Tableau(*(np.asarray(field, np.float32) for field in tableau))
