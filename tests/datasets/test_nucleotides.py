"""Letters become bits and come back; the human sequences are the published ones."""

from __future__ import annotations

import hashlib
import importlib
from itertools import product

import pytest
import torch

from helpers.enumeration import all_bits
from spinlight import InvalidDataError, InvalidStateError
from spinlight.datasets import (
    human_utr5,
    human_utr5_pieces,
    nucleotides_from_one_hot,
    nucleotides_from_two_bits,
    one_hot_from_nucleotides,
    two_bits_from_nucleotides,
)

utr5 = importlib.import_module("spinlight.datasets.utr5")

ENCODERS = pytest.mark.parametrize("encoder", [one_hot_from_nucleotides, two_bits_from_nucleotides])


def test_letters_have_the_bits_that_are_documented() -> None:
    one_hot = one_hot_from_nucleotides(["ACGTN"]).reshape(5, 4)
    assert one_hot.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert two_bits_from_nucleotides(["ACGT"]).reshape(4, 2).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


def test_all_sequences_of_three_letters_come_back() -> None:
    with_gaps = tuple(map("".join, product("ACGTN", repeat=3)))
    whole = tuple(map("".join, product("ACGT", repeat=3)))
    assert nucleotides_from_one_hot(one_hot_from_nucleotides(with_gaps)) == with_gaps
    assert nucleotides_from_two_bits(two_bits_from_nucleotides(whole)) == whole


def test_every_state_of_two_bits_a_letter_is_another_sequence() -> None:
    states = all_bits(6)
    sequences = nucleotides_from_two_bits(states)
    assert len(set(sequences)) == 64
    assert torch.equal(two_bits_from_nucleotides(sequences), states)


@ENCODERS
def test_case_does_not_matter_and_u_is_t(encoder) -> None:
    assert torch.equal(encoder(["acgu", "ACGU"]), encoder(["ACGT", "ACGT"]))


@ENCODERS
@pytest.mark.parametrize(
    ("sequences", "match"),
    [([], "got 0"), ([""], "lengths"), (["AC", "A"], r"lengths \[1, 2\]"), (["AX", "Aé"], "'X', 'é'")],
)
def test_what_is_no_set_of_sequences_is_refused(encoder, sequences, match: str) -> None:
    with pytest.raises(InvalidDataError, match=match):
        encoder(sequences)


def test_n_has_no_two_bits() -> None:
    with pytest.raises(InvalidDataError, match="1 of 2 sequences hold an N"):
        two_bits_from_nucleotides(["AC", "NC"])


def test_bits_of_two_letters_at_once_are_refused() -> None:
    with pytest.raises(InvalidStateError, match="1 positions"):
        nucleotides_from_one_hot(torch.tensor([[1, 0, 0, 0, 1, 1, 0, 0]]))


@pytest.mark.parametrize("decoder", [nucleotides_from_one_hot, nucleotides_from_two_bits])
@pytest.mark.parametrize("bits", [[[0, 1, 0]], [0, 1, 0, 0], [[0, 2, 0, 0]]])
def test_what_is_no_set_of_bits_is_refused(decoder, bits) -> None:
    with pytest.raises(InvalidStateError, match="bits"):
        decoder(torch.tensor(bits))


def test_records_are_read_with_all_their_fields(shared, monkeypatch) -> None:
    data = b">T1.2|PC3|rnaseq_rpkm=10.5|te=2.5|geneName=ABC\nACG\nTT\n>T2|HEK293|rnaseq_rpkm=1|te=0.125|geneName=D\nG\n"
    monkeypatch.setattr(utr5, "_FASTA", {"few": hashlib.sha256(data).hexdigest()})
    (shared / "rna").mkdir()
    (shared / "rna" / "unique.df.few.fasta").write_bytes(data)
    found = human_utr5()
    assert found.sequences == ("ACGTT", "G")
    assert found.efficiency.tolist() == [2.5, 0.125]
    assert (found.cell_types, found.genes, found.transcripts) == (("PC3", "HEK293"), ("ABC", "D"), ("T1.2", "T2"))


def test_the_human_sequences_are_the_best_and_the_worst_translated_of_each_cell_type(real) -> None:
    found = human_utr5()
    assert len(found) == 4015
    assert {len(part) for part in (found.efficiency, found.cell_types, found.genes, found.transcripts)} == {4015}
    assert set("".join(found.sequences)) == set("ACGT")
    for cell_type, best, worst in (("HEK293", 1000, 500), ("PC3", 1000, 500), ("MUSCLE", None, None)):
        values = found.efficiency[torch.tensor([name == cell_type for name in found.cell_types])]
        assert best is None or (int((values > 1).sum()), int((values < 1).sum())) == (best, worst)
        assert bool((values > 0).all())


def test_the_pieces_have_a_hundred_letters_and_are_filled_up_on_the_left(real) -> None:
    found = human_utr5_pieces()
    assert (len(found), {len(piece) for piece in found}) == (9131, {100})
    assert all("N" not in piece.lstrip("N") for piece in found)
    assert sum("N" not in piece for piece in found) == 6144
    assert nucleotides_from_one_hot(one_hot_from_nucleotides(found)) == found
