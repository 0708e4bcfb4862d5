"""Signed pictures, as c2pa-python itself reads them."""

import datetime
import io
import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from bulk_models import tiny_model

from jaxsd.bulk.artist import PipelineArtist
from jaxsd.bulk.config import BulkConfig
from jaxsd.bulk.drawing import written_end
from jaxsd.bulk.store import Store
from jaxsd.bulk.work import checked_work, described
from jaxsd.executables import IN_MEMORY
from jaxsd.images import picture_texts, png_bytes, read_image
from jaxsd.metadata import about_picture
from jaxsd.outputs import saved
from jaxsd.provenance import MADE, MADE_OF, Signer
from jaxsd.settings import Recipe, Settings
from jaxsd.webui import read_recipe

c2pa = pytest.importorskip("c2pa")
x509 = pytest.importorskip("cryptography.x509")
hashes = pytest.importorskip("cryptography.hazmat.primitives.hashes")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
ec = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ec")
ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")

IMAGE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
MIME = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
PURPOSES = "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
PURPOSES = f"{PURPOSES} key_cert_sign crl_sign encipher_only decipher_only".split()


def certificate(name, key, by=None, by_key=None):
    """A certificate as C2PA wants it, signed by another one or, as a root, by itself."""
    named = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Example"),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, name),
        ]
    )
    used = "digital_signature" if by else "key_cert_sign"
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder(by.subject if by else named, named, key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(1))
        .not_valid_after(now + datetime.timedelta(1))
        .add_extension(x509.BasicConstraints(by is None, None), True)
        .add_extension(x509.KeyUsage(**{one: one == used for one in PURPOSES}), True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key((by_key or key).public_key()), False
        )
    )
    if by:
        purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
        made = made.add_extension(purpose, True)
    return made.sign(by_key or key, hashes.SHA256())


def written(folder, key, password=None):
    """Files of the chain for a key, and of the key."""
    root_key = ec.generate_private_key(ec.SECP256R1())
    root = certificate("Root", root_key)
    chain = (certificate("Signer", key, root, root_key), root)
    form = serialization.PrivateFormat.TraditionalOpenSSL
    if isinstance(key, ed25519.Ed25519PrivateKey):
        form = serialization.PrivateFormat.PKCS8
    hidden = serialization.BestAvailableEncryption(password) if password else None
    packed = key.private_bytes(
        serialization.Encoding.PEM, form, hidden or serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(packed)
    pem = [one.public_bytes(serialization.Encoding.PEM) for one in chain]
    (folder / "chain.pem").write_bytes(b"".join(pem))
    (folder / "root.pem").write_bytes(pem[1])
    return folder / "chain.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return written(tmp_path_factory.mktemp("keys"), ec.generate_private_key(ec.SECP256R1()))


def checked(path: Path, root: Path) -> dict:
    """What c2pa-python says of a file, when it trusts a root."""
    trust = {"verify": {"verify_trust": True}, "trust": {"user_anchors": root.read_text()}}
    context = c2pa.Context(c2pa.Settings.from_dict(trust))
    packed = io.BytesIO(path.read_bytes())
    return json.loads(c2pa.Reader(MIME[path.suffix[1:]], packed, context=context).json())


@pytest.mark.parametrize("kind", MIME)
@pytest.mark.parametrize(("picture", "source"), [("", MADE), ("a.png", MADE_OF)])
def test_a_signed_picture_is_valid_and_keeps_its_recipe(tmp_path, files, kind, picture, source):
    options = {"sampler": "ddim", "steps": 2, "guidance_scale": 3.0, "width": 40, "height": 24}
    recipe = Recipe(Settings("a cat", image=picture, strength=0.5, **options), "m", "float32", "1")
    path = tmp_path / f"cat.{kind}"
    (plain,) = saved([tmp_path / f"plain.{kind}"], None, [IMAGE], [recipe])
    list(saved([path], None, [IMAGE], [recipe], Signer(*files)))
    store = checked(path, files[0].with_name("root.pem"))
    assert store["validation_state"] == "Trusted"
    assert "validation_status" not in store
    manifest = store["manifests"][store["active_manifest"]]
    action = {"action": "c2pa.created", "digitalSourceType": source}
    assert manifest["assertions"][0]["data"] == {"actions": [action]}
    assert manifest["title"] == path.name
    np.testing.assert_array_equal(read_image(path), read_image(plain))
    assert picture_texts(path) == picture_texts(plain)
    assert read_recipe(path) == recipe
    said = dict(about_picture(path))
    assert said["signed"] == ("by Signer, Example, unchanged since; who that is was not verified")
    assert "signed" not in dict(about_picture(plain))


def test_a_changed_pixel_or_text_is_found(tmp_path, files):
    signed = Signer(*files).signed(png_bytes(IMAGE, {"parameters": "a cat"}), "a.png")
    for place in (signed.index(b"IDAT") + 9, signed.index(b"a cat")):
        broken = bytearray(signed)
        broken[place] ^= 1
        path = tmp_path / "a.png"
        path.write_bytes(broken)
        assert checked(path, files[0].with_name("root.pem"))["validation_state"] == "Invalid"
        said = "by Signer, Example, but it does not hold: assertion.dataHash.mismatch"
        assert dict(about_picture(path))["signed"].startswith(said)


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "P-521", "Ed25519", "RSA"],
)
def test_other_keys_sign_too(tmp_path, key):
    files = written(tmp_path, key)
    (tmp_path / "a.png").write_bytes(Signer(*files).signed(png_bytes(IMAGE), "a.png"))
    store = checked(tmp_path / "a.png", tmp_path / "root.pem")
    assert store["validation_state"] == "Trusted"


