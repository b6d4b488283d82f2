"""What every sampler promises, collected from the public exports: a new sampler is tested without being listed.

Draws are repeated on `replace(sampler)`, a sampler of the same settings: one that keeps chains begins without any.
"""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, fields, replace

import pytest
import torch

import spinlight.samplers
from helpers.enumeration import all_spins, boltzmann, random_ising
from helpers.statistics import law_p_value, threshold
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError
from spinlight.ising import Ising, clamp
from spinlight.samplers import AsSolver, Distributed, Gibbs, Sampler, TopK, Unique, as_dimod

CHAIN = Gibbs(sweeps=200, progress=False)
NEEDED = {
    "TopK": {"kept": 10_000_000},
    "DimodSampler": {"sampler": as_dimod(CHAIN)},
    "SolveSampler": {"solver": AsSolver(sampler=CHAIN, count=1000), "most_calls": 1000},
}


def made(kind: type[Sampler]) -> Sampler:
    """Return a sampler with its defaults; a wrapper around a short chain, an adapter around the opposite one."""
    wraps = "sampler" in inspect.signature(kind).parameters
    return kind(**({"sampler": CHAIN} if wraps else {}) | NEEDED.get(kind.__name__, {}))


SAMPLERS = [
    made(member)
    for name in spinlight.samplers.__all__
    if inspect.isclass(member := getattr(spinlight.samplers, name))
    and issubclass(member, Sampler)
    and not inspect.isabstract(member)
    and member is not Distributed  # needs a cluster: test_distributed.py
]
EVERY_SAMPLER = pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
BOLTZMANN_SAMPLER = pytest.mark.parametrize(
    "sampler", [s for s in SAMPLERS if s.law != "heuristic"], ids=lambda sampler: type(sampler).__name__
)
COUNT = 20_000


def at_beta(sampler: Sampler, beta: object) -> Sampler:
    """Return the sampler at another temperature; a wrapper's may be that of the sampler inside."""
    if any(field.name == "beta" for field in fields(sampler)):  # type: ignore[arg-type]
        return replace(sampler, beta=beta)  # type: ignore[type-var]
    return replace(sampler, sampler=replace(sampler.sampler, beta=beta))  # type: ignore[attr-defined, type-var]


def weak(sites: int, *, seed: int, density: float = 1.0, batch: int | None = None) -> Ising:
    """Return a problem without high barriers, on which the default settings reach equilibrium."""
    return random_ising(sites, seed=seed, scale=0.4, density=density, batch=batch)


def even(sites: int, *, seed: int) -> Ising:
    """Return a problem without fields, whose states come in pairs: optimisers, too, must choose."""
    return Ising(torch.zeros(sites), weak(sites, seed=seed).couplings)


def test_samplers_were_collected() -> None:
    assert {"Exact", "Gibbs", "Metropolis", "SimulatedAnnealing", "CoherentIsingMachine"} <= {
        type(sampler).__name__ for sampler in SAMPLERS
    }


@BOLTZMANN_SAMPLER
@pytest.mark.parametrize(
    ("sites", "density", "sparse"), [(7, 1.0, False), (9, 0.3, True), (1, 1.0, False), (2, 1.0, True)]
)
def test_draws_follow_the_boltzmann_law(sampler: Sampler, sites: int, density: float, sparse: bool) -> None:
    problem = weak(sites, seed=sites, density=density)
    draws = sampler.draw(problem.to_sparse() if sparse else problem, COUNT, seed=11)
    assert law_p_value(draws.spins, boltzmann(problem)) > threshold()


@BOLTZMANN_SAMPLER
@pytest.mark.parametrize("wrong", [{"beta": 1.1}, {"beta": 0.9}, {"beta": 2.0}])
def test_a_wrong_temperature_is_noticed(sampler: Sampler, wrong: dict[str, float]) -> None:
    problem = weak(7, seed=7)
    draws = sampler.draw(problem, 4 * COUNT, seed=12)
    assert law_p_value(draws.spins, boltzmann(problem, **wrong)) < threshold()


