"""Deep belief networks learn: gradients by enumeration, bounds that are bounds, runs that go on where they stopped."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from helpers.deep import (
    all_layers,
    exact_bound,
    exact_log_likelihood,
    log_joint,
    log_posterior,
    log_top,
    random_network,
)
from helpers.enumeration import all_bits
from helpers.machines import CoolingSampler, TableSampler
from helpers.statistics import mean_p_value, threshold, z_p_value
from spinlight._errors import InvalidProblemError, InvalidSettingError, InvalidStateError, UncalibratedWarning
from spinlight.datasets import binarized
from spinlight.ising import LogPartition
from spinlight.models import DeepBeliefNetwork, RestrictedBoltzmannMachine
from spinlight.samplers import Exact, Gibbs
from spinlight.training import (
    AnnealedImportance,
    Batches,
    ContrastiveDivergence,
    Descent,
    ExactPartition,
    IndependentDraws,
    PersistentContrastiveDivergence,
    UpDown,
    likelihood_bound,
    pretrain,
)

SIZES = [4, 3, 2, 3]
DATA = torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0], [1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)


def gradients(loss: Tensor, parameters: list[nn.Parameter]) -> Tensor:
    parts = torch.autograd.grad(loss, parameters, allow_unused=True)
    return torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for g, p in zip(parts, parameters)])


def exact_fantasies(network: DeepBeliefNetwork) -> Tensor:
    """Return - <log q(h | v)> over the network's own law of all layers."""
    layers = all_layers(network, all_bits(4))
    return -(log_joint(network, layers).detach().exp() * log_posterior(network, layers)).sum()


@pytest.mark.parametrize("sampler", [TableSampler(), TableSampler(weighted=True)], ids=["draws", "weighted"])
def test_wake_and_sleep_follow_their_exact_gradients(sampler: TableSampler) -> None:
    network, copies = random_network(SIZES, seed=1), 200
    down = [*network.generative.parameters(), *network.top.parameters()]
    up = list(network.recognition.parameters())
    phases = UpDown(IndependentDraws(sampler, count=300, seed=2), seed=3)
    rows = DATA.repeat(copies, 1)
    found = torch.stack([gradients(phases.objective(network, rows), down + up) for _ in range(200)])
    wake, sleep = gradients(-exact_bound(network, DATA).mean(), down), gradients(exact_fantasies(network), up)
    assert mean_p_value(found, torch.cat([wake, sleep])) > threshold()
    # The gradient of the likelihood itself is another one, and so is that of the bound in the way up.
    other = gradients(-exact_log_likelihood(network, DATA).mean(), down)
    assert mean_p_value(found, torch.cat([other, sleep])) < threshold()
    bound = gradients(-exact_bound(network, DATA).mean(), up)
    assert mean_p_value(found, torch.cat([wake, bound])) < threshold()


def test_a_network_of_two_layers_follows_the_gradient_of_its_machine() -> None:
    network, rows = random_network([4, 3], seed=1), DATA.repeat(5, 1)
    deep = UpDown(ContrastiveDivergence(sweeps=2, seed=4), seed=3).objective(network, rows)
    flat = ContrastiveDivergence(sweeps=2, seed=4).objective(network.top, rows)
    parameters = list(network.top.parameters())
    torch.testing.assert_close(gradients(deep, parameters), gradients(flat, parameters))


