"""Icon packages to glyphs, on a package made here."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("resvg_py", reason="the extra [emoji] draws SVG")

from emoji import glyphs, packages

BODY = '<rect width="{}" height="{}" fill="#ff0000"/>'


@pytest.fixture
def tarball(tmp_path: Path) -> Path:
    icons = {
        "width": 16,
        "height": 16,
        "icons": {
            "apple": {"body": BODY.format(16, 16)},
            "statue-of-liberty": {"body": BODY.format(16, 8), "height": 8},
            "apple-dark-skin": {"body": ""},
        },
    }
    emojibase = [
        {"hexcode": "1F34E", "label": "red apple", "tags": ["fruit"], "group": 4},
        {"hexcode": "1F5FD-FE0F", "label": "Statue of Liberty"},
    ]
    members = {
        "icons.json": icons,
        "chars.json": {"1f34e": "apple"},
        "en/data.json": emojibase,
    }
    path = tmp_path / "package.tgz"
    with tarfile.open(path, "w:gz") as archive:
        for name, value in members.items():
            data = json.dumps(value).encode()
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def test_icons_are_joined_by_code_point_or_by_name(tarball):
    entries = glyphs.read_entries(tarball)
    assert entries[0] == ("1f34e", "red apple", ("fruit",), 4)
    assert entries[1] == ("1f5fd", "Statue of Liberty", (), None)
    found = glyphs.read_emoji(tarball, entries)
    assert list(found) == ["red apple", "Statue of Liberty"]


def test_a_wide_icon_is_centred(tarball):
    found = glyphs.read_emoji(tarball, glyphs.read_entries(tarball))
    rgba = glyphs.rasterize(found["Statue of Liberty"], 32)
    assert rgba.shape == (32, 32, 4)
    np.testing.assert_array_equal(rgba[8:24], np.broadcast_to((255, 0, 0, 255), (16, 32, 4)))
    assert not rgba[:8].any()
    assert not rgba[24:].any()


def test_a_tarball_of_other_bytes_is_refused(tmp_path):
    (tmp_path / packages.NOTO.tarball).write_bytes(b"something else")
    with pytest.raises(ValueError, match="sha256"):
        packages.fetch(packages.NOTO, tmp_path)


def test_tarballs_are_called_as_npm_calls_them():
    assert packages.NOTO.tarball == "iconify-json-noto-1.2.9.tgz"
    assert packages.EMOJIBASE.tarball == "emojibase-data-17.0.0.tgz"
    assert {package.licence for package in packages.PACKAGES} == {
        "Apache-2.0",
        "MIT",
        "CC-BY-4.0",
    }
