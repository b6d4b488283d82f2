"""Machines are ordinary modules: they copy, pickle, save and load, move, and start where they should."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from helpers.enumeration import all_bits
from helpers.machines import machines, random_machine
from spinlight._errors import InvalidStateError, ProblemTooLargeError
from spinlight.models import (
    AbstractBoltzmannMachine,
    BoltzmannMachine,
    DeepBeliefNetwork,
    GaussianBernoulliRBM,
    RestrictedBoltzmannMachine,
    SparseBoltzmannMachine,
)

every_machine = pytest.mark.parametrize("machine", machines(), ids=str)


@every_machine
@pytest.mark.parametrize("again", [copy.deepcopy, lambda machine: pickle.loads(pickle.dumps(machine))])
def test_copies_have_the_same_energies(machine: AbstractBoltzmannMachine, again) -> None:
    bits = all_bits(machine.num_nodes)
    assert torch.equal(again(machine)(bits), machine(bits))


@every_machine
def test_a_state_dict_survives_a_file_loaded_with_weights_only(machine: AbstractBoltzmannMachine) -> None:
    file = io.BytesIO()
    torch.save(machine.state_dict(), file)
    file.seek(0)
    other = random_machine(copy.deepcopy(machine), seed=99)
    bits = all_bits(machine.num_nodes)
    assert not torch.equal(other(bits), machine(bits))
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(bits), machine(bits))


@every_machine
def test_the_state_dict_holds_the_parameters_and_the_edges_where_there_are_any(
    machine: AbstractBoltzmannMachine,
) -> None:
    edges = {"pairs", "names"} if isinstance(machine, SparseBoltzmannMachine) else set()
    edges |= set() if isinstance(machine, RestrictedBoltzmannMachine) else {"hidden_nodes"}
    assert set(machine.state_dict()) == {name for name, _ in machine.named_parameters()} | edges


@every_machine
def test_the_named_parameters_are_the_biases_and_the_weights(machine: AbstractBoltzmannMachine) -> None:
    parts = [*machine.bias_parameters, machine.weight_parameter]
    assert {id(part) for part in parts} == {id(parameter) for parameter in machine.parameters()}
    biases, weights = machine.biases_and_weights()
    assert torch.equal(torch.cat(list(machine.bias_parameters)), biases)
    found, held = (part.detach().flatten().sort().values for part in (weights.triu(1), machine.weight_parameter))
    assert torch.equal(found[found != 0], held)


@every_machine
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_energies_have_the_dtype_of_the_parameters(machine: AbstractBoltzmannMachine, dtype: torch.dtype) -> None:
    assert copy.deepcopy(machine).to(dtype)(all_bits(machine.num_nodes)).dtype == dtype


@every_machine
def test_the_weights_are_symmetric_with_a_zero_diagonal_after_an_optimiser_step(
    machine: AbstractBoltzmannMachine,
) -> None:
    moved = copy.deepcopy(machine)
    moved(torch.ones(moved.num_nodes)).backward()
    torch.optim.SGD(moved.parameters(), lr=1.0).step()
    _, weights = moved.biases_and_weights()
    assert torch.equal(weights, weights.T)
    assert not weights.diagonal().any()


def test_a_fully_connected_machine_has_one_parameter_per_pair() -> None:
    assert sum(parameter.numel() for parameter in BoltzmannMachine(7, 3).parameters()) == 7 + 21


def visible_biases(machine: AbstractBoltzmannMachine) -> Tensor:
    return machine.biases_and_weights()[0][: machine.num_visible]


@pytest.mark.parametrize("machine", [BoltzmannMachine(3), BoltzmannMachine(5, 2), RestrictedBoltzmannMachine(3, 2)])
def test_biases_initialised_from_data_are_smoothed_log_odds(machine: AbstractBoltzmannMachine) -> None:
    machine.initialize_biases(torch.tensor([[0, 1, 1], [0, 1, 0]]))
    torch.testing.assert_close(visible_biases(machine), torch.tensor([1 / 3, 3.0, 1.0]).log())
    assert isinstance(next(machine.parameters()), nn.Parameter)


def test_biases_are_not_initialised_from_rows_of_another_length() -> None:
    with pytest.raises(InvalidStateError, match="3 entries"):
        BoltzmannMachine(3).initialize_biases(torch.zeros(2, 4))


@pytest.mark.parametrize(
    "make",
    [
        lambda: RestrictedBoltzmannMachine(784, 10**9),
        lambda: GaussianBernoulliRBM(10**6, 10**6),
        lambda: BoltzmannMachine(10**6),
        lambda: DeepBeliefNetwork([784, 10**6, 10**6]),
    ],
    ids=["restricted", "gaussian", "full", "deep"],
)
def test_a_machine_that_no_memory_holds_is_refused_by_name(make: Callable[[], object]) -> None:
    with pytest.raises(
        ProblemTooLargeError, match=r"the weights take [\d,]+ GiB, and this computer has \d+; take fewer units"
    ):
        make()
