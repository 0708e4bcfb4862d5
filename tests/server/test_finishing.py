import base64
import io
from dataclasses import replace
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from tiny_models import TINY

from jaxsd.images import picture_texts
from jaxsd.provenance import _MIME, MADE, MADE_OF
from jaxsd.server.finishing import Finishing, Unfit
from jaxsd.server.jobs import FORMATS
from jaxsd.server.served import served_recipe
from jaxsd.settings import Settings, checked


def checker(image):
    """Finds odd colours unfit; the fake draws in the colour of the seed."""
    return SimpleNamespace(reason="concept 3 0.010" if image[0, 0, 0] % 2 else "")


class Signer:
    def signed(self, packed, name, source):
        self.told = name, source
        return b"signed " + packed


def test_files_are_signed_by_what_they_were_made_of():
    signer, image = Signer(), np.zeros((8, 8, 3), np.uint8)
    finishing = Finishing(signer=signer)
    settings = checked(Settings(prompt="a", steps=2), TINY["sd1"])
    recipe = replace(served_recipe("m", "float32"), settings=settings)
    for name, written in FORMATS.items():
        packed = finishing.file(image, recipe, written)
        assert packed == b"signed " + Finishing().file(image, recipe, written)
        assert signer.told == (f"picture.{name}", MADE)
        assert name in _MIME
    texts = picture_texts(io.BytesIO(Finishing().file(image, recipe, FORMATS["png"], "float32")))
    assert texts["jaxsd decoded in"] == "float32"
    begun = replace(recipe, settings=replace(settings, image="a.png"))
    finishing.file(image, begun, FORMATS["png"])
    assert signer.told == ("picture.png", MADE_OF)
    with pytest.raises(Unfit, match="finds concept 3"):
        Finishing(checker).file(image + 1, recipe, FORMATS["png"])


def test_nobody_gets_what_a_checker_refuses_nor_previews(server):
    server.service.finishing = Finishing(checker)
    asked = {"prompt": "a", "size": "64x64", "steps": 3}
    with httpx.Client(base_url=server.url) as client:
        answer = client.post("/v1/images/generations", json=asked | {"seed": 7})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "content_policy_violation"
        fit = client.post("/v1/images/generations", json=asked | {"seed": 8})
        assert base64.b64decode(fit.json()["data"][0]["b64_json"]).startswith(b"\x89PNG")
        streamed = {"seed": 7, "stream": True, "partial_images": 2}
        told = client.post("/v1/images/generations", json=asked | streamed).text
        assert "partial_image" not in told
        assert "content_policy_violation" in told
        id = client.post("/jaxsd/v1/jobs", json=asked | {"seed": 7}).json()["id"]
        events = client.get(f"/jaxsd/v1/jobs/{id}/events", params={"preview": True}).text
        assert "event: preview" not in events
        assert "event: failed" in events
        webui = {"prompt": "a", "width": 64, "height": 64, "steps": 3, "seed": 7}
        assert client.post("/sdapi/v1/txt2img", json=webui).status_code == 400
