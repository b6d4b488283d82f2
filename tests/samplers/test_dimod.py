"""dimod samplers as ours and ours as dimod samplers: energies over all states, real peers, dimod's own suite."""

from __future__ import annotations

import copy
import json
import pickle
import unittest
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from helpers.enumeration import all_spins, boltzmann, enumerate_energies, random_ising, state_numbers
from helpers.statistics import law_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError, MissingExtraError, SolverError
from spinlight.ising import Ising, dimod_from_ising
from spinlight.samplers import (
    DimodSampler,
    Exact,
    Gibbs,
    Quantized,
    SimulatedAnnealing,
    TopK,
    Unique,
    as_dimod,
)

dimod = pytest.importorskip("dimod")
pytest.importorskip("dimod.testing")

FERROMAGNET = Ising([0.5, 0.0], [[0.0, 1.0], [1.0, 0.0]])
PAIRS = Ising(torch.zeros(12), torch.block_diag(*[torch.tensor([[0.0, 1.0], [1.0, 0.0]])] * 6))
"""Six pairs, 64 ground states."""


def peers() -> list[Any]:
    """Return samplers that others wrote, with the arguments of a short run."""
    dwave, openjij = pytest.importorskip("dwave.samplers"), pytest.importorskip("openjij")
    return [
        (dwave.SimulatedAnnealingSampler(), {"num_sweeps": 50}),
        (dwave.SteepestDescentSampler(), {}),
        (dwave.TabuSampler(), {"timeout": 5}),
        (dwave.RandomSampler(), {}),
        (dimod.ExactSolver(), {}),
        (openjij.SASampler(), {"num_sweeps": 50}),
    ]


class Recorder(dimod.Sampler):
    """Answers with what it is told to, and remembers what it was asked."""

    properties: Mapping[str, Any] = {}
    parameters: Mapping[str, Any] = {"num_reads": [], "seed": [], "initial_states": [], "speed": []}

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[dict[str, Any]] = []

    def sample(self, bqm: Any, **arguments: Any) -> Any:
        self.asked.append(arguments)
        answer = self.answers[(len(self.asked) - 1) % len(self.answers)]
        return answer(bqm, arguments) if callable(answer) else answer


def up(bqm: Any, arguments: dict[str, Any]) -> Any:
    """Return as many states with all spins up as were asked for."""
    return dimod.SampleSet.from_samples_bqm(
        (np.ones((arguments["num_reads"], len(bqm)), np.int8), list(bqm.variables)), bqm
    )


# --- their samplers as ours -------------------------------------------------------------------------------------------------


def test_all_states_of_an_exact_solver_have_the_enumerated_energies() -> None:
    problem = random_ising(5, seed=1)
    draws = DimodSampler(sampler=dimod.ExactSolver()).draw(problem, 32)
    numbers = state_numbers(draws.spins)
    assert sorted(numbers.tolist()) == list(range(32))
    np.testing.assert_allclose(draws.energies, enumerate_energies(problem)[numbers], atol=1e-12)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_greedy_peer_finds_the_ground_state_and_a_flipped_sign_would_be_noticed(sign: float) -> None:
    descent = pytest.importorskip("dwave.samplers").SteepestDescentSampler()
    problem = random_ising(6, seed=2)
    handed = Ising(sign * problem.fields, sign * problem.couplings)
    lowest = problem.energy(DimodSampler(sampler=descent).draw(handed, 200, seed=1).spins).min()
    assert (abs(lowest.item() - enumerate_energies(problem).min()) < 1e-9) == (sign > 0)


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize("batch", [None, 2])
def test_peers_return_as_many_states_as_asked_with_our_energies(number: int, batch: int | None) -> None:
    peer, arguments = peers()[number]
    problem = random_ising(6, seed=3, batch=batch)
    draws = DimodSampler(sampler=peer, arguments=arguments).draw(problem, 9, seed=1)
    assert draws.spins.shape == ((9, 6) if batch is None else (2, 9, 6))
    assert torch.equal(draws.energies, problem.energy(draws.spins))
    assert len(draws.info.details["answers"]) == draws.info.details["calls"] == (batch or 1)
    assert json.loads(json.dumps(draws.info.details)) == draws.info.details
    assert json.loads(json.dumps(draws.info.settings)) == draws.info.settings


