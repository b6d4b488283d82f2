"""A sampler of this library behind dimod's interface; importing this file imports dimod, which `as_dimod` does on first use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dimod
import numpy as np
import torch
from torch import Tensor

from spinlight._checks import positive_integer
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import Ising, ising_from_dimod
from spinlight.samplers.base import Sampler


@dataclass(frozen=True)
class SpinlightSampler(dimod.Sampler, dimod.Initialized):  # type: ignore[name-defined, misc]  # dimod builds its namespace as it runs
    """What `as_dimod` returns; dimod's mixins make `sample_ising` and `sample_qubo` of `sample`.

    Args:
        sampler: draws the samples.
    """

    sampler: Sampler

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The keyword arguments of the sampling methods, each with the properties that describe it."""
        return {
            "num_reads": [],
            "seed": [],
            "initial_states": [],
            "initial_states_generator": ["initial_states_generators"],
        }

    @property
    def properties(self) -> dict[str, Any]:
        """The sampler's class, its law and its settings."""
        return {
            "sampler": type(self.sampler).__name__,
            "law": self.sampler.law,
            "settings": self.sampler.settings(),
            "initial_states_generators": ("none", "tile", "random"),
        }

    def sample(
        self,
        bqm: Any,
        *,
        num_reads: int | None = None,
        seed: Seed = None,
        initial_states: Any = None,
        initial_states_generator: str = "random",
        **kwargs: Any,
    ) -> Any:
        """Return samples of a binary quadratic model; unknown arguments are ignored with dimod's warning.

        Args:
            bqm: over spins or bits.
            num_reads: samples; None for one per initial state, or one.
            seed: as `Sampler.draw`.
            initial_states: samples to start from, in any form that dimod takes.
            initial_states_generator: what to do if these are too few: "none" (refuse), "tile" or "random".

        Returns:
            A `dimod.SampleSet` in the model's variables and its vartype.

        Raises:
            InvalidSettingError, ValueError: arguments outside their domain, ours or dimod's.
        """
        self.remove_unknown_kwargs(**kwargs)
        resolved, initial = resolve_seed(seed), None
        if initial_states is not None:
            given = (initial_states, initial_states_generator, num_reads, derive_seed(resolved, 0) % 2**32)
            initial = _spins(self.parse_initial_states(bqm, *given).initial_states, bqm)
            num_reads = len(initial)
        count = positive_integer("num_reads", 1 if num_reads is None else num_reads)
        if not bqm.num_variables:
            return dimod.SampleSet.from_samples_bqm((np.empty((count, 0), np.int8), []), bqm)  # type: ignore[no-untyped-call]
        samples = self.sampler.draw(_problem(bqm), count, seed=resolved, initial=initial).to_dimod()
        samples.relabel_variables(dict(enumerate(bqm.variables)))
        return samples.change_vartype(bqm.vartype)


def _spins(samples: Any, bqm: Any) -> Tensor:
    """Return samples as spins with their columns in the order of the model's variables."""
    columns = [samples.variables.index(name) for name in bqm.variables]
    return torch.from_numpy(samples.change_vartype("SPIN", inplace=False).record.sample[:, columns].astype(np.int8))


def _problem(bqm: Any) -> Ising:
    """Return the model's problem, dense if a third of all pairs are coupled: dense sweeps are faster from there on."""
    problem = ising_from_dimod(bqm)
    return problem.to_dense() if 6 * bqm.num_interactions > problem.sites * (problem.sites - 1) else problem
