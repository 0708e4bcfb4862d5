"""Models that are served, before their weights are read."""

import pytest

from jaxsd.convert import open_model
from jaxsd.convert.reading import Reading
from jaxsd.executables import Executables
from jaxsd.server.models import Wanted, served


@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_any_dtype_of_generate_can_be_served(dtype: str) -> None:
    wanted = Wanted({"dtype": dtype, "taesd": None}, Reading(), 1, 1, Executables(), print)
    model = served("own", "emoji", open_model("emoji"), wanted, {}, {}, {})
    assert model.recipe.dtype == dtype
    assert model.size > 10_000_000
    refined = served("own", "emoji", open_model("emoji"), wanted, {}, {}, {"fine": "emoji"})
    assert refined.refiners == ("fine",)
    assert 1.5 * model.size < refined.size < 2 * model.size, "the autoencoder is shared"
