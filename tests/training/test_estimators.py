"""What every estimator of log Z promises, collected from the public exports: a new one is tested without being listed."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

import spinlight.training
from helpers.enumeration import log_partition, random_ising
from helpers.machines import random_machine
from helpers.statistics import threshold, z_p_value
from spinlight._errors import InvalidProblemError, InvalidSettingError
from spinlight.ising import Ising, LogPartition
from spinlight.models import BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.training import AnnealedImportance, DrawnPartition, TemperedPartition
from spinlight.training.partition import problem_of

ESTIMATORS = [
    member()
    for name in spinlight.training.__all__
    if inspect.isclass(member := getattr(spinlight.training, name))
    and not inspect.isabstract(member)
    and not getattr(member, "_is_protocol", False)
    and getattr(getattr(member, "estimate", None), "__annotations__", {}).get("return") == "LogPartition"
]


def two_wells(sites: int, field: float = 0.0) -> Ising:
    """Return a ferromagnet in which every pair of spins agrees, at three times the coupling at which it orders: two wells."""
    couplings = 3.0 / sites * (torch.ones(sites, sites) - torch.eye(sites))
    return Ising(torch.full((sites,), field), couplings, 0.5)


MODELS = {
    "dense": random_ising(9, seed=1, scale=0.6),
    "sparse": random_ising(10, seed=2, density=0.3).to_sparse(),
    "two wells": two_wells(10),
    "two uneven wells": two_wells(10, 0.1),
    "one spin": Ising(torch.tensor([0.7]), torch.zeros(1, 1)),
    "machine": random_machine(BoltzmannMachine(7, 2), seed=3, scale=1.5),
    "restricted, few visible": random_machine(RestrictedBoltzmannMachine(4, 6), seed=4, scale=1.5),
    "restricted, few hidden": random_machine(RestrictedBoltzmannMachine(7, 3), seed=5, scale=1.5),
}
EVERY_ESTIMATOR = pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
EVERY_MODEL = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)


def estimated(estimator, model) -> LogPartition:
    return estimator.estimate(model, seed=11)


def test_estimators_were_collected() -> None:
    assert {"ExactPartition", "AnnealedImportance", "ReverseAnnealed", "TemperedPartition", "DrawnPartition"} <= {
        type(estimator).__name__ for estimator in ESTIMATORS
    }


@EVERY_ESTIMATOR
@EVERY_MODEL
def test_the_bounds_enclose_the_exact_value(estimator, model) -> None:
    found, exact = estimated(estimator, model), log_partition(problem_of(model))
    # Three standard errors are what users are promised, and so what is checked; the seeds are fixed. 1e-6 is for one spin, whose
    # weights have no variance and whose field the kernels round to float32.
    assert found.lower - 3 * found.standard_error - 1e-6 <= exact <= found.upper + 3 * found.standard_error + 1e-6
    assert found.lower <= found.value <= found.upper


@EVERY_ESTIMATOR
@EVERY_MODEL
def test_values_lie_where_their_standard_error_says(estimator, model) -> None:
    found, problem = estimated(estimator, model), problem_of(model)
    error = math.hypot(found.standard_error, 1e-6)
    assert z_p_value(found.value, log_partition(problem), error) > threshold()
    assert z_p_value(found.value, log_partition(problem, 1.1), error) < threshold()


@EVERY_ESTIMATOR
def test_the_same_seed_gives_the_same_estimate_and_leaves_the_global_generator_alone(estimator) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    assert estimated(estimator, MODELS["machine"]) == estimated(estimator, MODELS["machine"])
    assert torch.equal(torch.get_rng_state(), before)


@EVERY_ESTIMATOR
def test_a_batch_is_refused(estimator) -> None:
    with pytest.raises(InvalidSettingError, match="not a batch"):
        estimator.estimate(random_ising(3, seed=1, batch=2))


@EVERY_ESTIMATOR
def test_what_has_no_ising_problem_is_refused(estimator) -> None:
    with pytest.raises(InvalidProblemError, match="got a str"):
        estimator.estimate("x")


@EVERY_ESTIMATOR
@pytest.mark.parametrize("seed", [-1, 2**63, "x"])
def test_impossible_seeds_are_refused(estimator, seed: object) -> None:
    if type(estimator).__name__ != "ExactPartition":
        with pytest.raises(InvalidSettingError, match="seed"):
            estimator.estimate(MODELS["one spin"], seed=seed)


def test_a_bound_is_finite_on_one_side_at_most() -> None:
    below, around = AnnealedImportance(), TemperedPartition()
    assert estimated(below, MODELS["dense"]).upper == math.inf
    assert estimated(DrawnPartition(), MODELS["dense"]).upper == math.inf
    assert (estimated(around, MODELS["dense"]).lower, estimated(around, MODELS["dense"]).upper) == (-math.inf, math.inf)
