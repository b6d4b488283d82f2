"""Human 5' untranslated regions, the stretch of a messenger RNA before its protein begins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spinlight.datasets.sources import PublicFile, load_public

_OPTIMIZER = "https://raw.githubusercontent.com/zzz2010/5UTR_Optimizer/cc48225c92958162c46680b7385b3a5e485f1667/data/eva_5utrseq/"

_FASTA = {
    "hek.withUTRfas.TE_sorted.txt.top1000": "11aa0275c34a28f89a3437bd4e6886d939ca8f52620c925e5c83fef41eb91761",
    "hek.withUTRfas.TE_sorted.txt.bottom500": "fe64d27d0db4b5c4e773cd0086138aa8ebdf3a854e1a2c1bc441eca3dba40396",
    "pc3.withUTRfas.TE_sorted.txt.top1000": "4bd38f7046133c486a4a138d27ae88438805b7d79d258aa8f4d3425d88bd9af4",
    "pc3.withUTRfas.TE_sorted.txt.bottom500": "34b72ab0c2903f6d5053e1945aa5b4a26b249b8b17409ba479348cb66c710736",
    "muscle.withUTRfas.TE_sorted": "5daa303f6a7a40aa83193de31e9ecd4eb6b57a1d615b362439e0212fea730ffa",
}

_PIECES = PublicFile(
    "rna/kaiwu_mRNA_utr5.csv",
    (
        "https://raw.githubusercontent.com/qboson/kaiwu-pytorch-plugin/6d1c851672c227ad5d80c6a24bfcb4b47de9141b/"
        "example/bm_generation/data_input/mRNA.csv",
    ),
    "2ec18bbfe724a8c6d1f90e27607348bd9b6aaef851d4b5866f4b2f202bfbd5dc",
)


@dataclass(frozen=True, eq=False)
class HumanUtr5:
    """Sequences with what was measured of their messenger RNAs, one entry for each transcript in one cell type.

    Args:
        sequences: letters A, C, G, T; 1 to 8,687 of them.
        efficiency: of translation, ribosome footprints over RNA, above 0; float64, shape (count,).
        cell_types: "HEK293", "PC3" or "MUSCLE".
        genes: several transcripts share a gene, and most of their letters: keep them on one side of a split.
        transcripts: Ensembl's names.
    """

    sequences: tuple[str, ...]
    efficiency: Tensor
    cell_types: tuple[str, ...]
    genes: tuple[str, ...]
    transcripts: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sequences)


def human_utr5() -> HumanUtr5:
    """Return 4,015 human 5' untranslated regions with their translation efficiency.

    Of HEK293 and PC3 cells the 1,000 best and the 500 worst translated, of muscle 1,015 over the whole range.

    Raises:
        FileFormatError: a file is there and is damaged.
        DownloadError: a file is not there and cannot be downloaded.
        MissingExtraError: a file is not there, and pooch is not installed.

    References:
        Cao et al. (2021), High-throughput 5' UTR engineering for enhanced protein production in non-viral gene therapies.
        Nature Communications 12, 4138.
    """
    records = [record for stem, sha256 in _FASTA.items() for record in load_public(_fasta(stem, sha256), _records)]
    transcripts, cell_types, _, efficiencies, genes, sequences = zip(*records, strict=True)
    values = torch.tensor([float(value.removeprefix("te=")) for value in efficiencies], dtype=torch.float64)
    return HumanUtr5(
        sequences, values, cell_types, tuple(gene.removeprefix("geneName=") for gene in genes), transcripts
    )


def human_utr5_pieces() -> tuple[str, ...]:
    """Return 9,131 human 5' untranslated regions cut to their last 100 letters, shorter ones filled up with N on the left.

    The set of the Kaiwu PyTorch plugin's example; 6,144 pieces have no N.

    Raises:
        FileFormatError: the file is there and is damaged.
        DownloadError: it is not there and cannot be downloaded.
        MissingExtraError: it is not there, and pooch is not installed.
    """
    return load_public(_PIECES, lambda data: tuple(data.decode("ascii").split()[1:]))


def _fasta(stem: str, sha256: str) -> PublicFile:
    name = f"unique.df.{stem}.fasta"
    return PublicFile(f"rna/{name}", (_OPTIMIZER + name,), sha256)


def _records(data: bytes) -> list[tuple[str, ...]]:
    """Return the five fields of each header and the letters below it; the checksum of the file has been verified."""
    records = []
    for record in data.decode("ascii").split(">")[1:]:
        header, *lines = record.split("\n")
        records.append((*header.split("|"), "".join(lines)))
    return records
