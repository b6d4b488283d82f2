"""The peers, each called as its own documentation says, on problems built beforehand; all return spins of -1/+1.

Conventions, checked on small problems by `tests/benchmarks/test_peers.py`: every peer means exp(-beta E) by its beta.

    spinlight        E = - h.s - sum J s s          beta outside
    dwave-samplers   E = + h.s + sum J s s          betas of `beta_range`, geometric, both ends included
    OpenJij          E = + h.s + sum J s s          the same
    BlockSampler     E = + h.s + sum J s s          one beta per sweep
    THRML            E = - beta (b.s + sum J s s)   p = exp(-E)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from spinlight.ising import Ising

Anneal = Callable[[int, int], np.ndarray]
"""Maps (reads, seed) to spins of shape (reads, sites)."""


@dataclass(frozen=True)
class Schedule:
    """A geometric schedule: `sweeps` sweeps, one at each of the betas from `first` to `last`, both ends included."""

    first: float
    last: float
    sweeps: int

    def betas(self) -> np.ndarray:
        """Return the inverse temperature of every sweep."""
        return np.geomspace(self.first, self.last, self.sweeps)


def threaded(anneal: Anneal, threads: int) -> Anneal:
    """Return the same work done by `threads` Python threads, the reads shared out between them.

    dwave-samplers and OpenJij both let go of the interpreter lock while they sample.
    """

    def run(reads: int, seed: int) -> np.ndarray:
        shares = [len(part) for part in np.array_split(np.arange(reads), threads)]
        with ThreadPoolExecutor(threads) as pool:
            parts = pool.map(anneal, shares, [seed * threads + thread for thread in range(threads)])
            return np.concatenate(list(parts))

    return run


def dwave_anneal(problem: Ising, schedule: Schedule) -> Anneal:
    """Return dwave-samplers' SimulatedAnnealingSampler at its defaults: Metropolis, sequential order."""
    from dwave.samplers import SimulatedAnnealingSampler

    model, sampler = _dimod(problem), SimulatedAnnealingSampler()

    def run(reads: int, seed: int) -> np.ndarray:
        samples = sampler.sample(
            model, num_reads=reads, num_sweeps=schedule.sweeps, beta_range=(schedule.first, schedule.last), seed=seed
        )
        return _ordered(samples, problem.sites)

    return run


def openjij_anneal(problem: Ising, schedule: Schedule, *, dense: bool) -> Anneal:
    """Return OpenJij's SASampler.

    `dense=False` is its default. The dense form is the faster one on dense problems and measured there as its best setting.
    Its newer `sample_hubo(num_threads=...)` is slower than both (6 against 36 million visits a second, 100 dense spins).
    The seed is left alone: OpenJij gives every read of a call the same one, and with it the same result.
    """
    import openjij

    model = _openjij_model(problem, dense=dense)
    options = {
        "num_sweeps": schedule.sweeps,
        "beta_min": schedule.first,
        "beta_max": schedule.last,
        "sparse": not dense,
    }

    def run(reads: int, seed: int) -> np.ndarray:
        # A sampler stores the options of its last call: threads need one each.
        return _ordered(openjij.SASampler().sample(model, num_reads=reads, **options), problem.sites)

    return run


def openjij_core(problem: Ising, schedule: Schedule, *, dense: bool) -> Anneal:
    """Return OpenJij's compiled loop without the Python around it, which no user calls; it bounds what a thinner wrapper could gain."""
    from openjij import cxxjij

    graph, _ = _openjij_model(problem, dense=dense).get_cxxjij_ising_graph()
    steps = cxxjij.utility.make_classical_schedule_list(schedule.first, schedule.last, 1, schedule.sweeps)

    def run(reads: int, seed: int) -> np.ndarray:
        system = cxxjij.system.make_classical_ising(graph.gen_spin(), graph)
        states = []
        for _ in range(reads):
            system.reset_spins(graph.gen_spin())
            cxxjij.algorithm.Algorithm_SingleSpinFlip_run(system, steps)
            states.append(cxxjij.result.get_solution(system))
        return np.array(states, dtype=np.int8)[:, : problem.sites]

    return run


