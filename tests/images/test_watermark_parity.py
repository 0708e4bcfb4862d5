"""invisible-watermark's own decoder reads what we write, and we read what it writes.

Version 0.2.0: pip install --no-deps invisible-watermark PyWavelets, beside the extra [parity]; with
its dependencies it would bring a second OpenCV.
"""

import numpy as np
import pytest
from test_watermark import FLAT, TEXT, photo

from jaxsd.images.watermark import marked, message_in, payload

pytestmark = pytest.mark.parity
dct = pytest.importorskip("imwatermark.maxDct")


def test_the_package_reads_ours():
    bits = np.unpackbits(np.frombuffer(payload(TEXT), np.uint8))
    for image in (*FLAT, photo(0)):
        made = np.ascontiguousarray(marked(image, payload(TEXT))[..., ::-1])
        np.testing.assert_array_equal(dct.EmbedMaxDct(wmLen=len(bits)).decode(made), bits)


def test_we_read_the_package():
    """On plain grounds; on others its encoder leaves a few bits that its own decoder misses."""
    bits = np.unpackbits(np.frombuffer(payload(TEXT), np.uint8))
    for image in (FLAT[0], FLAT[2]):
        made = dct.EmbedMaxDct(list(bits), len(bits)).encode(np.ascontiguousarray(image))
        assert message_in(made[..., ::-1]) == TEXT
