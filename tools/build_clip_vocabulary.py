"""Makes jaxsd/assets/clip/merges.txt.gz from OpenAI's bpe_simple_vocab_16e6.txt.gz.

The published file has 262,145 merges, of which CLIP uses the first 48,894 after a title line; only
those are kept. The source lies in the wheel of open-clip-torch (`pip download --no-deps
open-clip-torch==3.3.0`), byte-identical to the one in OpenAI's own repository; give either the
wheel or the file:

    python tools/build_clip_vocabulary.py --source=open_clip_torch-3.3.0-py3-none-any.whl
"""

import gzip
import hashlib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

SHA256 = "924691ac288e54409236115652ad4aa250f48203de50a9e4722a6ecd48d6804a"
MEMBER = "open_clip/bpe_simple_vocab_16e6.txt.gz"
USED_MERGES = 49152 - 256 - 2
TARGET = Path(__file__).parents[1] / "jaxsd/assets/clip/merges.txt.gz"

_SOURCE = flags.DEFINE_string("source", None, "Wheel or .txt.gz that holds the merges.")


def trimmed(packed: bytes) -> bytes:
    """A `merges.txt`, gzipped, with those of the published merges that CLIP uses.

    Raises:
      ValueError: `packed` is not the file that OpenAI published.
    """
    found = hashlib.sha256(packed).hexdigest()
    if found != SHA256:
        raise ValueError(f"sha256 of the source is {found}, expected {SHA256}")
    lines = gzip.decompress(packed).decode().split("\n")[1 : USED_MERGES + 1]
    text = "\n".join(["#version: 0.2", *lines, ""])
    return gzip.compress(text.encode(), compresslevel=9, mtime=0)


def main(argv: Sequence[str]) -> None:
    """Writes the asset."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument {argv[1]!r}; give the file with --source")
    source = Path(_SOURCE.value)
    if zipfile.is_zipfile(source):
        with zipfile.ZipFile(source) as wheel:
            packed = wheel.read(MEMBER)
    else:
        packed = source.read_bytes()
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_bytes(trimmed(packed))
    print(f"{TARGET}: {TARGET.stat().st_size:,} bytes")


if __name__ == "__main__":
    flags.mark_flag_as_required("source")
    app.run(main)