def test_what_can_not_sign_is_refused_in_one_line(tmp_path, files):
    chain, key = files
    other = written(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ValueError, match=r"chain.pem with .*key.pem can not sign: .*match"):
        Signer(chain, other[1])
    with pytest.raises(ValueError, match=r"root.pem .*self-signed; C2PA wants"):
        Signer(chain.with_name("root.pem"), key)
    with pytest.raises(ValueError, match=r"key.pem has no certificate in PEM"):
        Signer(key, key)
    with pytest.raises(ValueError, match=r"chain.pem has no private key in PEM"):
        Signer(chain, chain)
    written(tmp_path, ec.generate_private_key(ec.SECP256R1()), b"secret")
    with pytest.raises(ValueError, match=r"key.pem has a password; openssl"):
        Signer(*other)
    written(tmp_path, ec.generate_private_key(ec.SECP256K1()))
    with pytest.raises(ValueError, match=r"key of secp256k1; C2PA signs with P-256"):
        Signer(*other)
    with pytest.raises(FileNotFoundError):
        Signer(chain, tmp_path / "none.pem")


def test_without_the_package_the_line_says_what_to_install(files, monkeypatch):
    monkeypatch.setitem(sys.modules, "c2pa", None)
    with pytest.raises(ValueError, match=r"pip install 'jaxsd\[c2pa\]'"):
        Signer(*files)


def test_a_bulk_run_signs_every_picture_and_the_sheet(tmp_path, files):
    """Its artist encodes in threads; what it drew does not matter here."""
    (tmp_path / "rows.txt").write_text("a cat\na dog\n")
    said = {"model": str(tiny_model(tmp_path / "model")), "rows": str(tmp_path / "rows.txt")}
    config = BulkConfig(output=str(tmp_path / "out"), c2pa=tuple(map(str, files)), **said)
    work = checked_work(config, skip_bad_rows=False, say=print)
    assert described(work)["signed"]
    artist = PipelineArtist(work, "hash", IN_MEMORY)
    with ThreadPoolExecutor(2) as pool:
        packed = list(pool.map(lambda row: artist.encode(row, {}, IMAGE), work.rows))
    size = {"status": "drawn", "width": 40, "height": 24}
    records = [artist.describe(row, {}) | size for row in work.rows]
    store = Store(tmp_path / "out", "folder", "png", work.units)
    ids = [row.id for row in work.rows]
    store.commit(work.units[0], records, dict(zip(ids, packed, strict=True)))
    store.finish(0)
    assert written_end(store, work) == tmp_path / "out/manifest.jsonl"
    pictures = sorted((tmp_path / "out/images/00000").iterdir())
    assert len(pictures) == 2
    for path in (*pictures, tmp_path / "out/contact_sheet.png"):
        assert checked(path, files[0].with_name("root.pem"))["validation_state"] == "Trusted"
        assert read_image(path).shape[2] == 3
    np.testing.assert_array_equal(read_image(pictures[0]), IMAGE)
    assert read_recipe(pictures[1]).settings == work.rows[1].settings


def test_a_bulk_run_is_given_both_files():
    with pytest.raises(ValueError, match=r"c2pa is 1 files; give two, .* \[\"chain.pem\", \"key"):
        BulkConfig(output="out", rows="rows.txt", c2pa=("chain.pem",))
