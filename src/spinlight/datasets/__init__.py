"""Public datasets: found in the folder of shared data, or downloaded once, checked against a checksum and kept."""

from spinlight.datasets.density import DENSITY_SETS, DensityName, DensitySet, density_set
from spinlight.datasets.digits import digits
from spinlight.datasets.faces import frey_faces
from spinlight.datasets.images import LabelledImages, binarized
from spinlight.datasets.mnist import Mnist, mnist
from spinlight.datasets.nucleotides import (
    nucleotides_from_one_hot,
    nucleotides_from_two_bits,
    one_hot_from_nucleotides,
    two_bits_from_nucleotides,
)
from spinlight.datasets.patterns import bars_and_stripes
from spinlight.datasets.utr5 import HumanUtr5, human_utr5, human_utr5_pieces

__all__ = [
    "DENSITY_SETS",
    "DensityName",
    "DensitySet",
    "HumanUtr5",
    "LabelledImages",
    "Mnist",
    "bars_and_stripes",
    "binarized",
    "density_set",
    "digits",
    "frey_faces",
    "human_utr5",
    "human_utr5_pieces",
    "mnist",
    "nucleotides_from_one_hot",
    "nucleotides_from_two_bits",
    "one_hot_from_nucleotides",
    "two_bits_from_nucleotides",
]
