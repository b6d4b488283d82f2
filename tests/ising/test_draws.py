from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from helpers.enumeration import all_spins, boltzmann, random_ising
from spinlight._errors import FileFormatError, InvalidSettingError, InvalidStateError
from spinlight.ising import DrawInfo, Draws, Ising, LogPartition, dimod_from_ising

INFO = DrawInfo("Exact", "exact", 1.0, 7, None, 0.5, "cpu", "0", {"beta": 1.0, "schedule": [0.1, 1.0]})
PROBLEM = random_ising(4, seed=1)


def draws(
    problem: Ising = PROBLEM, *, count: int = 40, weighted: bool = False, counted: bool = False, seed: int = 2
) -> Draws:
    """Return uniformly random states, most of them drawn more than once."""
    generator = torch.Generator().manual_seed(seed)
    shape = (count,) if problem.batch is None else (problem.batch, count)
    spins = 2 * torch.randint(0, 2, (*shape, problem.sites), generator=generator, dtype=torch.int8) - 1
    return Draws(
        spins,
        problem.energy(spins),
        INFO,
        log_weights=torch.randn(shape, generator=generator, dtype=torch.float64) if weighted else None,
        counts=torch.randint(1, 5, shape, generator=generator) if counted else None,
    )


def features(spins: torch.Tensor) -> torch.Tensor:
    """Return spins and one pair, more than one value per state."""
    return torch.cat([spins, spins[..., :1] * spins[..., 1:2]], -1)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("counted", [False, True])
def test_expectations_weigh_states_by_counts_and_log_weights(weighted: bool, counted: bool) -> None:
    sample = draws(weighted=weighted, counted=counted)
    counts = sample.counts.numpy() if counted else np.ones(40)
    weights = counts * (np.exp(sample.log_weights.numpy()) if weighted else 1.0)
    values = features(sample.spins.double()).numpy()
    expected = (weights[:, None] * values).sum(0) / weights.sum()
    np.testing.assert_allclose(sample.expectation(features).numpy(), expected, rtol=1e-12, atol=1e-14)


def test_all_states_with_boltzmann_weights_give_exact_moments() -> None:
    sample = Draws(all_spins(4), PROBLEM.energy(all_spins(4)), INFO, log_weights=-PROBLEM.energy(all_spins(4)))
    exact = boltzmann(PROBLEM) @ all_spins(4).double().numpy()
    np.testing.assert_allclose(sample.expectation(lambda spins: spins).numpy(), exact, rtol=1e-12, atol=1e-14)
    unweighted = replace(sample, log_weights=None)
    assert not np.allclose(unweighted.expectation(lambda spins: spins).numpy(), exact)


def test_huge_log_weights_do_not_overflow() -> None:
    sample = replace(draws(), log_weights=torch.full((40,), 1e5, dtype=torch.float64))
    torch.testing.assert_close(sample.expectation(features), draws().expectation(features))


def test_expectations_of_a_batch_are_those_of_each_problem() -> None:
    batch = draws(random_ising(4, seed=3, batch=3), weighted=True, counted=True)
    for i in range(3):
        torch.testing.assert_close(batch.expectation(features)[i], batch[i].expectation(features))
    assert batch.expectation(lambda spins: spins.sum(-1)).shape == (3,)


def test_a_function_that_drops_the_draws_is_refused() -> None:
    with pytest.raises(InvalidStateError, match="keep the shape"):
        draws().expectation(lambda spins: spins.mean())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_unique_keeps_every_expectation(weighted: bool, counted: bool, dtype: torch.dtype) -> None:
    sample = draws(weighted=weighted, counted=counted)
    sample = replace(sample, log_weights=sample.log_weights.to(dtype)) if weighted else sample
    unique = sample.unique()
    assert len(unique) == len(set(map(tuple, sample.spins.tolist())))
    assert len(unique) < len(sample)
    torch.testing.assert_close(unique.expectation(features), sample.expectation(features), rtol=1e-12, atol=1e-14)
    assert int(unique.counts.sum()) == (int(sample.counts.sum()) if counted else 40)


def test_unique_without_counts_would_change_expectations() -> None:
    forgetful = replace(draws().unique(), counts=None)
    assert not torch.allclose(forgetful.expectation(features), draws().expectation(features), atol=1e-3)


