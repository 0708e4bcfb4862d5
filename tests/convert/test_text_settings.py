"""Where a prompt ends, in config.json."""

from dataclasses import replace

import pytest

from jaxsd.convert.diffusers.text_settings import text_config, text_settings
from jaxsd.families import CLIP_L, OPENCLIP_BIGG


@pytest.mark.parametrize("config", [CLIP_L, replace(OPENCLIP_BIGG, pad_token=49407)])
@pytest.mark.parametrize("added", [0, 3])
def test_the_end_is_before_added_tokens(config, added):
    config = replace(config, vocab_size=49408 + added, added_tokens=added)
    settings = text_settings(config)
    assert (settings["bos_token_id"], settings["eos_token_id"]) == (49406, 49407)
    projected = config.projection_dim is not None
    layer = config.hidden_layer
    assert text_config(settings, projected=projected, hidden_layer=layer, where="x") == config


def test_an_end_that_is_no_token():
    settings = text_settings(OPENCLIP_BIGG)
    options = {"projected": True, "hidden_layer": -2, "where": "x"}
    # All early configs say 2, by mistake, and mean the highest id.
    assert text_config(settings | {"eos_token_id": 2}, **options).added_tokens == 0
    for end in (0, 49408, None, "last"):
        with pytest.raises(ValueError, match=r"x: eos_token_id = .* only 2 or an id up to"):
            text_config(settings | {"eos_token_id": end}, **options)
