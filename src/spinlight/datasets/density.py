"""Binary sets on which density estimators are compared (DEBD), with the published training, validation and test parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spinlight._errors import FileFormatError, InvalidDataError, UnknownNameError
from spinlight.datasets.sources import PublicFile, load_public, load_repacked, require_numbers

DensityName = Literal[
    "nltcs",
    "plants",
    "baudio",
    "jester",
    "bnetflix",
    "accidents",
    "mushrooms",
    "adult",
    "connect4",
    "ocr_letters",
    "dna",
    "nips",
]
"""The names that `density_set` knows."""

DENSITY_SETS = get_args(DensityName)
"""The names that `density_set` knows, from 16 variables to 500."""

Part = Literal["train", "valid", "test"]

_REPOSITORY = "https://raw.githubusercontent.com/arranger1044/DEBD"
_VERSIONS = ("HEAD", "d5e0c95fef9e418a39feccddae5d7a7526c1e8de")


@dataclass(frozen=True, eq=False)
class DensitySet:
    """The parts of a binary set; each is bits, int8, shape (rows, variables).

    Args:
        name: of the set.
        parts: those of "train", "valid" and "test" that are known; the properties of these names read them.
    """

    name: str
    parts: Mapping[Part, Tensor]

    @property
    def train(self) -> Tensor:
        """The rows to fit a model to."""
        return self._part("train")

    @property
    def valid(self) -> Tensor:
        """The rows to choose a model by."""
        return self._part("valid")

    @property
    def test(self) -> Tensor:
        """The rows to quote a likelihood of."""
        return self._part("test")

    def _part(self, part: Part) -> Tensor:
        if part not in self.parts:
            raise InvalidDataError(
                f"the set {self.name!r} is known here without its part {part!r}, only with {' and '.join(self.parts)}; "
                "take another set, or split one of these parts and say so"
            )
        return self.parts[part]


def density_set(name: DensityName) -> DensitySet:
    """Return a binary set with its published parts.

    Of adult and connect4 the test part, of ocr_letters the training part is not known here; asking for it is an error.

    Args:
        name: one of `DENSITY_SETS`.

    Raises:
        UnknownNameError: there is no such set.
        InvalidDataError: when a part that is not known is asked for.
        FileFormatError: a file is there and is damaged.
        DownloadError: a file is not there and cannot be downloaded.
        MissingExtraError: a file is not there, and pooch is not installed.

    References:
        Lowd & Davis (2010), Learning Markov network structure with decision trees; Van Haaren & Davis (2012), Markov network
        structure learning: a randomized feature generation approach; Larochelle & Murray (2011), The neural autoregressive
        distribution estimator. Collected at github.com/arranger1044/DEBD.
    """
    if name not in _SETS:
        raise UnknownNameError(f"there is no density set {name!r}; there are: {', '.join(DENSITY_SETS)}")
    known = _SETS[name]
    found = load_repacked(f"small/debd_{name}.npz", known.unpacked)
    if found is None:
        found = {part: load_public(_published(name, part), partial(known.parsed, part)) for part in known.sha256}
    return DensitySet(name, {part: torch.from_numpy(bits.astype(np.int8)) for part, bits in found.items()})


def _published(name: str, part: Part) -> PublicFile:
    file = f"{name}.{part}.data"
    return PublicFile(f"debd/{file}", tuple(f"{_REPOSITORY}/{version}/datasets/{name}/{file}" for version in _VERSIONS))


@dataclass(frozen=True)
class _Set:
    """The number of variables of a set, and the SHA-256 of the bits of each part, one byte for a bit, row after row."""

    variables: int
    sha256: Mapping[Part, str]

    def unpacked(self, arrays: Mapping[str, NDArray[Any]]) -> dict[Part, NDArray[np.uint8]]:
        """Return the parts of an npz file, whose bytes hold eight bits each."""
        return {
            part: require_numbers(np.unpackbits(arrays[part], axis=1)[:, : self.variables], pin)
            for part, pin in self.sha256.items()
        }

    def parsed(self, part: Part, text: bytes) -> NDArray[np.uint8]:
        """Return a part from its published form, a row of comma-separated 0 and 1 in each line."""
        characters = np.frombuffer(text, np.uint8)
        bits = characters[(characters == ord("0")) | (characters == ord("1"))] - np.uint8(ord("0"))
        if bits.size % self.variables:
            raise FileFormatError(f"{bits.size} bits do not make rows of {self.variables}")
        return require_numbers(bits.reshape(-1, self.variables), self.sha256[part])


_SETS: dict[str, _Set] = {
    "nltcs": _Set(
        16,
        {
            "train": "73385b66808848c9fb7380fbe1581f56108da45a2c07c3d6fa4049d84e573243",
            "valid": "41bb0f2f25694dbc5f9d29a1a01df5a0832b7dfaf113fc52726c691130798391",
            "test": "72c1a049d0fa72c165ca12d830a7523f9e8365f25e4adb01f170c480dcded06a",
        },
    ),
    "plants": _Set(
        69,
        {
            "train": "3eaa89d06027568f7aea9f5ea3d64a0a81c6be2d146b5bbe8e012b76ce101f46",
            "valid": "eadd45dd8d884cf6e3cc0c88a0367ba44142e36bbcdf502c0e3cf461cb435bcd",
            "test": "52371eb14299c29040c94af09a820d5a3f9038765174728cfcf14eaccc3c0369",
        },
    ),
    "baudio": _Set(
        100,
        {
            "train": "3be82f2593dc3104bc0019a83e063e96c864ad4a67c4e7868a2fb08fb354a836",
            "valid": "277ee26b24f409d062d196bfc5ddc683f28faa4f8f5f54f628b0d847f6b3d4c8",
            "test": "7462f3e8a88c8e97323c5fc800825369d34094f393b91b1e666e671b25e8968a",
        },
    ),
    "jester": _Set(
        100,
        {
            "train": "602ee6f00c019ebae829317b1402a6a92a42f4f4a74d8a23b5af7427fea211f5",
            "valid": "c64137a7182d1dd1e8e850cf6898c2f59456dff2fb2484f09420b5d2f3528abe",
            "test": "49ef70c7c0916d68637b4ce7af77ae218df88d49c4967350d04bc0b8c1d60e36",
        },
    ),
    "bnetflix": _Set(
        100,
        {
            "train": "6013fcb9834163ed7a7c8b03474fc6d363883e7bde53591b8439bfb167da0671",
            "valid": "4dae5d88385e9d91d7454ad4ffb50953de751a21a1d8e900a4c23eb09a9256d8",
            "test": "a918f58e5025afa36918b3cc6dc8f2de78f0d754179e56a8866129a234b49e04",
        },
    ),
    "accidents": _Set(
        111,
        {
            "train": "b63961d2d3f58e9483548eb1934bcce59a0eddfedd68890d9ce6b94ece97802d",
            "valid": "ce07b64803467d02eacb70ff18e5e0057c2b590a583ea6535b8942dd28628641",
            "test": "308dc0ef11aaf82f64f0dd75aadb2a711e8a8ce2ab43d402bdc336de6e90ac0b",
        },
    ),
    "mushrooms": _Set(
        112,
        {
            "train": "bdc96ef5b74d908aa8f0665aad1a060c95c29e3f0140e0c004f538785e7f37f4",
            "valid": "a02bb4bbe086e12738e27dca9436d43823ee5c6c6a2f684eb4eff51ebf924ecc",
            "test": "02d2b76d77c88d8f7e9c4e5b6be68e16d242c5e9db55b16bea81a953c3823d3c",
        },
    ),
    "adult": _Set(
        123,
        {
            "train": "51f7e476ddebd27c873cfaf59d08af97930089470434483e8023bfb529c37e4f",
            "valid": "e7e7fe06cb496ce3a400b320fa238e156123c3d155543740250cb10e664c4aa3",
        },
    ),
    "connect4": _Set(
        126,
        {
            "train": "66f16f5e0557149943a973dde30c08f720e501a774f197249fa91622ac9b3819",
            "valid": "fd3490a0962bd89889a0bea8dd4aee9ebcee61323b494eadc6a3fed3551ea0ce",
        },
    ),
    "ocr_letters": _Set(
        128,
        {
            "valid": "6a479926457c272a4ef65656c0396aae52ac8e50cb40621ebd9989c76dad8435",
            "test": "d143c4f6d68c473586c449eca6aae9e514a4cea285281f1572e6248a2fef053f",
        },
    ),
    "dna": _Set(
        180,
        {
            "train": "922e56f8c6c678f5f5cf3199ac80782855dc0121db2afcb247af12e0e29f2a0f",
            "valid": "4793c5edd798f7c884a969820f1a9c65888d2d0205200384fce23b9ff8f1568f",
            "test": "183aa2a8acb410c9d950e26030da5b30e3176da04b2ed2566c03565a5c3479a1",
        },
    ),
    "nips": _Set(
        500,
        {
            "train": "d3533784ce37bd8ca6c195160c47b7fc18447917e639781f6b9f4ceee743bf37",
            "valid": "b389c16873bbb94a617d83a5525e6be9bc9ef6d00f49621e1c8dcfed85f9ceea",
            "test": "7163c55ede1f8077131fb918de107b5782dce395e1c5b9fe33d8b82236a8ec9a",
        },
    ),
}