def test_unique_puts_the_lowest_energy_first_and_keeps_energies_with_states() -> None:
    unique = draws(counted=True).unique()
    assert bool((unique.energies.diff() >= 0).all())
    torch.testing.assert_close(unique.energies, PROBLEM.energy(unique.spins), rtol=0, atol=0)


def test_top_returns_the_lowest_energies_in_order() -> None:
    sample = draws(weighted=True, counted=True)
    top = sample.top(5)
    assert top.energies.tolist() == sorted(sample.energies.tolist())[:5]
    torch.testing.assert_close(top.energies, PROBLEM.energy(top.spins), rtol=0, atol=0)
    assert top.counts.shape == top.log_weights.shape == (5,)
    assert len(sample.top(1000)) == 40


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_top_of_no_positive_integer_is_refused(count: object) -> None:
    with pytest.raises(InvalidSettingError, match="count"):
        draws().top(count)  # type: ignore[arg-type]


@pytest.mark.parametrize("action", [Draws.unique, lambda batch: batch.top(1), Draws.to_dimod])
def test_what_needs_one_problem_refuses_a_batch(action) -> None:
    with pytest.raises(InvalidSettingError, match=r"draws\[i\]"):
        action(draws(random_ising(4, seed=4, batch=2)))


@pytest.mark.parametrize(
    "index", [3, -1, torch.tensor(3), slice(2, 9, 3), torch.tensor([5, 1]), torch.arange(40) % 2 == 0]
)
def test_indexing_picks_the_same_draws_everywhere(index) -> None:
    sample = draws(weighted=True, counted=True)
    picked = sample[index]
    positions = torch.atleast_1d(torch.arange(40)[index])
    for name in ("spins", "energies", "log_weights", "counts"):
        assert torch.equal(getattr(picked, name), getattr(sample, name)[positions])


def test_the_lowest_draw_is_found_by_its_position() -> None:
    assert draws()[draws().energies.argmin()].energies.tolist() == [draws().energies.min().item()]


@pytest.mark.parametrize("index", [40, -41])
def test_draws_beyond_the_last_are_an_index_error(index: int) -> None:
    with pytest.raises(IndexError):
        draws()[index]


def test_iterating_a_batch_yields_its_problems() -> None:
    batch = draws(random_ising(4, seed=5, batch=3))
    assert [single.batch for single in batch] == [None, None, None]
    assert torch.equal(torch.stack([single.spins for single in batch]), batch.spins)


def test_bits_are_ones_where_spins_are_up() -> None:
    assert torch.equal(draws().bits, (draws().spins > 0).to(torch.int8))


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("spins", torch.ones(40, 4)),
        ("spins", torch.ones(4, dtype=torch.int8)),
        ("spins", torch.ones(1, 1, 40, 4, dtype=torch.int8)),
        ("energies", torch.zeros(39)),
        ("log_weights", torch.zeros(40, 1)),
        ("counts", torch.ones(1, dtype=torch.int64)),
    ],
)
def test_parts_that_do_not_fit_are_refused(part: str, value: torch.Tensor) -> None:
    with pytest.raises(InvalidStateError, match=part):
        replace(draws(), **{part: value})


@pytest.mark.parametrize("batch", [None, 2])
@pytest.mark.parametrize("weighted", [False, True])
def test_saved_draws_come_back_whole(tmp_path: Path, batch: int | None, weighted: bool) -> None:
    sample = draws(random_ising(4, seed=6, batch=batch), weighted=weighted, counted=weighted)
    sample = replace(sample, log_partition=LogPartition(1.25, float("nan"), -float("inf"), 3.0, "chains"))
    sample.save(tmp_path / "draws.npz")
    back = Draws.load(tmp_path / "draws.npz")
    assert back.info == sample.info
    assert repr(back.log_partition) == repr(sample.log_partition)
    for name in ("spins", "energies", "log_weights", "counts"):
        ours, theirs = getattr(sample, name), getattr(back, name)
        assert (ours is None and theirs is None) or (torch.equal(ours, theirs) and ours.dtype == theirs.dtype)


def test_draws_without_log_partition_come_back_without(tmp_path: Path) -> None:
    draws().save(tmp_path / "draws.npz")
    assert Draws.load(tmp_path / "draws.npz").log_partition is None


@pytest.mark.skipif(os.name == "nt", reason="POSIX permissions")
def test_saved_files_have_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    draws().save(tmp_path / "draws.npz")
    modes = [stat.S_IMODE(os.stat(tmp_path / name).st_mode) for name in ("other", "draws.npz")]
    assert modes[0] == modes[1]


