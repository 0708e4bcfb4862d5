"""What a Python caller gives is checked before anything is drawn."""

from typing import Any

import numpy as np
import pytest

from jaxsd.families import FAMILIES
from jaxsd.pipeline.requests import request_of


@pytest.mark.parametrize(
    ("prompt", "options", "why"),
    [
        ({"a": 1}, {}, r"prompt is \{'a': 1\}, it must be a text, or several"),
        (["\ud83d"], {}, "is not valid UTF-8 text"),
        ("a", {"image": 3}, "image is 3, it must be an array or several"),
        ("a", {"control_images": 3}, "control_images is 3, it must be an array or several"),
        ("a", {"pictures": {}}, r"pictures is \{\}, it must be an array or several"),
        (
            "a",
            {"image": [np.zeros((8, 8, 3), np.uint8)] * 2},
            "has 2 pictures for 1 images; give 1",
        ),
        ("a", {"num_images": 10**18}, "at most 1048576 are possible in a call"),
    ],
)
def test_what_is_no_request_is_one_line(prompt: Any, options: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        request_of(FAMILIES["sd1"], prompt, options)
