"""What tests of several commands share: a tiny model on disk."""

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_models import TINY, pipeline_params

from jaxsd.config import Level
from jaxsd.convert import write_diffusers
from jaxsd.text import Tokenizer, clip_vocabulary, vocabulary_of


@pytest.fixture(scope="package")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of one level, which compiles in a few seconds."""
    vocabulary = vocabulary_of(clip_vocabulary().merges[:100])
    emoji = TINY["emoji"]
    text = replace(emoji.text[0], vocab_size=614, pad_token=613, layers=1)
    spec = replace(
        emoji,
        unet=replace(emoji.unet, levels=(Level(32, 1, 0, 2), Level(32, 1, 0, 2))),
        vae=replace(emoji.vae, channels=(8, 16)),
        text=(text,),
        schedule=replace(emoji.schedule, timestep_spacing="leading"),
    )
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tokenizer = Tokenizer(vocabulary, text.max_length, text.pad_token)
    write_diffusers(folder, spec, pipeline_params(spec), tokenizers=[tokenizer])
    return folder
