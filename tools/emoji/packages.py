"""The npm packages that the pictures come from: names, versions, checksums, licences."""

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import NamedTuple


class Package(NamedTuple):
    """One npm package, pinned by version and checksum."""

    name: str
    version: str
    sha256: str
    licence: str
    origin: str

    @property
    def tarball(self) -> str:
        """File name that `npm pack` gives the package."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


NOTO = Package(
    "@iconify-json/noto",
    "1.2.9",
    "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
    "Apache-2.0",
    "Noto Emoji, Google",
)
FLAT = Package(
    "@iconify-json/fluent-emoji-flat",
    "1.2.6",
    "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    "MIT",
    "Fluent Emoji, Microsoft Corporation",
)
TWEMOJI = Package(
    "@iconify-json/twemoji",
    "1.2.5",
    "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
    "CC-BY-4.0",
    "Twemoji, Twitter, Inc. and other contributors",
)
HIGH_CONTRAST = Package(
    "@iconify-json/fluent-emoji-high-contrast",
    "1.2.6",
    "0b92d48c90d2200bd499e3cdd09a127ca6a8c8ddefd34c35eb5a1e4994012ae0",
    "MIT",
    "Fluent Emoji, Microsoft Corporation",
)
FLAG = Package(
    "@iconify-json/flag",
    "1.2.12",
    "42246bc20f6154739a192172d71ffe477747ad38278f2e912ec43f4dcb5a15e0",
    "MIT",
    "flag-icons, Panayiotis Lipiridis",
)
CIRCLE_FLAGS = Package(
    "@iconify-json/circle-flags",
    "1.2.11",
    "ee9a03f6a6fdd79cc6325bdcb7bb93b83d331e60b16e226188f154a64b6bb4a9",
    "MIT",
    "circle-flags, HatScripts",
)
EMOJIBASE = Package(
    "emojibase-data",
    "17.0.0",
    "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
    "MIT",
    "emojibase, Miles Johnson",
)
STYLES = {"noto": NOTO, "flat": FLAT, "twemoji": TWEMOJI}
"""The package of each of `words.STYLES`."""

PACKAGES = (*STYLES.values(), HIGH_CONTRAST, FLAG, CIRCLE_FLAGS, EMOJIBASE)


def fetch(package: Package, folder: Path) -> Path:
    """Path of the package's tarball in `folder`, downloaded with npm if it is not there.

    Raises:
        ValueError: npm failed, or the file has another checksum.
    """
    path = folder / package.tarball
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", f"{package.name}@{package.version}", "--silent"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ValueError(f"{' '.join(command)} failed: {done.stderr.strip()[-200:]}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != package.sha256:
        raise ValueError(
            f"{path}: sha256 is {digest}, expected {package.sha256}; delete it and try again"
        )
    return path


def read_json(tarball: Path, member: str) -> object:
    """The JSON file `member` of an npm tarball, for example `icons.json`."""
    with tarfile.open(tarball) as archive:
        return json.load(archive.extractfile(f"package/{member}"))
