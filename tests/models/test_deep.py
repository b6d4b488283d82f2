"""The deep belief network: its laws by enumeration, and that machines stack to what they were."""

from __future__ import annotations

import copy
import io
import pickle

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from helpers.deep import all_layers, exact_bound, exact_log_likelihood, log_joint, log_posterior, random_network
from helpers.enumeration import all_bits, state_numbers
from helpers.machines import CoolingSampler, TableSampler, random_machine
from helpers.statistics import counts_p_value, law_p_value, mean_p_value, threshold
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.models import BoltzmannMachine, DeepBeliefNetwork, RestrictedBoltzmannMachine
from spinlight.samplers import Exact
from spinlight.training import ExactPartition

DRAWS = 20_000
SIZES = [4, 3, 2, 3]


def machine_of(visible: int, hidden: int, seed: int) -> RestrictedBoltzmannMachine:
    machine = random_machine(RestrictedBoltzmannMachine(visible, hidden), seed)
    assert isinstance(machine, RestrictedBoltzmannMachine)
    return machine


def rbm_log_likelihood(machine: RestrictedBoltzmannMachine, visible: Tensor) -> Tensor:
    return -machine.free_energy(visible) - ExactPartition().estimate(machine).value


def test_the_enumerated_law_is_one() -> None:
    likelihoods = exact_log_likelihood(random_network(SIZES, seed=1), all_bits(4)).detach()
    assert float(likelihoods.exp().sum()) == pytest.approx(1, abs=1e-12)


def test_log_probabilities_of_layers_are_those_of_their_units_one_by_one() -> None:
    network = random_network(SIZES, seed=1)
    layers = all_layers(network, all_bits(4))
    found = network.log_generative(layers) - network.top.free_energy(layers[-1])
    expected = log_joint(network, layers) + ExactPartition().estimate(network.top).value
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(network.log_recognition(layers), log_posterior(network, layers))


def test_the_way_up_draws_from_q() -> None:
    network, visible = random_network(SIZES, seed=2), torch.tensor([[1.0, 0.0, 1.0, 1.0]])
    states = network.draw_up(visible.expand(DRAWS, -1), seed=3)
    assert [state.shape[-1] for state in states] == SIZES[:-1]
    law = log_posterior(network, all_layers(network, visible))[0].exp().detach().numpy()
    drawn = torch.cat(states[1:], -1)
    assert law_p_value(2 * drawn - 1, law) > threshold()
    assert law_p_value(2 * drawn - 1, np.full(32, 1 / 32)) < threshold()


def test_fewer_levels_up_are_the_first_of_all_levels() -> None:
    network, visible = random_network(SIZES, seed=2), all_bits(4)
    whole = network.draw_up(visible, seed=3)
    for levels in range(3):
        part = network.draw_up(visible, seed=3, levels=levels)
        assert len(part) == levels + 1
        assert all(torch.equal(one, other) for one, other in zip(part, whole))


def test_samples_follow_the_law_of_the_network() -> None:
    network = random_network(SIZES, seed=4)
    rows = network.sample(Exact(), DRAWS, seed=5)
    assert rows.dtype == torch.int8
    law = exact_log_likelihood(network, all_bits(4)).exp().detach().numpy()
    assert law_p_value(2 * rows - 1, law) > threshold()
    other = exact_log_likelihood(random_network(SIZES, seed=6), all_bits(4)).exp().detach().numpy()
    assert law_p_value(2 * rows - 1, other) < threshold()


def test_the_way_down_draws_each_layer_given_the_one_above() -> None:
    network = random_network([3, 2, 2], seed=7)
    below = network.draw_down(torch.tensor([1.0, 0.0]).expand(DRAWS, -1), seed=8)
    up = torch.sigmoid(network.generative[0](torch.tensor([1.0, 0.0], dtype=torch.float64)))
    law = torch.where(all_bits(3) == 1, up, 1 - up).prod(-1).detach().numpy()
    counts = np.bincount(state_numbers(2 * below[0] - 1).numpy(), minlength=8)
    assert [len(below), below[0].dtype] == [2, torch.float64]
    assert counts_p_value(counts, law) > threshold()
    assert counts_p_value(counts, law[::-1].copy()) < threshold()


def test_weighted_draws_of_the_top_machine_are_resampled() -> None:
    network = random_network([3, 2, 2], seed=7)
    rows = network.sample(TableSampler(weighted=True), DRAWS, seed=5)
    law = exact_log_likelihood(network, all_bits(3)).exp().detach().numpy()
    assert law_p_value(2 * rows - 1, law) > threshold()