@BOLTZMANN_SAMPLER
def test_a_flipped_field_is_noticed(sampler: Sampler) -> None:
    problem = weak(7, seed=7)
    draws = sampler.draw(problem, COUNT, seed=13)
    assert law_p_value(draws.spins, boltzmann(Ising(-problem.fields, problem.couplings))) < threshold()


@BOLTZMANN_SAMPLER
def test_beta_is_the_inverse_temperature(sampler: Sampler) -> None:
    problem = weak(6, seed=3)
    draws = at_beta(sampler, 0.5).draw(problem, COUNT, seed=14)
    assert draws.info.beta == 0.5
    assert law_p_value(draws.spins, boltzmann(problem, beta=0.5)) > threshold()


@BOLTZMANN_SAMPLER
@pytest.mark.parametrize("sparse", [False, True])
def test_each_problem_of_a_batch_has_its_own_law(sampler: Sampler, sparse: bool) -> None:
    problem = weak(6, seed=4, batch=3)
    draws = sampler.draw(problem.to_sparse() if sparse else problem, COUNT, seed=15)
    assert draws.spins.shape == (3, COUNT, 6)
    for i in range(3):
        assert law_p_value(draws[i].spins, boltzmann(problem[i])) > threshold(3)
    assert law_p_value(draws[0].spins, boltzmann(problem[1])) < threshold()


@BOLTZMANN_SAMPLER
@pytest.mark.parametrize("sparse", [False, True])
def test_clamped_conditionals_follow_the_conditional_law(sampler: Sampler, sparse: bool) -> None:
    problem = weak(7, seed=5)
    joint = boltzmann(problem)
    held = torch.tensor([[1, -1], [-1, -1]])
    clamped = clamp(problem.to_sparse() if sparse else problem, [2, 5], held)
    draws = sampler.draw(clamped.problem, COUNT, seed=16)
    whole = clamped.restore(draws.spins)
    assert torch.equal(whole[..., [2, 5]], held[:, None].expand(-1, COUNT, -1).to(torch.int8))
    states = all_spins(7)
    for row in range(2):
        conditional = joint * (states[:, [2, 5]] == held[row]).all(1).numpy()
        assert law_p_value(whole[row], conditional / conditional.sum()) > threshold(2)


@pytest.mark.parametrize(
    "sampler", [s for s in SAMPLERS if not isinstance(s, Unique | TopK)], ids=lambda sampler: type(sampler).__name__
)
@pytest.mark.parametrize("batch", [None, 2])
def test_draws_have_the_promised_shapes_and_energies(sampler: Sampler, batch: int | None) -> None:
    problem = weak(5, seed=6, batch=batch)
    draws = sampler.draw(problem, 33, seed=1)
    leading = () if batch is None else (batch,)
    assert draws.spins.shape == (*leading, 33, 5)
    assert draws.spins.dtype == torch.int8
    assert draws.energies.dtype == torch.float64
    assert torch.equal(draws.energies, problem.energy(draws.spins))


@EVERY_SAMPLER
def test_the_origin_is_recorded_and_reproduces_the_draws(sampler: Sampler) -> None:
    problem = weak(6, seed=7)
    draws = sampler.draw(problem, 20)
    assert (draws.info.sampler, draws.info.law) == (type(sampler).__name__, sampler.law)
    assert draws.info.settings == sampler.settings()
    assert torch.equal(replace(sampler).draw(problem, 20, seed=draws.info.seed).spins, draws.spins)


