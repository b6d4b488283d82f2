"""Nucleotide sequences as bits, and back."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight._checks import bits_of
from spinlight._errors import InvalidDataError, InvalidStateError

_LETTERS = np.array(list("ACGTN"))
_GAP = 4
_CODE_OF = np.full(128, -1, dtype=np.int64)
_CODE_OF[[ord(letter) for letter in "ACGTNacgtn"]] = [0, 1, 2, 3, _GAP] * 2
_CODE_OF[[ord(letter) for letter in "Uu"]] = 3


def one_hot_from_nucleotides(sequences: Iterable[str]) -> Tensor:
    """Return four bits for each letter, of which one is set: A = 1000, C = 0100, G = 0010, T = 0001, and N = 0000.

    Args:
        sequences: of one length; letters A, C, G, T, N, of either case; U counts as T.

    Returns:
        Bits, int8, shape (sequences, 4 length).

    Raises:
        InvalidDataError: no sequences, different lengths, or another letter.

    Example:
        >>> one_hot_from_nucleotides(["GN"]).tolist()
        [[0, 0, 1, 0, 0, 0, 0, 0]]
    """
    codes = _codes(sequences)
    table = np.eye(5, 4, dtype=np.int8)
    return torch.from_numpy(table[codes].reshape(len(codes), -1))


def nucleotides_from_one_hot(bits: Tensor) -> tuple[str, ...]:
    """Return the sequences of bits that `one_hot_from_nucleotides` makes; U comes back as T.

    Args:
        bits: 0/1, shape (sequences, 4 length), at most one of each four set.

    Raises:
        InvalidStateError: other than bits, a length that is no multiple of four, or more than one of four bits set.
    """
    groups = _groups(bits, 4)
    crowded = int((groups.sum(-1) > 1).sum())
    if crowded:
        raise InvalidStateError(
            f"{crowded} positions have more than one of their four bits set; a model of such bits must be made to keep to "
            "one, or trained on two bits a letter, of which every state is a sequence"
        )
    return _text(np.where(groups.any(-1), groups.argmax(-1), _GAP))


def two_bits_from_nucleotides(sequences: Iterable[str]) -> Tensor:
    """Return two bits for each letter: A = 00, C = 01, G = 10, T = 11.

    The first bit tells keto bases (G, T) from amino ones, the second pyrimidines (C, T) from purines. Every state is a sequence.

    Args:
        sequences: of one length; letters A, C, G, T, of either case; U counts as T.

    Returns:
        Bits, int8, shape (sequences, 2 length).

    Raises:
        InvalidDataError: no sequences, different lengths, or another letter; N has no two bits.

    Example:
        >>> two_bits_from_nucleotides(["GC"]).tolist()
        [[1, 0, 0, 1]]
    """
    codes = _codes(sequences)
    gaps = int((codes == _GAP).any(1).sum())
    if gaps:
        raise InvalidDataError(
            f"{gaps} of {len(codes)} sequences hold an N, which has no two bits; leave them out, or use one-hot"
        )
    return torch.from_numpy(np.stack([codes >> 1, codes & 1], axis=-1).reshape(len(codes), -1).astype(np.int8))


def nucleotides_from_two_bits(bits: Tensor) -> tuple[str, ...]:
    """Return the sequences of bits that `two_bits_from_nucleotides` makes; U comes back as T.

    Args:
        bits: 0/1, shape (sequences, 2 length).

    Raises:
        InvalidStateError: other than bits, or an odd length.
    """
    groups = _groups(bits, 2)
    return _text(2 * groups[..., 0] + groups[..., 1])


def _codes(sequences: Iterable[str]) -> NDArray[np.int64]:
    """Return the letters as numbers, A = 0 to T = 3 and N = 4; shape (sequences, length)."""
    rows = list(sequences)
    lengths = sorted({len(row) for row in rows})
    if len(lengths) != 1 or not lengths[0]:
        raise InvalidDataError(
            f"sequences of one length of at least 1 were expected, got {len(rows)} of the lengths {lengths[:9]}"
        )
    characters = np.array(rows)[:, None].view("U1").view(np.uint32).reshape(len(rows), -1)
    codes = _CODE_OF[np.minimum(characters, 127)]
    strange = sorted({chr(letter) for letter in characters[codes < 0]})
    if strange:
        raise InvalidDataError(
            f"the letters A, C, G, T, U and N were expected, got {', '.join(map(repr, strange[:9]))} too"
        )
    return codes


def _groups(bits: Tensor, size: int) -> NDArray[np.int64]:
    """Return the bits of each letter; shape (sequences, length, size)."""
    rows = bits_of(bits)
    if rows.ndim != 2 or rows.shape[1] % size:
        raise InvalidStateError(f"bits of shape (sequences, {size} length) were expected, got {tuple(rows.shape)}")
    return rows.reshape(len(rows), -1, size).cpu().to(torch.int64).numpy()


def _text(codes: NDArray[np.int64]) -> tuple[str, ...]:
    return tuple("".join(row) for row in _LETTERS[codes])
