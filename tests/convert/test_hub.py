"""Which files of a hub repository are fetched, and what happens without a network."""

from types import SimpleNamespace

import huggingface_hub
import pytest

from jaxsd import convert
from jaxsd.convert.files.hub import is_hub_id, wanted

# The files of stable-diffusion-v1-5 on the hub, most of which nobody needs.
REPOSITORY = {
    "": "README.md model_index.json v1-5-pruned.ckpt v1-5-pruned.safetensors v1-inference.yaml",
    "feature_extractor/": "preprocessor_config.json",
    "safety_checker/": "config.json model.safetensors pytorch_model.bin",
    "scheduler/": "scheduler_config.json",
    "text_encoder/": "config.json model.fp16.safetensors model.safetensors pytorch_model.bin",
    "tokenizer/": "merges.txt special_tokens_map.json tokenizer_config.json vocab.json",
    "unet/": "config.json diffusion_pytorch_model.bin diffusion_pytorch_model.fp16.safetensors "
    "diffusion_pytorch_model.non_ema.safetensors diffusion_pytorch_model.safetensors",
    "vae/": "config.json diffusion_pytorch_model.bin diffusion_pytorch_model.fp16.bin",
}
NEEDED = {
    "": "model_index.json",
    "scheduler/": "scheduler_config.json",
    "text_encoder/": "config.json model.safetensors",
    "tokenizer/": "merges.txt special_tokens_map.json tokenizer_config.json vocab.json",
    "unet/": "config.json diffusion_pytorch_model.safetensors",
    "vae/": "config.json diffusion_pytorch_model.bin",
}


def files(folders):
    return [folder + name for folder, names in folders.items() for name in names.split()]


def test_only_what_will_be_read():
    assert sorted(wanted(files(REPOSITORY))) == sorted(files(NEEDED))


@pytest.mark.parametrize(
    ("index", "shards"),
    [
        ("m.safetensors.index.json", ["m-00001-of-00002.safetensors"]),
        ("m.safetensors.index.fp16.json", ["m.fp16-00001-of-00002.safetensors"]),
        ("m.fp16.safetensors.index.json", ["m.fp16-00001-of-00002.safetensors"]),
        ("m.bin.index.json", ["m-00001-of-00002.bin"]),
    ],
)
def test_shards_of_the_index(index, shards):
    m = "diffusion_pytorch_model"
    every = [
        f"unet/{m}{variant}-00001-of-00002.{suffix}"
        for variant in ("", ".fp16", ".non_ema")
        for suffix in ("safetensors", "bin")
    ]
    index = f"unet/{index.replace('m', m, 1)}"
    shards = [f"unet/{shard.replace('m', m, 1)}" for shard in shards]
    assert wanted([index, *every]) == [index, *shards]


def test_what_looks_like_an_id():
    assert is_hub_id("stabilityai/stable-diffusion-2-1")
    for source in ("model", "/home/model", "a/b/c", "./model", "a/b.safetensors", "a/b.ckpt", "a/"):
        assert not is_hub_id(source)


@pytest.fixture
def no_network(monkeypatch):
    def fail(*args, **options):
        raise OSError("Name or service not known\nRetry")

    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", fail)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)


@pytest.mark.usefixtures("no_network")
def test_without_a_network():
    with pytest.raises(ValueError, match="could not be fetched") as caught:
        convert.read("owner/name")
    assert str(caught.value) == (
        "owner/name is no file or folder here, and could not be fetched from the hub: "
        "Name or service not known"
    )


@pytest.mark.usefixtures("no_network")
def test_the_cache_is_enough(monkeypatch, tmp_path):
    asked = {}

    def cached(source, **options):
        asked[source] = options
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", cached)
    with pytest.raises(ValueError, match=r"has no model_index\.json"):
        convert.read("owner/name")
    assert asked == {"owner/name": {"local_files_only": True}}


def test_files_are_named_to_the_hub(monkeypatch, tmp_path):
    asked = []
    siblings = [SimpleNamespace(rfilename=name) for name in files(REPOSITORY)]
    monkeypatch.setattr(
        huggingface_hub.HfApi, "model_info", lambda api, source: SimpleNamespace(siblings=siblings)
    )
    monkeypatch.setattr(
        huggingface_hub,
        "snapshot_download",
        lambda source, allow_patterns: asked.append(sorted(allow_patterns)) or str(tmp_path),
    )
    with pytest.raises(ValueError, match=r"has no model_index\.json"):
        convert.read("owner/name")
    assert asked == [sorted(files(NEEDED))]


def test_a_repository_of_something_else(monkeypatch):
    siblings = [SimpleNamespace(rfilename="README.md")]
    monkeypatch.setattr(
        huggingface_hub.HfApi, "model_info", lambda api, source: SimpleNamespace(siblings=siblings)
    )
    with pytest.raises(ValueError, match="owner/name on the hub is not a diffusers repository"):
        convert.read("owner/name")
