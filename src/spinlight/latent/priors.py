"""Boltzmann machines as priors of binary latents, with a divergence that is the true one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import Draws, Ising, LogPartition, SupportsDraw, bits_from_spins
from spinlight.latent.base import Prior
from spinlight.latent.witnesses import UNCHANGED, PartitionRatio, Witnesses
from spinlight.models import AbstractBoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.samplers import Gibbs
from spinlight.training import (
    AnnealedImportance,
    NegativePhase,
    PartitionEstimator,
    PersistentContrastiveDivergence,
)
from spinlight.training.phases import require_phase


class BoltzmannPrior(Prior):
    """p(z) = exp(-E(z)) / Z over the bits of a latent space, and KL(q || p) for factorial posteriors q.

    KL(q || p) = - H(q) + E(q) + log Z

    E is linear in each bit, so E_q[E(z)] is E at the probabilities, exactly. log Z has its gradient from negative samples,
    d log Z / d theta = - E_p[dE / d theta], and its value from `estimator`. Between two estimates the value follows the
    parameters by importance ratios on witnesses.

    Witnesses are Gibbs chains that never enter a gradient: they only measure how log Z changes, reweighted at each step, resampled
    and moved on whenever less than two thirds of them carry the weight, which is sequential Monte Carlo. (The negatives themselves would
    mislead: training has just raised their energies in particular.) `log_partition` carries the errors of all ratios, and so says
    when a fresh estimate is due. The divergence is never the difference of two mean energies, which is no divergence.

    Every unit of the machine is a latent bit, hidden ones too. Negatives, witnesses and estimate are part of `state_dict`: a loaded
    prior goes on exactly as the saved one would have.

    Args:
        machine: any Boltzmann machine; its parameters are trained with the rest of the model.
        negatives: samples of the machine, by any phase that does not start at data: 256 persistent chains, 5 sweeps a step, by default;
            `ReusedDraws(machine_behind_a_queue, ...)` for one call in many steps.
        witnesses: chains that follow log Z.
        witness_sweeps: sweeps of each per step, done when they are moved on.
        estimator: of log Z's value, `AnnealedImportance` by default. It gets a restricted machine itself, of which one side can be summed
            out, and of any other machine the Ising problem.
        seed: of the prior's own chains, and of its default negatives: integer, generator, or None for torch's global state, so that
            `torch.manual_seed` reproduces a run. Negatives that are given have a seed of their own.

    Raises:
        InvalidSettingError: no Boltzmann machine, no negatives or such that start at data, no estimator, or numbers below 1.

    Law:
        The value of KL has the error of log Z; its gradient that of the negatives, which for persistent chains is asymptotic:
        a learning rate that outruns their mixing biases it. Chains of block Gibbs begin where 100 sweeps from random states
        lead, others as their sampler makes them.

    References:
        Rolfe, "Discrete variational autoencoders", ICLR 2017 (the prior); Tieleman, ICML 2008 (persistent chains); Neal,
        Statistics and Computing 11 (2001) 125 (annealed importance sampling); Del Moral, Doucet & Jasra, J. R. Stat. Soc. B 68
        (2006) 411 (sequential Monte Carlo, resampled where its effective size falls); Carbone, Hua, Coste & Vanden-Eijnden, NeurIPS
        2023 (log Z along training, by Jarzynski's equality).

    Example:
        >>> from spinlight.models import BoltzmannMachine
        >>> prior = BoltzmannPrior(BoltzmannMachine(3, initial_scale=0.0), seed=0)  # fair coins to begin with
        >>> bool((prior.kl_divergence(torch.zeros(2, 3)).abs() < 0.01).all())
        True
        >>> prior.sample(5, seed=1).shape
        torch.Size([5, 3])
    """

    def __init__(
        self,
        machine: AbstractBoltzmannMachine,
        *,
        negatives: NegativePhase | None = None,
        witnesses: int = 256,
        witness_sweeps: int = 5,
        estimator: PartitionEstimator | None = None,
        seed: Seed = None,
    ) -> None:
        super().__init__()
        if not isinstance(machine, AbstractBoltzmannMachine):
            raise InvalidSettingError(f"machine must be a Boltzmann machine, got {type(machine).__name__}")
        self.machine = machine
        self._seed = resolve_seed(torch.default_generator if seed is None else seed)
        self.negatives = _phase(negatives, derive_seed(self._seed, 0))
        self.estimator: PartitionEstimator = AnnealedImportance() if estimator is None else estimator
        if isinstance(estimator, type) or not callable(getattr(self.estimator, "estimate", None)):
            raise InvalidSettingError(
                f"estimator must have a method estimate, as AnnealedImportance(), got {estimator!r}"
            )
        self.witnesses = positive_integer("witnesses", witnesses)
        self.witness_sweeps = positive_integer("witness_sweeps", witness_sweeps)
        self._estimates = 0
        self._negative: _Rows | None = None
        self._kept: _Kept | None = None
        self._built: tuple[list[Tensor], Ising] | None = None
        self._latest: tuple[Witnesses, Ising, PartitionRatio] | None = None

    @property
    def log_partition(self) -> LogPartition:
        """Log Z of the machine as it is now: the last estimate, followed to the present parameters."""
        kept, problem = self._present, self._problem()
        return kept.followed(self._ratio(kept, problem))

    def advance(self) -> None:
        """Take the next negatives, of the machine as it is now, and move the witnesses on if need be; once before each training step."""
        kept, problem = self._present, self._problem()
        kept, ratio = replace(kept, steps=kept.steps + 1), self._ratio(kept, problem)
        if ratio.effective < _EFFECTIVE_SHARE:
            kept = self._moved(kept, problem, ratio, kept.followed(ratio))
        self._kept, self._negative = kept, self._drawn()

    def estimate(self, estimator: PartitionEstimator | None = None) -> LogPartition:
        """Estimate log Z anew, by the prior's own estimator or another one, and go on from there.

        The witnesses are moved to the machine as it is now; where too few of them count there, others take their place.

        Law:
            Each call has a seed of its own, so that repeated estimates are independent.
        """
        kept, problem = self._present, self._problem()
        known, ratio = self._estimated(self.estimator if estimator is None else estimator), self._ratio(kept, problem)
        self._kept = replace(kept, known=known) if ratio == UNCHANGED else self._moved(kept, problem, ratio, known)
        return known

    def _moved(self, kept: _Kept, problem: Ising, ratio: PartitionRatio, known: LogPartition) -> _Kept:
        """Return witnesses of another problem, whose log Z is known; new ones where too few of those that there are count there."""
        if math.isnan(ratio.error):
            return self._from_here(
                problem, known, derive_seed(derive_seed(kept.witnesses.seed, kept.witnesses.sweeps), 1)
            )
        witnesses = kept.witnesses.carried(problem)
        # As long as they would have walked, step by step.
        return _Kept(witnesses.walked(problem, max(1, kept.steps) * self.witness_sweeps), known)

    def _ratio(self, kept: _Kept, problem: Ising) -> PartitionRatio:
        """Return how log Z of `problem` differs from what is known, computed once for the same witnesses and problem."""
        if self._latest is None or self._latest[0] is not kept.witnesses or self._latest[1] is not problem:
            self._latest = kept.witnesses, problem, kept.witnesses.ratio(problem)
        return self._latest[2]

    @property
    def _present(self) -> _Kept:
        if self._kept is None:
            problem = self._problem()
            self._kept = self._from_here(problem, self._estimated(self.estimator), derive_seed(self._seed, 1))
        return self._kept

    def _from_here(self, problem: Ising, known: LogPartition, seed: int) -> _Kept:
        return _Kept(Witnesses.of(problem, self.witnesses, seed), known)

    def _drawn(self) -> _Rows:
        """Return the next negatives. Those that go on from rows of data, as block Gibbs does at first, get rows of the machine."""
        rows = self._first_rows() if self._negative is None else self._negative.bits
        visible = rows[..., : self.machine.num_visible].to(self.machine.weight_parameter)
        found = self.negatives.negative(self.machine, visible)
        return _Rows(found.bits, found.weights) if isinstance(found, Draws) else _Rows(found, None)

    def _first_rows(self) -> Tensor:
        seed = derive_seed(self._seed, 2)
        return bits_from_spins(Witnesses.of(self._problem(), self.witnesses, seed).spins)

    def _estimated(self, estimator: PartitionEstimator) -> LogPartition:
        """Return one more estimate, with a seed of its own: streams 0 to 2 are of the negatives, the witnesses and first rows."""
        self._estimates += 1
        restricted = isinstance(self.machine, RestrictedBoltzmannMachine)
        model: Any = self.machine if restricted else self._problem()
        return estimator.estimate(model, seed=derive_seed(self._seed, 2 + self._estimates))

    def energy(self, probabilities: Tensor) -> Tensor:
        """Return E_q[E(z)] = E(q) for each row of independent bits, shape (rows,)."""
        return self.machine.energy(probabilities)

    def sample(self, count: int, *, sampler: SupportsDraw | None = None, seed: Seed = None) -> Tensor:
        """Return bits of the prior, int8, shape (count, units).

        Args:
            count: rows, at least 1.
            sampler: draws at beta = 1; that of the negatives by default, where they have one, from fresh states, and `Gibbs` else.
            seed: integer, generator, or None for fresh entropy.

        Law:
            the sampler's.

        Raises:
            InvalidSettingError: an impossible count or seed, no sampler, or one at another beta than 1.
        """
        own = Gibbs(sweeps=100, progress=False) if self.negatives.sampler is None else self.negatives.sampler
        return self.machine.sample(own if sampler is None else sampler, count, seed=seed)

    def _log_partition(self, like: Tensor) -> Tensor:
        """Return log Z as a number that carries its gradient."""
        value = torch.as_tensor(self.log_partition.value, dtype=like.dtype, device=like.device)
        if not torch.is_grad_enabled():
            return value
        if self._negative is None:
            self._negative = self._drawn()
        mean = self.machine.mean_energy(self._negative.bits, self._negative.weights).to(like)
        return value - (mean - mean.detach())

    @property
    def units(self) -> int:
        """The number of latent bits."""
        return int(self.machine.num_nodes)

    def _problem(self) -> Ising:
        """Return the machine's Ising problem, the one that was built last for as long as the parameters are the same."""
        parameters = [parameter.detach() for parameter in self.machine.parameters()]
        if self._built is None or not all(map(_same, parameters, self._built[0])):
            self._built = [each.clone() for each in parameters], self.machine.to_ising().to("cpu")
        return self._built[1]

    def get_extra_state(self) -> dict[str, Any]:
        """Return the state of the negatives, the witnesses and the estimate, for `state_dict`."""
        kept = None if self._kept is None else self._kept.state()
        negative = None if self._negative is None else dict(vars(self._negative))
        own = {"seed": self._seed, "estimates": self._estimates, "kept": kept, "negative": negative}
        return own | {"negatives": self.negatives.state_dict()}

    def set_extra_state(self, state: Mapping[str, Any]) -> None:
        """Go on with the negatives, the witnesses and the estimate of a `state_dict`.

        Raises:
            InvalidStateError: it is of other negatives, or of another number of witnesses.
        """
        kept = None if state["kept"] is None else _Kept.from_state(state["kept"])
        if kept is not None and len(kept.witnesses.spins) != self.witnesses:
            raise InvalidStateError(
                f"the saved state has {len(kept.witnesses.spins)} witnesses and this prior {self.witnesses}; make it with as many"
            )
        self.negatives.load_state_dict(state["negatives"])
        self._seed, self._estimates = state["seed"], state["estimates"]
        self._kept = kept
        self._negative = None if state["negative"] is None else _Rows(**state["negative"])


def _phase(negatives: NegativePhase | None, seed: int) -> NegativePhase:
    if negatives is None:
        return PersistentContrastiveDivergence(chains=256, sweeps=5, seed=seed)
    if require_phase(negatives).starts_at_data:
        raise InvalidSettingError(
            f"chains of {type(negatives).__name__} start at data, and a prior has none; PersistentContrastiveDivergence needs none"
        )
    return negatives


@dataclass(frozen=True, eq=False)
class _Rows:
    """Negatives: rows of bits, and their weights, which sum to one, where they do not count alike."""

    bits: Tensor
    weights: Tensor | None


def _same(one: Tensor, other: Tensor) -> bool:
    return one.device == other.device and one.dtype == other.dtype and torch.equal(one, other)


_FOLLOWED = ", followed by importance ratios"

_EFFECTIVE_SHARE = 0.65
"""Of the witnesses, below which they are resampled. Their log weights have a variance of .43 then, and, since that grows as the square of
the steps, of 1.7 after as many more: a sixth would still count."""


@dataclass(frozen=True, eq=False)
class _Kept:
    """What outlives a training step beside the negatives: states that follow log Z, and log Z of the problem they belong to.

    Args:
        witnesses: the states.
        known: log Z of their problem.
        steps: training steps since they belong to it.
    """

    witnesses: Witnesses
    known: LogPartition
    steps: int = 0

    def followed(self, ratio: PartitionRatio) -> LogPartition:
        """Return log Z of a problem by its ratio; errors of ratios are added, an upper bound where chains are correlated."""
        if ratio == UNCHANGED:
            return self.known
        return LogPartition(
            value=self.known.value + ratio.value,
            standard_error=self.known.standard_error + ratio.error,
            lower=-math.inf,
            upper=math.inf,
            method=self.known.method.removesuffix(_FOLLOWED) + _FOLLOWED,
        )

    def state(self) -> dict[str, Any]:
        """Return plain values and tensors, which `torch.load(weights_only=True)` reads."""
        return {"witnesses": self.witnesses.state(), "known": asdict(self.known), "steps": self.steps}

    @staticmethod
    def from_state(state: Mapping[str, Any]) -> _Kept:
        """Return what `state` described."""
        witnesses, known = Witnesses.from_state(state["witnesses"]), LogPartition(**state["known"])
        return _Kept(witnesses, known, state["steps"])