@pytest.mark.parametrize(
    "negatives",
    [
        lambda: ContrastiveDivergence(sweeps=2, seed=5),
        lambda: ContrastiveDivergence(Gibbs(progress=False), sweeps=2, seed=5),
        lambda: PersistentContrastiveDivergence(chains=7, seed=5),
        lambda: IndependentDraws(Exact(), count=5, seed=5),
    ],
    ids=["CD", "CD by a sampler", "PCD", "independent draws"],
)
def test_up_down_goes_on_where_it_stopped(negatives) -> None:
    straight, halves = (copy.deepcopy(DeepBeliefNetwork(SIZES)) for _ in range(2))
    halves.load_state_dict(straight.state_dict())

    def run(network: DeepBeliefNetwork, phases: UpDown, optimizer, batches: Batches, steps: int) -> None:
        for _, batch in zip(range(steps), batches):
            optimizer.zero_grad()
            phases.objective(network, batch).backward()
            optimizer.step()

    def parts(network: DeepBeliefNetwork):
        batches = Batches(DATA.float().repeat(4, 1), 2, draw=binarized, seed=1)
        return network, UpDown(negatives(), seed=6), torch.optim.Adam(network.parameters()), batches

    run(*parts(straight), 6)
    first = parts(halves)
    run(*first, 3)
    saved = [part.state_dict() for part in first]
    again = parts(DeepBeliefNetwork(SIZES))
    for part, state in zip(again, saved):
        part.load_state_dict(state)
    run(*again, 3)
    expected = straight.state_dict()
    assert all(torch.equal(part, expected[name]) for name, part in again[0].state_dict().items())
    other = parts(DeepBeliefNetwork(SIZES))
    other[0].load_state_dict(saved[0])
    run(*other, 3)
    assert not torch.equal(other[0].top.weight, straight.top.weight)


def test_a_better_machine_on_top_raises_the_bound_by_what_the_one_below_gets_wrong() -> None:
    network = random_network([4, 3, 4], seed=11, scale=1.5)
    below, above = network.machine(0), network.machine(1)
    for target, source in zip(above.parameters(), (below.weight.T, below.hidden_bias, below.visible_bias), strict=True):
        target.data.copy_(source.data)
    network.place(0, below)
    network.place(1, above)
    before = float(-below.free_energy(DATA).detach().mean()) - ExactPartition().estimate(below).value
    assert float(exact_bound(network, DATA).detach().mean()) == pytest.approx(before, abs=1e-12)
    # The bound is that of the best p(h_1), which is the mean q(h_1) of q(h_1 | v) over the data, less KL(q, p).
    layers = all_layers(network, DATA)
    q = log_posterior(network, layers).exp().mean(0).detach()
    wrong = float((q * (q.log() - log_top(network, layers[1][0]).detach())).sum())
    negatives = IndependentDraws(TableSampler(weighted=True), count=1)  # every state with its weight: exact
    optimizer = torch.optim.Adam(network.top.parameters(), lr=0.05)
    for step in range(400):
        hidden = network.draw_up(DATA.repeat(1_000, 1), seed=step)[-1]
        optimizer.zero_grad()
        negatives.objective(network.top, hidden).backward()
        optimizer.step()
    gained = float(exact_bound(network, DATA).detach().mean()) - before
    assert wrong > 0.1
    assert 0.8 * wrong < gained < wrong


def test_a_stack_learns_patterns_and_all_layers_together_learn_them_better() -> None:
    torch.manual_seed(0)
    patterns = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1], [1, 0, 1, 0, 1, 0], [0, 1, 0, 1, 0, 1]]).double()
    independent, perfect = -6 * math.log(2), -math.log(4)  # of any model: every pixel is black in half of the patterns
    network, rows = DeepBeliefNetwork([6, 6, 4]).double(), patterns.repeat(10, 1)
    pretrain(
        network,
        rows,
        Descent(epochs=1000, batch_size=40, optimizer=partial(torch.optim.Adam, lr=0.01)),
        negatives=lambda seed: PersistentContrastiveDivergence(chains=100, sweeps=10, seed=seed),
        seed=1,
    )
    stacked = float(exact_bound(network, patterns).detach().mean())
    assert perfect - (perfect - independent) / 2 < stacked < perfect
    phases = UpDown(ContrastiveDivergence(sweeps=10, seed=2), seed=3)
    descent = Descent(epochs=1000, batch_size=40, optimizer=partial(torch.optim.Adam, lr=0.01))
    descent.minimize(partial(phases.objective, network), network.parameters(), rows, seed=4)
    together = float(exact_bound(network, patterns).detach().mean())
    assert max(stacked, perfect - (perfect - independent) / 10) < together < perfect