def test_a_failed_save_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    draws().save(tmp_path / "draws.npz")
    before = (tmp_path / "draws.npz").read_bytes()
    unwritable = replace(draws(), info=replace(INFO, settings={"function": print}))
    with pytest.raises(TypeError):
        unwritable.save(tmp_path / "draws.npz")
    assert (tmp_path / "draws.npz").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["draws.npz"]


def arrays(**changes: object) -> dict[str, object]:
    info = json.dumps({"info": asdict(INFO), "log_partition": None})
    return {"spins": np.ones((2, 3), np.int8), "energies": np.zeros(2), "info": np.array(info)} | changes


GARBAGE = {
    "other arrays": {"other": np.zeros(3)},
    "one more array": arrays(other=np.zeros(3)),
    "pickled": arrays(info=np.array([object()], dtype=object)),
    "no JSON": arrays(info=np.array("{")),
    "other JSON": arrays(info=np.array('{"info": {}, "log_partition": null}')),
    "a JSON list": arrays(info=np.array("[]")),
    "wrong shapes": arrays(energies=np.zeros(3)),
    "words for spins": arrays(spins=np.array(["a"])),
}


def test_the_files_of_the_next_test_are_right_but_for_one_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "draws.npz", **arrays())
    assert len(Draws.load(tmp_path / "draws.npz")) == 2


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_arrays_that_are_no_draws_are_named(tmp_path: Path, content: dict[str, object]) -> None:
    np.savez(tmp_path / "draws.npz", **content)
    with pytest.raises(FileFormatError, match=r"draws\.npz"):
        Draws.load(tmp_path / "draws.npz")


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: b"800 19176\n1 2 1\n",
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[:60] + bytes(byte ^ 1 for byte in whole[60:400]) + whole[400:],
    ],
    ids=["empty", "text", "cut short", "bits flipped"],
)
def test_a_damaged_file_is_named(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "draws.npz"
    draws().save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileFormatError, match=r"draws\.npz"):
        Draws.load(tmp_path / "draws.npz")


def test_a_single_array_file_holds_no_draws(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.zeros(3))
    with pytest.raises(FileFormatError, match=r"array\.npy"):
        Draws.load(tmp_path / "array.npy")


def test_a_missing_file_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Draws.load(tmp_path / "none.npz")


@pytest.mark.parametrize("weighted", [False, True])
def test_dimod_gets_states_energies_and_multiplicities(weighted: bool) -> None:
    pytest.importorskip("dimod")
    sample = draws(weighted=weighted, counted=weighted)
    theirs = sample.to_dimod()
    model = dimod_from_ising(PROBLEM)
    np.testing.assert_allclose(theirs.record.energy, model.energies(theirs), rtol=1e-12)
    assert theirs.record.sample.tolist() == sample.spins.tolist()
    assert theirs.record.num_occurrences.tolist() == (sample.counts.tolist() if weighted else [1] * 40)
    assert ("log_weights" in theirs.record.dtype.names) == weighted
    assert theirs.info["sampler"] == "Exact"


def test_the_representation_shows_sizes_and_origin() -> None:
    sample = Draws(torch.ones(2, 3, dtype=torch.int8), torch.tensor([1.0, -2.0]), INFO)
    assert repr(sample) == "Draws(count=2, sites=3, lowest energy=-2, Exact, exact)"
    assert repr(sample[sample.energies < -9]) == "Draws(count=0, sites=3, Exact, exact)"


def test_log_partitions_print_their_error() -> None:
    assert str(LogPartition(1.23456, 0.01, 1.0, 2.0, "annealed")) == "1.235 +/- 0.010 (annealed)"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"spins": torch.tensor([[7, 1]], dtype=torch.int8)}, "-1 or"),
        ({"log_weights": torch.tensor([math.nan])}, "log_weights"),
        ({"log_weights": torch.tensor([math.inf])}, "log_weights"),
        ({"counts": torch.tensor([-1])}, "counts"),
    ],
)
def test_values_that_are_no_draws_are_refused(part: dict, message: str) -> None:
    info = DrawInfo("by hand", "heuristic", None, 0, None, 0.0, "cpu", "0")
    whole = {"spins": torch.ones(1, 2, dtype=torch.int8), "energies": torch.zeros(1), "info": info}
    Draws(**whole)
    with pytest.raises(InvalidStateError, match=message):
        Draws(**whole | part)