def cim_optimizer(problem: Ising, runs: int, steps: int, *, parallel: int) -> Callable[[int], np.ndarray]:
    """Return cim-optimizer's solver as its users call it, without its search for settings; maps a seed to the lowest state.

    It means H = - s^T J s / 2, as we do; without fields it runs chaotic amplitude control, `parallel` runs in a batch (one by
    default).
    """
    from cim_optimizer.solve_Ising import Ising as CimProblem

    solver = CimProblem(problem.to_dense().couplings.numpy())
    options = {"num_runs": runs, "num_parallel_runs": parallel, "num_timesteps_per_run": steps}
    quiet = {"hyperparameters_randomtune": False, "suppress_statements": True}

    def run(seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        return np.asarray(solver.solve(**options, **quiet).result.lowest_energy_spin_config, dtype=np.int8)

    return run


def cim_optimizer_core(problem: Ising, runs: int, steps: int) -> Callable[[int], np.ndarray]:
    """Return the loop of torch operations within cim-optimizer, which no user calls; maps a seed to the runs' lowest states."""
    from cim_optimizer.CAC import CIM_CAC_GPU

    couplings = problem.to_dense().couplings.numpy()

    def run(seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        return CIM_CAC_GPU(steps, couplings, batch_size=runs)[0].astype(np.int8)

    return run


def simulated_bifurcation(problem: Ising, agents: int, steps: int, mode: str) -> Callable[[int], np.ndarray]:
    """Return the simulated-bifurcation package's minimiser of x^T Q x + l x with Q = - J / 2, l = - h, all agents to the last step."""
    import simulated_bifurcation as package

    quadratic = (-0.5 * problem.to_dense().couplings).to(torch.float32)
    linear = (-problem.fields).to(torch.float32)

    def run(seed: int) -> np.ndarray:
        torch.manual_seed(seed)
        options = {"agents": agents, "max_steps": steps, "best_only": False, "early_stopping": False, "verbose": False}
        spins, _ = package.minimize(quadratic, linear, domain="spin", mode=mode, **options)
        return spins.numpy().astype(np.int8)

    return run


def block_sampler(problem: Ising, colours: Sequence[int], chains: int, betas: Sequence[float], seed: int) -> Any:
    """Return the D-Wave PyTorch plugin's BlockSampler, heat bath; every `sample()` goes on with its chains."""
    from dwave.plugins.torch.models import GraphRestrictedBoltzmannMachine
    from dwave.plugins.torch.samplers import BlockSampler

    nodes = list(range(problem.sites))
    pairs, weights = _edges(problem)
    machine = GraphRestrictedBoltzmannMachine(
        nodes,
        pairs,
        linear=dict(zip(nodes, (-problem.fields).tolist())),
        quadratic={pair: -weight for pair, weight in zip(pairs, weights)},
    )
    return BlockSampler(machine, lambda node: colours[node], chains, betas, seed=seed)


def thrml_chains(problem: Ising, colours: Sequence[int], chains: int, beta: float, sweeps: int) -> Anneal:
    """Return THRML's block Gibbs sampler over `chains` chains, compiled by jax.jit as its examples do.

    The returned function ignores its first argument, the reads: they are the chains.
    """
    import jax
    import jax.numpy as jnp
    from thrml import Block, SamplingSchedule, SpinNode, sample_states
    from thrml.models import IsingEBM, IsingSamplingProgram, hinton_init

    nodes = [SpinNode() for _ in range(problem.sites)]
    pairs, weights = _edges(problem)
    model = IsingEBM(
        nodes,
        [(nodes[i], nodes[j]) for i, j in pairs],
        jnp.asarray(problem.fields.numpy(), jnp.float32),
        jnp.asarray(weights, jnp.float32),
        jnp.float32(beta),
    )
    blocks = [
        Block([nodes[i] for i in range(problem.sites) if colours[i] == colour]) for colour in sorted(set(colours))
    ]
    program = IsingSamplingProgram(model, blocks, clamped_blocks=[])
    schedule = SamplingSchedule(n_warmup=sweeps, n_samples=1, steps_per_sample=1)

    start = hinton_init(jax.random.key(0), model, blocks, (chains,))

    @jax.jit
    def walk(key: Any) -> Any:
        keys = jax.random.split(key, chains)
        return jax.vmap(lambda k, s: sample_states(k, program, schedule, s, [], [Block(nodes)]))(keys, start)

    def run(reads: int, seed: int) -> np.ndarray:
        states = np.asarray(walk(jax.random.key(seed))[0])
        return 2 * states.reshape(chains, problem.sites).astype(np.int8) - 1

    return run


def _edges(problem: Ising) -> tuple[list[tuple[int, int]], list[float]]:
    rows, columns, weights = problem.edges()
    return list(zip(rows.tolist(), columns.tolist())), weights.tolist()


def _dimod(problem: Ising) -> Any:
    import dimod

    pairs, weights = _edges(problem)
    linear = dict(enumerate((-problem.fields).tolist()))
    return dimod.BinaryQuadraticModel(linear, {pair: -weight for pair, weight in zip(pairs, weights)}, 0.0, "SPIN")


def _openjij_model(problem: Ising, *, dense: bool) -> Any:
    from openjij.model.model import BinaryQuadraticModel

    model = _dimod(problem)
    return BinaryQuadraticModel(dict(model.linear), dict(model.quadratic), 0.0, "SPIN", sparse=not dense)


def _ordered(samples: Any, sites: int) -> np.ndarray:
    order = np.argsort(np.array(samples.variables)[:sites])
    return np.asarray(samples.record.sample, dtype=np.int8)[:, order]


def energies(problem: Ising, spins: np.ndarray) -> np.ndarray:
    """Return the energies of rows of spins, recomputed by us for everybody."""
    return problem.energy(torch.from_numpy(np.ascontiguousarray(spins))).numpy()