def test_pretraining_trains_each_machine_on_draws_of_the_layers_below() -> None:
    seen: list[tuple[tuple[int, int], Tensor]] = []

    class Watch(ContrastiveDivergence):
        def objective(self, model, data, positive=None):
            seen.append(((model.num_visible, model.num_hidden), data))
            return super().objective(model, data, positive)

    network = DeepBeliefNetwork(SIZES)
    grey = torch.full((4_000, 4), 0.3)
    descent = Descent(epochs=1, batch_size=4_000, optimizer=partial(torch.optim.SGD, lr=1.0))
    pretrain(network, grey, descent, negatives=lambda seed: Watch(seed=seed), seed=1)
    assert [sizes for sizes, _ in seen] == [(4, 3), (3, 2), (2, 3)]
    assert all(set(data.unique().tolist()) <= {0.0, 1.0} for _, data in seen)
    expected = torch.full((4,), 0.3)
    assert z_p_value(seen[0][1].mean(0), expected, math.sqrt(0.3 * 0.7 / 4_000)) > threshold()
    # The law of the first hidden layer by enumeration, pixels being independent bits.
    visible = all_bits(4).float()
    weights = torch.where(visible == 1, 0.3, 0.7).prod(-1)
    with torch.no_grad():
        exact = (weights[:, None] * torch.sigmoid(network.recognition[0](visible))).sum(0)
    assert z_p_value(seen[1][1].mean(0), exact, (exact * (1 - exact) / 4_000).sqrt()) > threshold()
    assert torch.equal(network.generative[0].weight, network.recognition[0].weight.T)


def test_pretraining_of_a_seed_is_the_same_again() -> None:
    start, results = DeepBeliefNetwork(SIZES), []
    for seed in (1, 1, 2):
        network = copy.deepcopy(start)
        pretrain(network, DATA, Descent(epochs=2), seed=seed)
        results.append(network.top.weight)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_no_epochs_leave_the_network_as_it_is() -> None:
    network = DeepBeliefNetwork(SIZES)
    before = copy.deepcopy(network.state_dict())
    pretrain(network, DATA, Descent(epochs=0), seed=0)
    assert all(torch.equal(part, before[name]) for name, part in network.state_dict().items())


def test_the_bound_is_the_mean_of_the_log_weights() -> None:
    network = random_network(SIZES, seed=2)
    partition = ExactPartition().estimate(network.top)
    found = likelihood_bound(network, DATA.repeat(3_000, 1), partition=partition, seed=1)
    exact = exact_bound(network, DATA).detach().mean()
    assert (found.rows, found.log_partition_error) == (9_000, 0.0)
    assert z_p_value(found.value, exact, found.row_error) > threshold()
    assert z_p_value(found.value, exact_log_likelihood(network, DATA).detach().mean(), found.row_error) < threshold()


def test_more_draws_bring_the_bound_closer_to_the_likelihood() -> None:
    network = random_network(SIZES, seed=2)
    partition = ExactPartition().estimate(network.top)
    rows = DATA.repeat(500, 1)
    bounds = [likelihood_bound(network, rows, partition=partition, draws=draws, seed=1) for draws in (1, 10, 300)]
    likelihood = float(exact_log_likelihood(network, DATA).detach().mean())
    assert bounds[0].value < bounds[1].value < bounds[2].value < likelihood + 4 * bounds[2].row_error
    assert bounds[2].value == pytest.approx(likelihood, abs=0.02)