@pytest.mark.parametrize("number", [0, 1, 3, 5])
def test_a_seeded_peer_repeats_its_draws(number: int) -> None:
    peer, arguments = peers()[number]
    sampler, problem = DimodSampler(sampler=peer, arguments=arguments), PAIRS
    first, again, other = (sampler.draw(problem, 5, seed=seed) for seed in (1, 1, 2))
    assert first.info.details["seeded"] is True
    assert torch.equal(first.spins, again.spins)
    assert not torch.equal(first.spins, other.spins)


def test_a_peer_without_seeds_says_so() -> None:
    assert DimodSampler(sampler=dimod.ExactSolver()).draw(FERROMAGNET, 1).info.details["seeded"] is False


def test_openjij_repeats_one_read_unless_it_is_asked_for_one_at_a_time() -> None:
    openjij = pytest.importorskip("openjij")
    at_once, singly = (DimodSampler(sampler=openjij.SASampler(), states_per_call=most) for most in (None, 1))
    assert len(at_once.draw(PAIRS, 20, seed=1).unique()) == 1
    assert len(singly.draw(PAIRS, 20, seed=1).unique()) > 10


def test_the_model_is_handed_over_with_its_arguments_a_seed_and_the_reads_wanted() -> None:
    recorder = Recorder(up)
    DimodSampler(sampler=recorder, arguments={"speed": 3}, states_per_call=4).draw(FERROMAGNET, 10, seed=5)
    assert [asked["num_reads"] for asked in recorder.asked] == [4, 4, 2]
    assert {asked["speed"] for asked in recorder.asked} == {3}
    seeds = {asked["seed"] for asked in recorder.asked}
    assert len(seeds) == 3
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert all("initial_states" not in asked for asked in recorder.asked)


def test_initial_states_go_to_the_call_that_makes_their_draws() -> None:
    recorder, initial = Recorder(up), all_spins(2)
    DimodSampler(sampler=recorder, states_per_call=3).draw(FERROMAGNET, 4, initial=initial)
    states = [asked["initial_states"] for asked in recorder.asked]
    assert [rows.tolist() for rows, _ in states] == [initial[:3].tolist(), initial[3:].tolist()]
    assert states[0][1] == [0, 1]


@pytest.mark.parametrize("batch", [None, 2])
def test_a_sampler_that_returns_its_initial_states_returns_ours(batch: int | None) -> None:
    problem = random_ising(3, seed=4, batch=batch)
    initial = all_spins(3) if batch is None else torch.stack([all_spins(3), -all_spins(3)])
    draws = DimodSampler(sampler=dimod.IdentitySampler()).draw(problem, 8, initial=initial)
    assert torch.equal(draws.spins, initial)


def test_rows_become_as_many_draws_as_they_occurred() -> None:
    answer = dimod.SampleSet.from_samples([[1, 1], [-1, 1]], "SPIN", energy=[0, 0], num_occurrences=[3, 2])
    draws = DimodSampler(sampler=Recorder(answer)).draw(FERROMAGNET, 5)
    assert draws.spins.tolist() == [[1, 1]] * 3 + [[-1, 1]] * 2


def test_bits_and_columns_in_another_order_are_understood() -> None:
    answer = dimod.SampleSet.from_samples(([[0, 1]], [1, 0]), "BINARY", energy=[7.0])
    draws = DimodSampler(sampler=Recorder(answer)).draw(FERROMAGNET, 1)
    assert draws.spins.tolist() == [[1, -1]]
    assert draws.energies.tolist() == FERROMAGNET.energy(draws.spins).tolist()


def test_what_is_returned_beyond_the_count_is_cut_in_the_order_it_came() -> None:
    answer = dimod.SampleSet.from_samples([[1, -1], [1, 1], [-1, -1]], "SPIN", energy=[0, 0, 0])
    assert DimodSampler(sampler=Recorder(answer)).draw(FERROMAGNET, 2).spins.tolist() == [[1, -1], [1, 1]]


