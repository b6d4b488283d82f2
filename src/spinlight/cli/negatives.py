"""What `spinlight fit` samples its machine by: the words of the command line, checked and made into a negative phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spinlight._errors import InvalidSettingError, UnknownNameError

if TYPE_CHECKING:
    from spinlight.samplers import Sampler
    from spinlight.training import NegativePhase

TAKEN = {
    "pcd": ("sampler", "chains", "sweeps"),
    "cd": ("sampler", "sweeps"),
    "independent": ("sampler", "draws"),
    "reused": ("sampler", "draws", "sweeps"),
}
"""The options of each kind."""


@dataclass(frozen=True, kw_only=True)
class Negatives:
    """The options that say where negatives come from, as they were given; None where they were not.

    Args:
        kind: "pcd", "cd", "independent" or "reused".
        sampler: a name of `spinlight samplers`.
        pairs: its settings, KEY=VALUE.
        chains: persistent chains.
        draws: per call of the sampler.
        sweeps: of the chains per step, or after the draws.

    Raises:
        UnknownNameError: another kind, or no such sampler or setting.
        InvalidSettingError: options that do not go together.
    """

    kind: str
    sampler: str | None = None
    pairs: Sequence[str] = ()
    chains: int | None = None
    draws: int | None = None
    sweeps: int | None = None

    def __post_init__(self) -> None:
        """Check that the options go together."""
        if self.kind not in TAKEN:
            raise UnknownNameError(f"--negatives must be one of {', '.join(TAKEN)}, got {self.kind!r}")
        for name in ("chains", "draws", "sweeps"):
            if getattr(self, name) is not None and name not in TAKEN[self.kind]:
                words = ", ".join(f"--{each}" for each in TAKEN[self.kind])
                raise InvalidSettingError(f"--negatives {self.kind} has no --{name}; it takes {words}")
        if self.sampler is None and self.pairs:
            raise InvalidSettingError("--set is for a setting of --sampler; name one of `spinlight samplers`")
        if self.sampler is None and "draws" in TAKEN[self.kind]:
            raise InvalidSettingError(
                f"--negatives {self.kind} are the draws of a sampler; name one of `spinlight samplers` by --sampler"
            )
        if "Persistent" in (self.sampler, *(pair.partition("=")[2] for pair in self.pairs)):
            raise InvalidSettingError(
                "checkpoints do not hold the chains of Persistent; take --negatives pcd and the sampler inside it"
            )

    def chosen(self, machine: str) -> Sampler | None:
        """Return the sampler, or None for block Gibbs; refuse one that cannot do what these negatives of that machine need."""
        from spinlight.cli.samplers import chosen_sampler
        from spinlight.samplers import MarkovChain, ParallelTempering

        if self.sampler is None:
            return None
        sampler = chosen_sampler(self.sampler, self.pairs)
        if "draws" in TAKEN[self.kind]:
            return sampler
        if self.kind == "pcd":
            self._require_effect()
        if machine == "gaussian":
            raise InvalidSettingError(
                "a gaussian machine has real visible units, which no sampler walks: leave --sampler out for block Gibbs, or take "
                "--negatives independent or reused, whose draws are of its hidden units"
            )
        tempered = (ParallelTempering,) if self.kind == "pcd" else ()
        if not isinstance(sampler, (MarkovChain, *tempered)):
            walking = ["Gibbs", "Metropolis", *(kind.__name__ for kind in tempered)]
            raise InvalidSettingError(
                f"--negatives {self.kind} lets chains go on from given states, which {self.sampler} cannot; take --sampler "
                f"{' or '.join(walking)}, or --negatives independent or reused"
            )
        return sampler

    def _require_effect(self) -> None:
        """Refuse settings of a sampler that chains do not look at when they go on from where they are."""
        for name, instead in {
            "sweeps": "sweeps",
            "sweeps_between": "sweeps",
            "ladders": "chains",
            "burn_in": "sweeps",
        }.items():
            if name in [pair.partition("=")[0] for pair in self.pairs]:
                raise InvalidSettingError(
                    f"--set {name} says nothing where chains live through the training; take --{instead}"
                )

    def phase(self, sampler: Any, *, steps: int, seed: int) -> NegativePhase:
        """Return the negative phase.

        Args:
            sampler: that of `chosen`.
            steps: batches of an epoch.
            seed: of everything that it draws.
        """
        from spinlight.training import (
            ContrastiveDivergence,
            IndependentDraws,
            PersistentContrastiveDivergence,
            ReusedDraws,
        )

        if self.kind == "pcd":
            chains = 100 if self.chains is None else self.chains
            return PersistentContrastiveDivergence(sampler, chains=chains, sweeps=self._sweeps(1), seed=seed)
        if self.kind == "cd":
            return ContrastiveDivergence(sampler, sweeps=self._sweeps(1), seed=seed)
        if self.kind == "independent":
            return IndependentDraws(sampler, count=100 if self.draws is None else self.draws, seed=seed)
        count = 1000 if self.draws is None else self.draws
        return ReusedDraws(sampler, count=count, steps=steps, sweeps=self._sweeps(0), seed=seed)

    def _sweeps(self, usual: int) -> int:
        return usual if self.sweeps is None else self.sweeps
