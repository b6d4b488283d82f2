"""log Z as a sampler reports it with its draws."""

from __future__ import annotations

from dataclasses import dataclass, field

from spinlight._checks import positive_integer
from spinlight._errors import InvalidSettingError
from spinlight._random import Seed
from spinlight.ising import LogPartition, SupportsDraw
from spinlight.samplers import PopulationAnnealing
from spinlight.training.partition import Model, problem_of


@dataclass(frozen=True, kw_only=True)
class DrawnPartition:
    """log Z from a sampler whose draws come with it: `PopulationAnnealing`, which bounds it from below, `Exact` or `Reweighted`.

    Args:
        sampler: at the inverse temperature that is wanted.
        count: draws, where the estimate depends on their number.

    Example:
        >>> from spinlight.ising import Ising
        >>> known = DrawnPartition().estimate(Ising([0.0, 0.0], [[0.0, 1.0], [1.0, 0.0]]), seed=0)  # log(4 cosh 1) = 1.8201
        >>> abs(known.value - 1.8201) < 4 * known.standard_error < 0.05
        True
    """

    sampler: SupportsDraw = field(default_factory=PopulationAnnealing)
    count: int = 1000

    def __post_init__(self) -> None:
        """Check the settings."""
        if isinstance(self.sampler, type) or not callable(getattr(self.sampler, "draw", None)):
            raise InvalidSettingError(f"a sampler such as PopulationAnnealing() is needed, got {self.sampler!r}")
        positive_integer("count", self.count)

    def estimate(self, model: Model, *, seed: Seed = None) -> LogPartition:
        """Return what the sampler's draws report.

        Raises:
            InvalidSettingError: a batch of problems, a sampler without log Z, or what that sampler refuses.
            InvalidProblemError: nothing with an Ising problem.
        """
        known = self.sampler.draw(problem_of(model), self.count, seed=seed).log_partition
        if known is None:
            raise InvalidSettingError(
                f"draws of {type(self.sampler).__name__} come without log Z; use PopulationAnnealing, Exact or Reweighted"
            )
        return known