def test_annealed_importance_gives_the_bound_its_error() -> None:
    network = random_network(SIZES, seed=2)
    annealed = AnnealedImportance(chains=100, steps=50).estimate(network.top, seed=1)
    exact = ExactPartition().estimate(network.top)
    bounds = [likelihood_bound(network, DATA, partition=known, seed=1) for known in (annealed, exact)]
    assert bounds[0].log_partition_error == annealed.standard_error
    assert bounds[1].value - bounds[0].value == pytest.approx(annealed.value - exact.value)
    assert bounds[0].pessimistic == bounds[0].value - 2 * annealed.standard_error


def test_rows_are_taken_in_parts_without_a_trace() -> None:
    network = random_network([4, 3], seed=2)  # no draws: the bound is the likelihood, row by row
    partition = ExactPartition().estimate(network.top)
    few, many = (likelihood_bound(network, DATA.repeat(n, 1), partition=partition) for n in (1, 3_000))
    assert few.value == pytest.approx(many.value, abs=1e-9)


def test_bad_input_is_refused() -> None:
    network, partition = DeepBeliefNetwork(SIZES), LogPartition(0.0, 0.0, 0.0, 0.0, "nothing")
    machine = RestrictedBoltzmannMachine(4, 3)
    for rows in (torch.zeros(0, 4), torch.zeros(4), torch.zeros(2, 5), torch.full((2, 4), 2.0)):
        with pytest.raises(InvalidStateError):
            pretrain(network, rows)
        with pytest.raises(InvalidStateError):
            likelihood_bound(network, rows, partition=partition)
    with pytest.raises(InvalidStateError, match="0 or 1"):
        likelihood_bound(network, torch.full((2, 4), 0.5), partition=partition)
    with pytest.raises(InvalidSettingError, match="DeepBeliefNetwork"):
        pretrain(machine, torch.zeros(2, 4))  # type: ignore[arg-type]
    with pytest.raises(InvalidSettingError, match="DeepBeliefNetwork"):
        likelihood_bound(machine, torch.zeros(2, 4), partition=partition)  # type: ignore[arg-type]
    with pytest.raises(InvalidSettingError, match="LogPartition"):
        likelihood_bound(network, torch.zeros(2, 4), partition=1.0)  # type: ignore[arg-type]
    with pytest.raises(InvalidSettingError, match="draws"):
        likelihood_bound(network, torch.zeros(2, 4), partition=partition, draws=0)
    with pytest.raises(InvalidSettingError, match="negative phase"):
        UpDown(Gibbs())  # type: ignore[arg-type]
    with pytest.raises(InvalidStateError):
        UpDown(ContrastiveDivergence()).objective(network, torch.zeros(2, 5))
    with pytest.warns(UncalibratedWarning):
        UpDown(IndependentDraws(CoolingSampler(), count=2))
    nn.init.constant_(network.top.weight, math.nan)
    with pytest.raises(InvalidProblemError, match="NaN"):
        likelihood_bound(network, torch.zeros(2, 4), partition=partition)


@pytest.mark.parametrize("settings", [{"epochs": -1}, {"epochs": 1.5}, {"batch_size": 0}])
def test_impossible_descents_are_refused(settings) -> None:
    with pytest.raises(InvalidSettingError):
        Descent(**settings)


def test_the_rate_of_a_descent_falls_on_a_line_to_zero() -> None:
    place = nn.Parameter(torch.zeros(1))
    positions = [0.0]

    def loss(rows: Tensor) -> Tensor:
        positions.append(float(place.detach()))
        return -place.sum()  # a slope of one: each step is the rate itself

    descent = Descent(epochs=2, batch_size=1, optimizer=partial(torch.optim.SGD, lr=1.0))
    descent.minimize(loss, [place], torch.zeros(2, 1), seed=0)
    steps = torch.tensor([*positions[2:], float(place.detach())]) - torch.tensor(positions[1:])
    torch.testing.assert_close(steps, torch.tensor([1.0, 0.75, 0.5, 0.25]))