def test_weights_average_to_the_likelihood_and_their_logs_to_the_bound() -> None:
    network, visible = random_network(SIZES, seed=9), torch.tensor([[0.0, 1.0, 1.0, 0.0]])
    log_weights = network.log_weights(visible.expand(DRAWS, -1), seed=10).double()
    log_weights -= ExactPartition().estimate(network.top).value
    bound, likelihood = exact_bound(network, visible).detach(), exact_log_likelihood(network, visible).detach()
    assert mean_p_value(log_weights, bound) > threshold()
    assert mean_p_value(log_weights.exp(), likelihood.exp()) > threshold()
    assert mean_p_value(log_weights, likelihood) < threshold()


def test_the_bound_is_below_the_likelihood_and_meets_it_where_q_is_the_posterior() -> None:
    network = random_network(SIZES, seed=9)
    assert bool((exact_bound(network, all_bits(4)) < exact_log_likelihood(network, all_bits(4))).all())
    # Without weights the layers are independent, and q is the posterior if it has the biases of the law itself.
    network = random_network([4, 3, 2], seed=9, scale=0.0)
    network.top.visible_bias.data.fill_(0.7)
    network.recognition[0].bias.data.fill_(0.7)
    torch.testing.assert_close(exact_bound(network, all_bits(4)), exact_log_likelihood(network, all_bits(4)))


def test_a_network_of_two_layers_is_its_machine() -> None:
    network, machine, visible = DeepBeliefNetwork([4, 3]).double(), machine_of(4, 3, seed=1), all_bits(4)
    network.place(0, machine)
    log_weights = network.log_weights(visible, seed=0) - ExactPartition().estimate(machine).value
    torch.testing.assert_close(log_weights, rbm_log_likelihood(machine, visible).detach())
    torch.testing.assert_close(network(visible), machine.hidden_probabilities(visible))


def test_a_machine_on_top_that_is_the_one_below_upside_down_leaves_the_likelihood_as_it_is() -> None:
    below = machine_of(4, 3, seed=1)
    above = copy.deepcopy(machine_of(3, 4, seed=2))
    for target, source in [
        (above.weight, below.weight.T),
        (above.visible_bias, below.hidden_bias),
        (above.hidden_bias, below.visible_bias),
    ]:
        target.data.copy_(source.data)
    network = DeepBeliefNetwork([4, 3, 4]).double()
    network.place(0, below)
    network.place(1, above)
    expected = rbm_log_likelihood(below, all_bits(4)).detach()
    torch.testing.assert_close(exact_log_likelihood(network, all_bits(4)).detach(), expected)
    torch.testing.assert_close(
        exact_bound(network, all_bits(4)).detach(), expected
    )  # q is that machine's own posterior
    network.place(1, machine_of(3, 4, seed=2))  # any other machine: another model, and the bound is no equality
    likelihood, bound = (f(network, all_bits(4)).detach() for f in (exact_log_likelihood, exact_bound))
    assert float((likelihood - expected).abs().max()) > 0.01
    assert float((likelihood - bound).max()) > 0.01


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_machine_that_was_put_in_comes_out_as_it_was(level: int) -> None:
    network = DeepBeliefNetwork(SIZES).double()
    machine = machine_of(SIZES[level], SIZES[level + 1], seed=level)
    network.place(level, machine)
    found = network.machine(level).state_dict()
    assert all(torch.equal(found[name], part) for name, part in machine.state_dict().items())


def test_machines_that_come_out_are_copies() -> None:
    network = DeepBeliefNetwork(SIZES)
    before = copy.deepcopy(network.state_dict())
    for level in range(3):
        for parameter in network.machine(level).parameters():
            nn.init.ones_(parameter)
    assert all(torch.equal(part, before[name]) for name, part in network.state_dict().items())


def test_the_representation_is_the_machines_one_after_the_other() -> None:
    network = DeepBeliefNetwork(SIZES, initial_scale=1.0)
    rows = torch.rand(5, 4)
    state = rows
    for level in range(3):
        state = network.machine(level).hidden_probabilities(state)
    torch.testing.assert_close(network(rows), state)


def test_the_encoder_starts_as_the_representation_and_then_goes_its_own_way() -> None:
    network = random_network(SIZES, seed=3)
    encoder, rows = network.encoder(), torch.rand(5, 4, dtype=torch.float64)
    torch.testing.assert_close(encoder(rows), network(rows))
    before = network(rows)
    encoder(rows).sum().backward()
    assert all(parameter.grad is None for parameter in network.parameters())
    torch.optim.SGD(encoder.parameters(), lr=1.0).step()
    assert torch.equal(network(rows), before)
    assert not torch.allclose(encoder(rows), before)


