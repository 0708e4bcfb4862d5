"""Content Credentials: pictures signed as made by a model (C2PA, https://c2pa.org).

A manifest in the file says what the picture is, and has hashes of the file's other bytes. Its
signature shows who says so, and that no pixel and no text was changed since. c2pa-python (extra
[c2pa]) makes and reads it.
"""

import io
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import jaxsd
from jaxsd.images import png_bytes
from jaxsd.text_files import bytes_in

MADE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's name for what a model made."""
MADE_OF = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
"""The same for what a model made of another picture."""
CURVES = {"secp256r1": b"es256", "secp384r1": b"es384", "secp521r1": b"es512"}
"""Curve of a key -> C2PA's name for signatures with it."""
UNKNOWN = "signingCredential.untrusted"
"""C2PA's word for a certificate that no list of trusted ones leads to; we have no list."""

_MIME = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg", "jpeg": "image/jpeg"}
# A thumbnail would be larger than most pictures; a manifest elsewhere needs a network.
_OPTIONS = {
    "builder": {"thumbnail": {"enabled": False}},
    "verify": {"remote_manifest_fetch": False},
}


class Signer:
    """A certificate with its key, which signs files of pictures."""

    def __init__(self, certificates: Path, key: Path):
        """Reads both files, and tries them.

        Args:
          certificates: the signer's, and behind it those that lead to a root (PEM).
          key: the private key of the first one, without a password (PEM); on a curve of `CURVES`,
            of Ed25519 or of RSA.

        Raises:
          ValueError: no certificates or no key of these kinds, or that do not belong together, or
            that C2PA does not allow; or c2pa-python is not installed.
          OSError: a file can not be read.
        """
        c2pa = _c2pa()
        chain = bytes_in(certificates)
        if b"-----BEGIN CERTIFICATE-----" not in chain:
            raise ValueError(f"{certificates} has no certificate in PEM")
        algorithm, packed = _key(key)
        info = c2pa.C2paSignerInfo(algorithm, chain, packed, None)
        try:
            self._signer = c2pa.Signer.from_info(info)
            self.signed(png_bytes(np.zeros((1, 1, 3), np.uint8)), "trial.png")
        except c2pa.C2paError as error:
            raise ValueError(
                f"{certificates} with {key} can not sign: {error}; C2PA wants a certificate that "
                "another one signed, for digital signatures (key usage) and for e-mail protection "
                "(extended key usage)"
            ) from None

    def signed(self, packed: bytes, name: str, source: str = MADE) -> bytes:
        """A picture file with a manifest; pixels and texts stay as they are.

        Args:
          packed: the file.
          name: of the file, whose ending is .png, .webp, .jpg or .jpeg.
          source: `MADE`, or `MADE_OF` where the picture began from another.
        """
        c2pa, signed = _c2pa(), io.BytesIO()
        action = {"action": "c2pa.created", "digitalSourceType": source}
        manifest = {
            "claim_generator_info": [{"name": "jaxsd", "version": jaxsd.__version__}],
            "title": name,
            "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": [action]}}],
        }
        builder = c2pa.Builder(manifest, _context(c2pa))
        builder.sign(self._signer, _mime(name), io.BytesIO(packed), signed)
        return signed.getvalue()


def signature_of(path: Path) -> str | None:
    """What the manifest of a picture says, and whether it still holds; None without a manifest.

    Raises:
      OSError: the file can not be read.
    """
    packed = path.read_bytes()
    if b"c2pa.claim" not in packed or _ending(path.name) not in _MIME:
        return None
    try:
        c2pa = _c2pa()
    except ValueError as error:
        return f"yes; {error}"
    try:
        read = c2pa.Reader(_mime(path.name), io.BytesIO(packed), context=_context(c2pa))
        return _told(json.loads(read.json()))
    except (c2pa.C2paError, ValueError, LookupError, TypeError, AttributeError) as error:
        return f"can not be read: {error}"


def _told(store: dict[str, Any]) -> str:
    manifest = store["manifests"][store["active_manifest"]]
    by = manifest.get("signature_info", {})
    who = ", ".join(by[name] for name in ("common_name", "issuer") if by.get(name)) or "nobody"
    if store.get("validation_state") == "Invalid":
        problems = {one["code"] for one in store["validation_status"]} - {UNKNOWN}
        return f"by {who}, but it does not hold: {', '.join(sorted(problems))}"
    return f"by {who}, unchanged since; who that is was not verified"


def _key(path: Path) -> tuple[bytes, bytes]:
    """C2PA's name of a key's algorithm, and the key in the one form that c2pa-python reads."""
    from cryptography.hazmat.primitives import serialization as forms  # c2pa-python needs it

    packed = bytes_in(path)
    try:
        key = forms.load_pem_private_key(packed, None)
    except TypeError:
        raise ValueError(
            f"the key in {path} has a password; openssl pkey -in {path} -out PLAIN.pem takes it off"
        ) from None
    except ValueError:
        raise ValueError(f"{path} has no private key in PEM") from None
    kind = type(key).__name__
    curve = getattr(getattr(key, "curve", None), "name", "")
    algorithm = {"Ed25519PrivateKey": b"ed25519", "RSAPrivateKey": b"ps256"}.get(kind)
    algorithm = algorithm or CURVES.get(curve)
    if algorithm is None:
        raise ValueError(
            f"{path} is a key of {curve or kind}; C2PA signs with P-256, P-384, P-521, Ed25519, RSA"
        )
    form = forms.PrivateFormat.PKCS8, forms.NoEncryption()
    return algorithm, key.private_bytes(forms.Encoding.PEM, *form)


def _mime(name: str) -> str:
    return _MIME[_ending(name)]


def _ending(name: str) -> str:
    return Path(name).suffix.lower().removeprefix(".")


def _context(c2pa: ModuleType) -> Any:
    return c2pa.Context(c2pa.Settings.from_dict(_OPTIONS))


def _c2pa() -> ModuleType:
    try:
        import c2pa
    except ImportError:
        raise ValueError("c2pa-python is not installed: pip install 'jaxsd[c2pa]'") from None
    return c2pa
