"""Chains that go on from one call to the next."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, ClassVar

from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight._random import Seed, resolve_seed
from spinlight.ising import Draws, Ising, Law
from spinlight.ising.problem import require_problem
from spinlight.samplers.base import ChainState, MarkovChain, Sampler, draws_of, wrapped

_Shape = tuple[int | None, int, int]
"""Batch, count and sites."""


@dataclass(frozen=True, kw_only=True)
class Persistent(Sampler):
    """Lets the chains of a Markov chain go on where the last call left them, whatever the problem has become since.

    s_t ~ T_t^sweeps(s_t-1 -> .): each call makes `sampler.sweeps` sweeps on the problem it is given. A problem that changes slowly,
    as a model in training does, then costs a few sweeps per call instead of a burn-in.

    The one sampler with a memory: it keeps the chains of every shape that it was asked for, by batch, count and sites. Its settings
    are frozen all the same; copies and pickles take the chains along, `dataclasses.replace` makes one without. Threads may share
    it and take turns. `training.PersistentContrastiveDivergence` is the same for a training loop, whose `state_dict` also saves it.

    Args:
        sampler: a Markov chain; `sweeps` is that of each call.

    Law:
        Asymptotic: right while the problem changes more slowly than the chains mix. Rows of one call are independent; a row and the
        same row of the next call are not.

    Raises:
        InvalidSettingError: a sampler that does not walk.

    Cost:
        Memory for the states of every shape that was asked for, until `reset`.

    References:
        Younes 1989; Tieleman 2008, "Training restricted Boltzmann machines using approximations to the likelihood gradient".

    Example:
        >>> from spinlight.samplers import Gibbs
        >>> pair = Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> chains = Persistent(sampler=Gibbs(sweeps=5))
        >>> [chains.draw(pair, 8, seed=seed).info.sweeps for seed in (1, 2, 3)]
        [5, 10, 15]
    """

    law: ClassVar[Law] = "asymptotic"
    divisible: ClassVar[bool] = False

    sampler: MarkovChain
    _chains: dict[_Shape, ChainState] = field(init=False, repr=False, compare=False, default_factory=dict)
    _lock: Lock = field(init=False, repr=False, compare=False, default_factory=Lock)

    def __post_init__(self) -> None:
        """Check the settings."""
        if not isinstance(self.sampler, MarkovChain):
            raise InvalidSettingError(
                f"sampler must be a Markov chain such as Gibbs(), got {self.sampler!r}: others keep nothing between calls"
            )

    @property
    def beta(self) -> float:
        """The inverse temperature of the chains."""
        return self.sampler.beta

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return the chains after some more sweeps; see `Sampler.draw`.

        The seed names the randomness of this call: that of the random start, where there are no chains yet, and of the sweeps.
        `initial` puts the chains somewhere else.
        """
        started = time.perf_counter()
        count, resolved = positive_integer("count", count), resolve_seed(seed)
        shape = (require_problem(problem).batch, count, problem.sites)
        with self._lock:
            kept = self._chains.get(shape)
            if kept is None or initial is not None:
                state = self.sampler.init(problem, count, seed=resolved, initial=initial)
            else:
                # The sweeps of before still count: a seed that comes again names other random numbers.
                state = ChainState(kept.spins, resolved, kept.sweeps)
            state = self.sampler.step(problem, state, self.sampler.sweeps)
            self._chains[shape] = state
        draws = draws_of(
            self.sampler,
            problem,
            state.spins.clone(),
            beta=self.beta,
            seed=resolved,
            sweeps=state.sweeps,
            seconds=time.perf_counter() - started,
        )
        return wrapped(self, draws)

    def reset(self) -> None:
        """Forget all chains: the next call starts anew."""
        with self._lock:
            self._chains.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return the chains as tensors and integers; with the same seeds, draws after loading them are the same bit for bit."""
        with self._lock:
            states = list(self._chains.values())
        return {"chains": [{"spins": each.spins.clone(), "seed": each.seed, "sweeps": each.sweeps} for each in states]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the chains that `state_dict` returned, and no others.

        Raises:
            InvalidStateError: no such state, or spins other than -1/+1; the chains stay as they were.
        """
        try:
            chains = {_shape(each.spins): each for each in (ChainState(**saved) for saved in state["chains"])}
        except (KeyError, TypeError) as error:
            raise InvalidStateError(f"a state that state_dict returned is needed: {error!r}") from error
        with self._lock:
            self._chains.clear()
            self._chains.update(chains)

    def __getstate__(self) -> dict[str, Any]:
        """Return the settings and the chains; a lock cannot be copied."""
        with self._lock:
            return {"sampler": self.sampler, "_chains": dict(self._chains)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take settings and chains, and a lock of its own."""
        self.__dict__.update(state, _lock=Lock())


def _shape(spins: Tensor) -> _Shape:
    return (spins.shape[0] if spins.ndim == 3 else None, spins.shape[-2], spins.shape[-1])
