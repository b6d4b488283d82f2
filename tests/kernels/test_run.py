"""The compiled kernels against the plain reference, and both against published numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numba import njit
from scipy import sparse

from helpers.enumeration import all_spins, energies_by_formula
from helpers.statistics import threshold, z_p_value
from spinlight.kernels import lanes, noise, reference, run

RULES = pytest.mark.parametrize("rule", [run.METROPOLIS, run.HEAT_BATH], ids=["metropolis", "heat_bath"])


def glass(sites: int, seed: int, density: float = 1.0) -> np.ndarray:
    """Return +/-1 couplings: their local fields are exact in float32."""
    rng = np.random.default_rng(seed)
    upper = np.triu(rng.choice([-1.0, 1.0], (sites, sites)) * (rng.random((sites, sites)) < density), 1)
    return upper + upper.T


def dense(couplings: np.ndarray) -> run.DenseCouplings:
    return run.DenseCouplings(couplings.astype(np.float32))


def compressed(couplings: np.ndarray, order: np.ndarray | None = None) -> run.SparseCouplings:
    rows = sparse.csr_matrix(couplings)
    order = np.arange(len(couplings)) if order is None else order
    words = (part.astype(np.uint64) for part in (order, rows.indptr, rows.indices))
    return run.SparseCouplings(run.Edges(*words, rows.data.astype(np.float32)))


@pytest.mark.parametrize(
    ("rounds", "counter", "key", "words"),
    [
        (
            20,
            "00000000 00000000 00000000 00000000",
            "00000000 00000000 00000000 00000000",
            "9c6ca96a e17eae66 fc10ecd4 5256a7d8",
        ),
        (
            13,
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0 082efa98 ec4e6c89",
            "4aa71d8f 734738c2 431fc6a8 ae6debf1",
        ),
    ],
)
def test_threefry_gives_the_published_words(rounds: int, counter: str, key: str, words: str) -> None:
    """Known answers of Random123 (Salmon et al. 2011)."""
    arrays = [np.array([int(word, 16) for word in text.split()], np.uint32)[None] for text in (key, counter, words)]
    np.testing.assert_array_equal(reference.threefry(arrays[0], arrays[1], rounds), arrays[2])


def test_random_words_are_uniform_and_differ_between_chains_and_sweeps() -> None:
    words = np.stack([reference.visit_words(5, 64, 256, sweep) for sweep in range(4)])
    ones = np.unpackbits(words.view(np.uint8)).reshape(-1, 32).mean(0)
    assert z_p_value(ones, 0.5, 0.5 / math.sqrt(words.size)) > threshold()
    assert len(np.unique(words.ravel())) > words.size - 10  # 65536 draws from 2^32 collide half a time


@RULES
@pytest.mark.parametrize("sites", [1, 2, 5, 16, 37])
@pytest.mark.parametrize("fields", ["none", "shared", "own"])
def test_kernels_and_reference_give_the_same_spins(rule: int, sites: int, fields: str) -> None:
    rng = np.random.default_rng(sites)
    couplings = glass(sites, sites, density=0.7)
    h = {"none": np.zeros(sites), "shared": rng.integers(-2, 3, sites), "own": rng.integers(-2, 3, (20, sites))}[fields]
    start = rng.choice([-1, 1], (20, sites)).astype(np.int8)
    betas, seed, first = np.linspace(0.05, 1.5, 150), 2**40 + 7, 2**33
    order = rng.permutation(sites)
    settings = {"rule": rule, "seed": seed, "first_sweep": first, "threads": 2}
    swept = run.sweep_chains(dense(couplings), h.astype(np.float32), start, betas, **settings)
    visited = run.sweep_chains(compressed(couplings, order), h.astype(np.float32), start, betas, **settings)
    plain = {"heat_bath": rule == run.HEAT_BATH, "seed": seed, "first_sweep": first}
    np.testing.assert_array_equal(swept, reference.sweep_chains(couplings, h, start, betas, **plain))
    np.testing.assert_array_equal(visited, reference.sweep_chains(couplings, h, start, betas, **plain, order=order))


@njit
def vector_log(x, out):
    lanes.store(out, 0, noise.log(lanes.load(x, 0)))


@njit
def vector_exp(x, out):
    lanes.store(out, 0, noise.exp(lanes.load(x, 0)))


def test_the_logarithm_is_that_of_float32() -> None:
    out = np.empty(16, np.float32)
    for exponent in range(-30, 33):
        x = np.float32(2.0**exponent) * np.linspace(0.7, 1.42, 16, dtype=np.float32)
        vector_log(x, out)
        np.testing.assert_allclose(out, np.log(x.astype(np.float64)), rtol=4e-7, atol=2e-8)


def test_the_exponential_is_that_of_float32_and_saturates() -> None:
    out = np.empty(16, np.float32)
    for x in np.linspace(-80, 80, 160, dtype=np.float32).reshape(10, 16):
        vector_exp(x, out)
        np.testing.assert_allclose(out, np.exp(x.astype(np.float64)), rtol=1e-5)
        np.testing.assert_allclose(out[np.abs(x) < 1], np.exp(x[np.abs(x) < 1].astype(np.float64)), rtol=4e-7)
    vector_exp(np.full(16, 1e9, np.float32) * np.array([1, -1] * 8, np.float32), out)
    assert np.all(np.isfinite(out))
    assert np.all(out[1::2] < 1e-37)


def test_local_fields_stay_right_over_a_long_run() -> None:
    rng = np.random.default_rng(1)
    upper = np.triu(rng.normal(size=(60, 60)), 1)
    couplings = (upper + upper.T).astype(np.float32)
    start = rng.choice([-1, 1], (16, 60)).astype(np.int8)
    betas = np.full(20_000, 0.05)
    settings = {"rule": run.HEAT_BATH, "seed": 1, "threads": 1}
    swept = run.sweep_chains(dense(couplings), np.zeros(60, np.float32), start, betas, **settings, first_sweep=0)
    visited = run.sweep_chains(compressed(couplings), np.zeros(60, np.float32), start, betas, **settings, first_sweep=0)
    assert (
        np.mean(swept == visited) > 0.99
    )  # the same words; a decision on the last digit is forgotten within some sweeps


@pytest.fixture(scope="module")
def model() -> dict[str, np.ndarray]:
    """Return a ten-site problem, its base distribution and both partition functions by enumeration."""
    rng = np.random.default_rng(2)
    upper = np.triu(0.5 * rng.normal(size=(10, 10)), 1)
    couplings, h, base = upper + upper.T, rng.normal(size=10), 0.3 * rng.normal(size=10)
    energies = energies_by_formula(h, couplings, all_spins(10))
    log_z = np.logaddexp.reduce(-energies)
    log_base = np.log(2 * np.cosh(base)).sum()
    names = ("couplings", "h", "base", "probabilities", "log_ratio")
    return dict(zip(names, (couplings, h, base, np.exp(-energies - log_z), log_z - log_base)))


def annealed(model: dict[str, np.ndarray], form: object, path: np.ndarray, chains: int = 6000) -> tuple[float, float]:
    """Return the mean weight over its exact value, and the standard error."""
    rng = np.random.default_rng(3)
    forward = path[0] < path[-1]
    if forward:
        up = 1 / (1 + np.exp(-2 * model["base"]))
        start = np.where(rng.random((chains, 10)) < up, 1, -1).astype(np.int8)
    else:
        start = all_spins(10).numpy()[rng.choice(1024, chains, p=model["probabilities"])]
    h, base = (model[name].astype(np.float32) for name in ("h", "base"))
    _, log_weights = run.annealed_weights(form(model["couplings"]), h, base, start, path, seed=4, threads=2)
    weights = np.exp(log_weights - (1 if forward else -1) * model["log_ratio"])
    return weights.mean(), weights.std() / math.sqrt(chains)


@pytest.mark.parametrize("form", [dense, compressed])
@pytest.mark.parametrize("steps", [2, 20, 400])
@pytest.mark.parametrize("reverse", [False, True])
def test_annealed_weights_average_to_the_ratio_of_partition_functions(
    model: dict[str, np.ndarray], form: object, steps: int, reverse: bool
) -> None:
    path = np.linspace(0, 1, steps + 1)
    mean, error = annealed(model, form, path[::-1] if reverse else path)
    assert z_p_value(mean, 1.0, error) > threshold()


@pytest.mark.parametrize("form", [dense, compressed])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_ratio_of_partition_functions_a_tenth_off_is_noticed(
    model: dict[str, np.ndarray], form: object, reverse: bool
) -> None:
    path = np.linspace(0, 1, 401)
    mean, error = annealed(model, form, path[::-1] if reverse else path)
    assert z_p_value(mean, 1.1, error) < threshold()


@pytest.mark.parametrize("form", [dense, compressed])
@pytest.mark.parametrize("descending", [False, True])
def test_annealed_weights_are_those_of_the_reference(form: object, descending: bool) -> None:
    rng = np.random.default_rng(5)
    couplings, h, base = glass(9, 5), rng.integers(-1, 2, 9), rng.integers(-1, 2, 9) / 4
    start = rng.choice([-1, 1], (20, 9)).astype(np.int8)
    path = np.linspace(0, 1, 65)[:: -1 if descending else 1]  # 64 steps: every value is exact in float32
    arrays = (h.astype(np.float32), base.astype(np.float32), start, path)
    spins, log_weights = run.annealed_weights(form(couplings), *arrays, seed=9, threads=1)
    expected = reference.annealed_weights(couplings, h, base, start, path, seed=9)
    np.testing.assert_array_equal(spins, expected[0])
    np.testing.assert_allclose(log_weights, expected[1], atol=1e-4)


def test_annealing_from_the_target_itself_has_constant_weights(model: dict[str, np.ndarray]) -> None:
    zero = np.zeros((10, 10))
    start = np.ones((20, 10), np.int8)
    base = model["base"].astype(np.float32)
    _, log_weights = run.annealed_weights(dense(zero), base, base, start, np.linspace(0, 1, 11), seed=1, threads=1)
    np.testing.assert_allclose(log_weights, 0.0, atol=1e-6)


def test_an_error_in_a_worker_reaches_the_caller() -> None:
    def fail(group: int, control: np.ndarray, worker: int) -> None:
        raise ZeroDivisionError(group)

    with pytest.raises(ZeroDivisionError):
        run.run_groups(fail, 4, 1, 2, None)


def test_progress_counts_sweeps_up_to_the_total() -> None:
    seen: list[tuple[int, int]] = []
    start = np.ones((64, 200), np.int8)
    run.sweep_chains(
        dense(glass(200, 1)),
        np.zeros(200, np.float32),
        start,
        np.full(3000, 1.0),
        rule=run.HEAT_BATH,
        seed=1,
        first_sweep=0,
        threads=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen[-1] == (12_000, 12_000)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
