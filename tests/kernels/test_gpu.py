"""The GPU kernels against the plain reference: on a CUDA device, or, as test_gpu_interpreted.py runs them, without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

from helpers.enumeration import boltzmann, random_ising
from helpers.gpu import DEVICE, INTERPRETED, ON_DEVICE
from helpers.statistics import law_p_value, threshold
from spinlight.ising import Ising
from spinlight.kernels import reference, run

pytest.importorskip("triton")

from spinlight.kernels import gpu_run

pytestmark = ON_DEVICE

RULES = pytest.mark.parametrize("rule", [run.METROPOLIS, run.HEAT_BATH], ids=["metropolis", "heat_bath"])
BETAS = np.array([0.0, 0.05, 0.3, 0.9])
SMALL = gpu_run.Tiles(chains=16, block=16, depth=16, lanes=16)
"""So that a few chains and sites fill several programs and blocks."""

WIDE = gpu_run.Tiles(chains=4096, block=16, depth=16, warps=32, lanes=4096) if INTERPRETED else gpu_run.Tiles()
"""One program for all chains: the interpreter takes its time per program, not per chain."""


def glass(sites: int, density: float = 0.7, largest: int = 1) -> np.ndarray:
    """Return whole couplings: their local fields are exact in float32."""
    rng = np.random.default_rng(sites)
    size = rng.choice([-1.0, 1.0], (sites, sites)) * rng.integers(1, largest + 1, (sites, sites))
    upper = np.triu(size * (rng.random((sites, sites)) < density), 1)
    return upper + upper.T


def tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(DEVICE)


def start_of(chains: int, sites: int) -> np.ndarray:
    return np.random.default_rng(chains).choice([-1, 1], (chains, sites)).astype(np.int8)


def graph(couplings: np.ndarray, order: np.ndarray) -> gpu_run.Graph:
    rows = sparse.csr_matrix(couplings)
    return gpu_run.graph_of(run.Edges(order, rows.indptr, rows.indices, rows.data.astype(np.float32)), DEVICE)


def swept(couplings: torch.Tensor | gpu_run.Graph, h: np.ndarray, start: np.ndarray, **settings) -> np.ndarray:
    options = {"rule": run.HEAT_BATH, "seed": 2**40 + 7, "first_sweep": 2**33, "tiles": SMALL} | settings
    betas = options.pop("betas", BETAS)
    spins = torch.from_numpy(start).to(DEVICE)
    after = gpu_run.sweep_chains(couplings, tensor(h), spins, betas, **options)
    assert (after.dtype, after.shape, after.device.type) == (torch.int8, spins.shape, DEVICE.type)
    np.testing.assert_array_equal(spins.cpu(), start)
    return after.cpu().numpy()


def expected(couplings: np.ndarray, h: np.ndarray, start: np.ndarray, rule: int, **settings) -> np.ndarray:
    options = {"heat_bath": rule == run.HEAT_BATH, "seed": 2**40 + 7, "first_sweep": 2**33} | settings
    return reference.sweep_chains(couplings, h, start, BETAS, **options)


def fields_of(kind: str, chains: int, sites: int) -> np.ndarray:
    rng = np.random.default_rng(sites)
    return rng.integers(-2, 3, sites if kind == "shared" else (chains, sites))


@RULES
@pytest.mark.parametrize("fields", ["shared", "own"])
@pytest.mark.parametrize(("chains", "sites"), [(1, 1), (20, 33)])
def test_dense_sweeps_are_those_of_the_reference(rule: int, chains: int, sites: int, fields: str) -> None:
    couplings, start, h = glass(sites), start_of(chains, sites), fields_of(fields, chains, sites)
    spins = swept(tensor(couplings), h, start, rule=rule)
    np.testing.assert_array_equal(spins, expected(couplings, h, start, rule))
    assert sites == 1 or (spins != start).any()


@RULES
@pytest.mark.parametrize("fields", ["shared", "own"])
@pytest.mark.parametrize(("chains", "sites"), [(1, 1), (20, 6)])
def test_sparse_sweeps_are_those_of_the_reference(rule: int, chains: int, sites: int, fields: str) -> None:
    couplings, start, h = glass(sites, 0.5), start_of(chains, sites), fields_of(fields, chains, sites)
    order = np.random.default_rng(1).permutation(sites)
    spins = swept(graph(couplings, order), h, start, rule=rule)
    np.testing.assert_array_equal(spins, expected(couplings, h, start, rule, order=order))


def test_tiles_of_the_usual_size_give_the_same_spins() -> None:
    couplings, start, h = glass(5), start_of(33, 5), fields_of("shared", 33, 5)
    after = expected(couplings, h, start, run.HEAT_BATH)
    np.testing.assert_array_equal(swept(tensor(couplings), h, start, tiles=gpu_run.Tiles()), after)
    np.testing.assert_array_equal(swept(graph(couplings, np.arange(5)), h, start, tiles=gpu_run.Tiles()), after)


def test_couplings_that_need_two_halves_are_exact_where_float32_is() -> None:
    couplings, start = glass(17, largest=2**17), start_of(20, 17)
    h = fields_of("own", 20, 17)
    assert len(gpu_run.half_parts(torch.from_numpy(couplings).float(), 17).parts) == 2
    betas = BETAS / 2**16
    spins = swept(tensor(couplings), h, start, betas=betas)
    settings = {"heat_bath": True, "seed": 2**40 + 7, "first_sweep": 2**33}
    np.testing.assert_array_equal(spins, reference.sweep_chains(couplings, h, start, betas, **settings))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_halves_hold_what_float32_holds(scale: float) -> None:
    matrix = torch.randn(64, 64, dtype=torch.float64) * scale * torch.logspace(-6, 0, 64, dtype=torch.float64)[:, None]
    halves = gpu_run.half_parts(matrix.float(), 16)
    again = (halves.parts.double() * halves.units.double()[:, None]).sum(0)
    largest = matrix.abs().amax(1, keepdim=True)
    assert ((again - matrix.float()).abs() <= 2.0**-23 * largest).all()
    blocks = torch.cat([matrix.float()[i : i + 16, i : i + 16] for i in range(0, 64, 16)])
    assert torch.equal(halves.blocks, blocks)


@pytest.mark.parametrize("largest", [1, 2048])
def test_whole_numbers_need_one_half(largest: int) -> None:
    halves = gpu_run.half_parts(torch.from_numpy(glass(32, largest=largest)).float(), 16)
    assert len(halves.parts) == 1


def test_an_order_is_cut_where_neighbours_would_meet() -> None:
    ring = np.roll(np.eye(6), 1, 1) + np.roll(np.eye(6), -1, 1)
    assert graph(ring, np.array([0, 2, 4, 1, 3, 5])).bounds == [0, 3, 6]
    assert graph(ring, np.array([0, 1, 2, 3, 4, 5])).bounds == [0, 1, 2, 3, 4, 5, 6]
    assert graph(ring, np.array([0, 3, 1, 4, 2, 5])).bounds == [0, 2, 4, 6]


def test_a_run_cut_in_two_is_the_whole_run() -> None:
    couplings, start, h = glass(5), start_of(20, 5), fields_of("own", 20, 5)
    middle = swept(tensor(couplings), h, start, betas=BETAS[:3])
    end = swept(tensor(couplings), h, middle, betas=BETAS[3:], first_sweep=2**33 + 3)
    np.testing.assert_array_equal(end, swept(tensor(couplings), h, start))


def test_no_sweeps_change_nothing() -> None:
    start = start_of(3, 4)
    np.testing.assert_array_equal(swept(tensor(glass(4)), np.zeros(4), start, betas=np.zeros(0)), start)


def test_progress_counts_sweeps_up_to_the_total(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_run, "_LAUNCH_WORK", 2 * 16 * 16**2)
    seen: list[tuple[int, int]] = []
    swept(tensor(glass(4)), np.zeros(4), start_of(3, 4), progress=lambda *count: seen.append(count))
    assert seen == [(2, 4), (4, 4)]


def drawn(problem: Ising, form: str, rule: int, sweeps: int = 8) -> torch.Tensor:
    couplings = problem.couplings.numpy()
    arrays = tensor(couplings) if form == "dense" else graph(couplings, np.arange(problem.sites))
    settings = {"rule": rule, "betas": np.ones(sweeps), "tiles": WIDE, "first_sweep": 0}
    return torch.from_numpy(swept(arrays, problem.fields.numpy(), start_of(4096, problem.sites), **settings))


@RULES
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_draws_follow_the_boltzmann_law(form: str, rule: int) -> None:
    problem = random_ising(6, seed=2, scale=0.2)
    spins = drawn(problem, form, rule)
    assert law_p_value(spins, boltzmann(problem)) > threshold()
    assert law_p_value(spins, boltzmann(problem, beta=1.25)) < threshold()