def test_what_a_sampler_reports_becomes_plain_json() -> None:
    info = {"times": np.arange(2), "rate": np.float64(0.5), ("a", 1): {"x"}, "none": None, "when": range(2)}
    answer = dimod.SampleSet.from_samples([[1, 1]], "SPIN", energy=[0], info=info)
    draws = DimodSampler(sampler=Recorder(answer)).draw(FERROMAGNET, 1)
    expected = {"times": [0, 1], "rate": 0.5, "('a', 1)": ["x"], "none": None, "when": "range(0, 2)"}
    assert draws.info.details["answers"] == [expected]


def test_too_few_states_are_an_error_that_keeps_them() -> None:
    answer = dimod.SampleSet.from_samples([[1, 1]], "SPIN", energy=[0])
    with pytest.raises(SolverError, match=r"2 call.* brought 2 of 3 states") as caught:
        DimodSampler(sampler=Recorder(answer), most_calls=2).draw(FERROMAGNET, 3)
    assert [states.tolist() for states in caught.value.states] == [[[1, 1], [1, 1]]]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_no_states_are_an_error_that_keeps_those_of_other_problems() -> None:
    problem = random_ising(2, seed=1, batch=2)
    with pytest.raises(SolverError, match="Recorder returned no states") as caught:
        DimodSampler(sampler=Recorder(up, dimod.NullSampler().sample(dimod_from_ising(FERROMAGNET)))).draw(problem, 4)
    assert [len(states) for states in caught.value.states] == [4]


@pytest.mark.parametrize(
    "answer", [None, [[1, 1]], dimod.SampleSet.from_samples([[1]], "SPIN", energy=[0])], ids=["none", "rows", "partial"]
)
def test_what_is_no_sample_set_of_the_model_is_refused(answer: Any) -> None:
    with pytest.raises(InvalidStateError, match="SampleSet over the 2 variables"):
        DimodSampler(sampler=Recorder(answer)).draw(FERROMAGNET, 1)


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"sampler": Gibbs()}, r"dimod\.Sampler object, got Gibbs"),
        ({"sampler": dimod.ExactSolver}, "dimod"),
        ({"arguments": {"sped": 1}}, "no argument 'sped', but initial_states, num_reads, seed, speed"),
        ({"arguments": {"seed": 1}}, "seed is filled in by draw"),
        ({"arguments": {"num_reads": 1}}, "num_reads is filled in by draw"),
        ({"states_per_call": 0}, "states_per_call"),
        ({"most_calls": 0}, "most_calls"),
    ],
)
def test_settings_outside_their_domain_are_refused(settings: dict[str, Any], word: str) -> None:
    with pytest.raises(InvalidSettingError, match=word):
        DimodSampler(**{"sampler": Recorder()} | settings)


def test_arguments_that_only_the_signature_names_are_taken() -> None:
    openjij = pytest.importorskip("openjij")
    assert "num_sweeps" not in openjij.SASampler().parameters
    assert DimodSampler(sampler=openjij.SASampler(), arguments={"num_sweeps": 5}).arguments == {"num_sweeps": 5}
    with pytest.raises(InvalidSettingError, match="bqm"):
        DimodSampler(sampler=openjij.SASampler(), arguments={"bqm": None})


def test_more_calls_than_allowed_are_refused_before_the_first() -> None:
    recorder = Recorder(up)
    with pytest.raises(InvalidSettingError, match="7 states at 2 a call need 4 calls, and most_calls is 3"):
        DimodSampler(sampler=recorder, states_per_call=2, most_calls=3).draw(FERROMAGNET, 7)
    assert recorder.asked == []


def test_initial_states_for_a_sampler_without_them_are_refused() -> None:
    with pytest.raises(InvalidSettingError, match="ExactSolver takes no initial states"):
        DimodSampler(sampler=dimod.ExactSolver()).draw(FERROMAGNET, 4, initial=all_spins(2))


