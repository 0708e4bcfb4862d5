"""Draws with all features on a mesh of eight devices; prints how far that is from one, as JSON."""

import json

import jax
import numpy as np
from feature_cases import Asked, all_at_once
from tiny_models import relative_error

from jaxsd.parallel import mesh_of, place_param, share
from jaxsd.parallel.sharing import path_name
from jaxsd.sampling.program import decode, denoise, draw, encode


def on_mesh(asked: Asked, shape: tuple[int, int, int]) -> Asked:
    mesh = mesh_of(shape, jax.devices())
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: place_param(mesh, path_name(path), leaf), asked.params
    )
    keys = jax.random.wrap_key_data(share(jax.random.key_data(asked.given.keys), mesh))
    given = share(asked.given._replace(keys=None), mesh)._replace(keys=keys)
    networks = asked.networks._replace(mesh=mesh)
    return Asked(networks, params, given, share(asked.runs, mesh, axis=1))


def in_parts(asked: Asked) -> np.ndarray:
    """By three programs."""
    networks, params, given, [run] = asked
    conditions, state = encode(networks, params, given)
    state = state._replace(memory={})
    state, _ = denoise(networks, params, run, conditions, state, given.keys)
    return np.asarray(decode(networks, params, state.samples[:, 0]))


def main() -> None:
    assert jax.device_count() == 8
    asked = all_at_once(8)
    alone = draw(*asked).images
    print(json.dumps(relative_error(in_parts(on_mesh(asked, (2, 2, 2))), alone)))


if __name__ == "__main__":
    main()
