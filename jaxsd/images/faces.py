"""Files of a face's embedding, as InsightFace's `normed_embedding` saved by NumPy."""

from typing import BinaryIO

import numpy as np

ENDING = ".npy"
"""Of such a file, in place of a picture."""
_HOW = "give `normed_embedding` of InsightFace's face, saved by numpy.save"


def read_face(file: BinaryIO) -> np.ndarray:
    """The embedding [d] float32 in a file of NumPy.

    Raises:
      OSError: it is no such file.
    """
    try:
        found = np.load(file, allow_pickle=False)
    except (ValueError, EOFError, MemoryError, OverflowError):
        raise OSError(f"is no embedding of a face, or damaged; {_HOW}") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind != "f":
        raise OSError(f"is no embedding of a face, which is numbers with a fraction; {_HOW}")
    return found.astype(np.float32)


def face_embedding(face: np.ndarray, width: int, file: str) -> np.ndarray:
    """The embedding [width] float32 that an IP-Adapter sees.

    Args:
      face: [width], or [1, width], of length 1.
      width: of what the adapter was trained with.
      file: of the adapter.

    Raises:
      ValueError: it is a picture, or of another width or length.
    """
    if np.ndim(face) == 3 or np.shape(face) not in ((width,), (1, width)):
        raise ValueError(
            f"{file} is an IP-Adapter FaceID, which sees {width} numbers and not an array of shape "
            f"{list(np.shape(face))}; {_HOW}"
        )
    embedding = np.float32(face).reshape(width)
    if not abs(length := float(np.linalg.norm(embedding)) - 1) <= 0.01:
        raise ValueError(f"the embedding of a face has length {length + 1:.4g}, not 1; {_HOW}")
    return embedding