def test_dropout_is_where_it_was_asked_for() -> None:
    layers = [type(layer).__name__ for layer in DeepBeliefNetwork([4, 3, 2]).encoder(dropout=0.5, input_dropout=0.2)]
    assert layers == ["Dropout", "Linear", "Sigmoid", "Dropout", "Linear", "Sigmoid", "Dropout"]
    shares = [
        layer.p
        for layer in DeepBeliefNetwork([4, 3]).encoder(dropout=0.5, input_dropout=0.2)
        if isinstance(layer, nn.Dropout)
    ]
    assert shares == [0.2, 0.5]
    assert [type(layer).__name__ for layer in DeepBeliefNetwork([4, 3]).encoder()] == ["Linear", "Sigmoid"]


@pytest.mark.parametrize("again", [copy.deepcopy, lambda network: pickle.loads(pickle.dumps(network))])
def test_copies_have_the_same_law(again) -> None:
    network = random_network(SIZES, seed=1)
    assert torch.equal(exact_bound(again(network), all_bits(4)), exact_bound(network, all_bits(4)))


def test_a_state_dict_survives_a_file_loaded_with_weights_only() -> None:
    network, other = random_network(SIZES, seed=1), random_network(SIZES, seed=2)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(exact_bound(other, all_bits(4)), exact_bound(network, all_bits(4)))


def test_draws_of_a_seed_are_the_same_again_and_of_another_are_not() -> None:
    network, rows = random_network(SIZES, seed=1), torch.zeros(200, 4)
    assert torch.equal(network.log_weights(rows, seed=1), network.log_weights(rows, seed=1))
    assert not torch.equal(network.log_weights(rows, seed=1), network.log_weights(rows, seed=2))
    assert torch.equal(network.sample(Exact(), 50, seed=1), network.sample(Exact(), 50, seed=1))
    assert not torch.equal(network.sample(Exact(), 50, seed=1), network.sample(Exact(), 50, seed=2))


def test_results_have_the_dtype_of_the_parameters() -> None:
    for dtype in (torch.float32, torch.float64):
        network = DeepBeliefNetwork(SIZES).to(dtype)
        rows = torch.zeros(2, 4, dtype=torch.int8)
        found = [
            network(rows),
            network.log_weights(rows),
            network.machine(1).weight,
            next(network.encoder().parameters()),
        ]
        assert {each.dtype for each in [*found, *network.draw_up(rows), *network.draw_down(rows[:, :2])]} == {dtype}


@pytest.mark.parametrize("sizes", [[4], [], 4, "44", [4, 0], [4, 2.5], None])
def test_sizes_that_make_no_layers_are_refused(sizes) -> None:
    with pytest.raises(InvalidSettingError, match="sizes"):
        DeepBeliefNetwork(sizes)


def test_impossible_settings_are_refused() -> None:
    network = DeepBeliefNetwork(SIZES)
    with pytest.raises(InvalidSettingError, match="initial_scale"):
        DeepBeliefNetwork(SIZES, initial_scale=-1.0)
    for level in (-1, 3):
        with pytest.raises(InvalidSettingError, match="level"):
            network.machine(level)
    for machine in (RestrictedBoltzmannMachine(4, 4), BoltzmannMachine(7, 3)):
        with pytest.raises(InvalidSettingError, match="belongs at level 0"):
            network.place(0, machine)
    with pytest.raises(InvalidSettingError, match="levels"):
        network.draw_up(torch.zeros(1, 4), levels=3)
    with pytest.raises(InvalidSettingError, match="dropout"):
        network.encoder(dropout=1.0)
    with pytest.raises(InvalidSettingError, match="beta"):
        network.sample(CoolingSampler(beta=2.0), 3)


@pytest.mark.parametrize("rows", [torch.zeros(2, 5), torch.full((2, 4), 2.0), torch.full((2, 4), torch.nan)])
def test_rows_that_are_none_are_refused(rows: Tensor) -> None:
    network = DeepBeliefNetwork(SIZES)
    for use in (network, network.draw_up, network.log_weights):
        with pytest.raises(InvalidStateError):
            use(rows)


def test_layers_that_are_missing_are_refused() -> None:
    network = DeepBeliefNetwork(SIZES)
    for use in (network.log_generative, network.log_recognition):
        with pytest.raises(InvalidStateError, match="3 layers"):
            use(network.draw_up(torch.zeros(1, 4))[:2])
    with pytest.raises(InvalidStateError):
        network.draw_down(torch.zeros(1, 3))