@EVERY_SAMPLER
def test_seeds_decide_the_draws(sampler: Sampler) -> None:
    problem = even(12, seed=8)
    first, again, other = (replace(sampler).draw(problem, 50, seed=seed).spins for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(sampler.draw(problem, 50).spins, sampler.draw(problem, 50).spins)


@EVERY_SAMPLER
def test_a_generator_gives_a_new_seed_each_time(sampler: Sampler) -> None:
    problem = even(12, seed=8)
    generator, twin = (torch.Generator().manual_seed(5) for _ in range(2))
    first, second = (replace(sampler).draw(problem, 50, seed=generator).spins for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(replace(sampler).draw(problem, 50, seed=twin).spins, first)


@EVERY_SAMPLER
def test_global_random_state_is_neither_used_nor_changed(sampler: Sampler) -> None:
    problem = weak(5, seed=9)
    torch.manual_seed(3)
    before = torch.get_rng_state()
    sampler.draw(problem, 10, seed=1)
    assert torch.equal(torch.get_rng_state(), before)


@EVERY_SAMPLER
def test_samplers_are_frozen_and_travel_to_other_processes(sampler: Sampler) -> None:
    problem = weak(6, seed=10)
    twins = [copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))]
    expected = sampler.draw(problem, 10, seed=1).spins
    for twin in twins:
        assert twin == sampler
        assert torch.equal(twin.draw(problem, 10, seed=1).spins, expected)
    with pytest.raises(FrozenInstanceError):
        sampler.beta = 2.0  # type: ignore[attr-defined]


@EVERY_SAMPLER
@pytest.mark.parametrize("count", [0, -1, 2.5, True, None, 10**12])
def test_a_count_that_is_no_positive_integer_is_refused(sampler: Sampler, count: object) -> None:
    with pytest.raises(InvalidSettingError, match="count"):
        sampler.draw(weak(3, seed=1), count)  # type: ignore[arg-type]


@EVERY_SAMPLER
@pytest.mark.parametrize("problem", [None, {(0, 1): -1.0}, [[0.0, 1.0], [1.0, 0.0]], Ising])
def test_what_is_no_problem_is_refused_with_the_ways_to_make_one(sampler: Sampler, problem: object) -> None:
    with pytest.raises(InvalidProblemError, match=r"an Ising problem is needed.*ising_from_qubo"):
        sampler.draw(problem, 2)  # type: ignore[arg-type]


@EVERY_SAMPLER
@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, True, "1"])
def test_a_seed_outside_its_domain_is_refused(sampler: Sampler, seed: object) -> None:
    with pytest.raises(InvalidSettingError, match="seed"):
        sampler.draw(weak(3, seed=1), 2, seed=seed)  # type: ignore[arg-type]


@EVERY_SAMPLER
@pytest.mark.parametrize(
    "initial", [torch.ones(2, 4), torch.ones(3, 3), torch.zeros(2, 3), torch.full((2, 3), torch.nan)]
)
def test_initial_states_that_do_not_fit_are_refused(sampler: Sampler, initial: torch.Tensor) -> None:
    with pytest.raises(InvalidStateError):
        sampler.draw(weak(3, seed=1), 2, initial=initial)


@pytest.mark.parametrize(
    "sampler", [s for s in SAMPLERS if hasattr(s, "beta")], ids=lambda sampler: type(sampler).__name__
)
@pytest.mark.parametrize("beta", [-1.0, float("nan"), float("inf"), None])
def test_a_beta_outside_its_domain_is_refused(sampler: Sampler, beta: object) -> None:
    with pytest.raises(InvalidSettingError, match="beta"):
        at_beta(sampler, beta)


@pytest.mark.parametrize(
    "sampler", [s for s in SAMPLERS if not isinstance(s, Unique)], ids=lambda sampler: type(sampler).__name__
)
def test_a_problem_without_couplings_or_fields_is_flat(sampler: Sampler) -> None:
    problem = Ising(torch.zeros(3), torch.zeros(3, 3))
    # A machine without noise stays where it is put.
    start = None if sampler.law == "heuristic" else torch.ones(COUNT, 3)
    draws = sampler.draw(problem, COUNT, seed=17, initial=start)
    assert law_p_value(draws.spins, boltzmann(problem)) > threshold()