def test_what_a_sampler_holds_is_neither_shown_nor_recorded() -> None:
    recorder = Recorder(up)
    recorder.token = "SECRET"
    recorder.__class__.__repr__ = lambda self: self.token  # type: ignore[method-assign]
    sampler = TopK(sampler=Quantized(sampler=DimodSampler(sampler=recorder)), kept=1)
    assert "SECRET" not in repr(sampler)
    assert "SECRET" not in json.dumps(sampler.settings())
    assert sampler.settings()["sampler"]["sampler"]["sampler"] == "Recorder"


def test_a_missing_dimod_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dimod", None)
    for make in (lambda: DimodSampler(sampler=None), lambda: as_dimod(Gibbs())):
        with pytest.raises(MissingExtraError, match=r"pip install 'spinlight\[dimod\]'"):
            make()


# --- our samplers as theirs -------------------------------------------------------------------------------------------------


def annealer() -> Any:
    return as_dimod(SimulatedAnnealing(sweeps=20, beta=3.0, progress=False))


def exact() -> Any:
    return as_dimod(Exact())


@dimod.testing.load_sampler_bqm_tests(annealer)
@dimod.testing.load_sampler_bqm_tests(exact)
class TestDimodsOwnSuite(unittest.TestCase):
    """What dimod asks of every sampler, energies and variables of small models over spins and bits."""

    def test_api(self) -> None:
        dimod.testing.assert_sampler_api(annealer())


def test_dimods_suite_has_tests() -> None:
    assert sum(name.startswith("test_sample") for name in dir(TestDimodsOwnSuite)) > 20


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
@pytest.mark.parametrize("sign", [1, -1])
def test_samples_of_a_model_follow_its_boltzmann_law(vartype: str, sign: int) -> None:
    model = dimod.generators.gnm_random_bqm(["c", 0, ("b", 1), "a"], 5, vartype, random_state=3)
    samples = exact().sample(model, num_reads=20_000, seed=1)
    dimod.testing.assert_sampleset_energies(samples, model)
    columns = [samples.variables.index(name) for name in model.variables]
    spins = samples.change_vartype("SPIN", inplace=False).record.sample[:, columns]
    energies = sign * model.spin.energies((all_spins(4).numpy(), list(model.variables)))
    law = np.exp(-energies) / np.exp(-energies).sum()
    assert (law_p_value(torch.from_numpy(spins), law) > threshold()) is (sign > 0)


def test_labels_and_vartype_are_kept() -> None:
    model = dimod.BinaryQuadraticModel({1: 1.0, 0: -1.0, "x": 2.0}, {(1, "x"): 0.5}, "BINARY")
    best = exact().sample(model, num_reads=500, seed=1).first
    assert dict(best.sample) == {1: 0, 0: 1, "x": 0}
    assert best.energy == -1.0


@pytest.mark.parametrize("density", [0.2, 1.0])
def test_crowded_and_sparse_models_give_the_same_law(density: float) -> None:
    problem = random_ising(6, seed=5, scale=0.4, density=density)
    samples = as_dimod(Gibbs(progress=False)).sample(dimod_from_ising(problem), num_reads=20_000, seed=2)
    assert law_p_value(torch.from_numpy(samples.record.sample), boltzmann(problem)) > threshold()


def test_a_seed_repeats_the_samples_and_is_reported() -> None:
    model = dimod_from_ising(random_ising(8, seed=6, scale=0.1))
    first, again, other, free = (annealer().sample(model, num_reads=5, seed=seed) for seed in (1, 1, 2, None))
    assert (first.record.sample == again.record.sample).all()
    assert not (first.record.sample == other.record.sample).all()
    repeated = annealer().sample(model, num_reads=5, seed=free.info["seed"])
    assert (free.record.sample == repeated.record.sample).all()
    assert first.info["sampler"] == "SimulatedAnnealing"


STILL = Gibbs(sweeps=1, beta=50.0, progress=False)
"""At this temperature a strong ferromagnet stays in whichever of its ground states it starts in."""
CHAIN = dimod.BinaryQuadraticModel({}, {("b", "a"): -1.0, ("a", "c"): -1.0}, "SPIN")


@pytest.mark.parametrize(
    "states",
    [
        {"a": -1, "b": -1, "c": -1},
        ([[-1, -1, -1]], ["c", "b", "a"]),
        dimod.SampleSet.from_samples([{"a": 0, "b": 0, "c": 0}], "BINARY", energy=0),
    ],
    ids=["dict", "array", "bits"],
)
def test_initial_states_are_where_chains_start(states: Any) -> None:
    found = as_dimod(STILL).sample(CHAIN, initial_states=states, num_reads=8, initial_states_generator="tile", seed=1)
    assert (found.record.sample == -1).all()
    assert len(found) == 8
    assert len(as_dimod(STILL).sample(CHAIN, initial_states=states)) == 1


def test_initial_states_follow_their_labels() -> None:
    """Uncoupled spins at an infinite field for one only: the order of the columns decides."""
    free = dimod.BinaryQuadraticModel({"b": 0.0, "a": 0.0}, {("b", "a"): 0.0}, "SPIN")
    kept = as_dimod(DimodSampler(sampler=dimod.IdentitySampler())).sample(free, initial_states={"a": 1, "b": -1})
    assert dict(kept.first.sample) == {"a": 1, "b": -1}


def test_missing_initial_states_are_filled_up_as_dimod_does() -> None:
    still = as_dimod(DimodSampler(sampler=dimod.IdentitySampler()))
    up = {"a": 1, "b": 1, "c": 1}
    found = still.sample(CHAIN, initial_states=up, num_reads=50, seed=1)
    assert (found.record.sample[0] == 1).all()
    assert not (found.record.sample[1:] == 1).all()
    with pytest.raises(ValueError, match="insufficient number of initial states"):
        still.sample(CHAIN, initial_states=up, num_reads=2, initial_states_generator="none")
    with pytest.raises(ValueError, match="mismatch between variables"):
        still.sample(CHAIN, initial_states={"a": 1})


def test_an_empty_model_has_one_state_its_offset() -> None:
    for vartype in ("SPIN", "BINARY"):
        samples = annealer().sample(dimod.BinaryQuadraticModel({}, {}, 1.5, vartype), num_reads=3)
        assert (len(samples), len(samples.variables), samples.record.energy.tolist()) == (3, 0, [1.5] * 3)


def test_unknown_arguments_are_refused_as_dimod_does() -> None:
    with pytest.warns(dimod.exceptions.SamplerUnknownArgWarning, match="num_sweeps"):
        annealer().sample(CHAIN, num_sweeps=3)


@pytest.mark.parametrize("wrong", [{"num_reads": 0}, {"num_reads": 1.5}, {"seed": -1}])
def test_arguments_outside_their_domain_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidSettingError, match=next(iter(wrong))):
        annealer().sample(CHAIN, **wrong)


@pytest.mark.parametrize("sampler", [None, Gibbs, dimod.ExactSolver()])
def test_what_is_no_sampler_of_ours_is_refused(sampler: Any) -> None:
    with pytest.raises(InvalidSettingError, match="sampler"):
        as_dimod(sampler)


def test_multiplicities_become_occurrences() -> None:
    model = dimod_from_ising(FERROMAGNET)
    assert len(as_dimod(Unique(sampler=Exact())).sample(model, num_reads=200, seed=1)) == 4


def test_properties_say_what_is_inside() -> None:
    properties = annealer().properties
    assert (properties["sampler"], properties["law"], properties["settings"]["sweeps"]) == (
        "SimulatedAnnealing",
        "asymptotic",
        20,
    )
    assert {name for values in annealer().parameters.values() for name in values} <= set(properties)


def test_it_travels_to_other_processes() -> None:
    sampler = annealer()
    for twin in (copy.deepcopy(sampler), pickle.loads(pickle.dumps(sampler))):
        assert twin == sampler
        assert (twin.sample(CHAIN, seed=1).record.sample == sampler.sample(CHAIN, seed=1).record.sample).all()


def test_there_and_back_is_the_sampler_itself() -> None:
    problem = random_ising(6, seed=7, scale=0.4)
    draws = DimodSampler(sampler=exact()).draw(problem, 20_000, seed=1)
    assert law_p_value(draws.spins, boltzmann(problem)) > threshold()
    assert law_p_value(draws.spins, boltzmann(Ising(-problem.fields, problem.couplings))) < threshold()
