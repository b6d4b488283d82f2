"""Draws at a wanted temperature from a sampler that has one of its own: the problem is rescaled until they have it."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from spinlight._checks import integer, positive_integer, positive_number
from spinlight._errors import InvalidSettingError, UncalibratedWarning
from spinlight._plain import plain
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import Draws, Ising, Law
from spinlight.ising.problem import require_problem
from spinlight.samplers.base import Sampler, initial_spins, require_sampler, wrapped
from spinlight.samplers.temperature import BetaEstimator, EffectiveBeta, EnergyMoments

_TOLERANCE = 0.02
"""Relative distance from the wanted beta, besides three standard errors, that draws may have without a warning."""

_LONGEST_STEP = 8.0
"""Factors change by this much at the most from one call to the next."""

_ROWS = 8
"""Problems of a batch that are looked at."""

_LEAST_DRAWS = 100
"""States of each of them per call."""


@dataclass(frozen=True, kw_only=True)
class Calibrated(Sampler):
    """Hands another sampler c times the problem, with the factor c at which its draws have the wanted effective beta.

    beta(draws of c E, measured on E) = beta

    The factor is found in a few calls of the sampler, which are spent on nothing else; the draws that are returned are fresh.
    log beta is taken for a straight line in log c near its root: one unit of slope to begin with, then as the calls say.

    A sampler that normalises the problem cannot be calibrated and is refused: give a `CoherentIsingMachine` a fixed `scale`.
    The problems of a batch share one factor, found on eight of them.

    Args:
        sampler: any.
        beta: the wanted inverse temperature, above 0.
        estimator: says which beta draws have. `EnergyMoments` makes their mean energy right; `PseudoLikelihood` needs no
            reference chains beyond 16 sites.
        draws: states per call while calibrating, all problems together (a hundred each at least). The error of the factor is
            about that of one call, 1 / sqrt(draws * var(beta E)).
        calls: at the most, while calibrating; fewer where one call cannot tell its draws from the wanted ones.
        factor: c, if it is known: nothing is calibrated then, and nothing checked. `calibrate` fills it in.

    Law:
        Heuristic, whatever the sampler's: one number is made right, the mean energy. What remains wrong is another distribution
        of the same mean energy; for small dense Boltzmann machines docs/calibration.md has it measured.

    Raises:
        InvalidSettingError: a setting outside its domain, or a sampler that normalises its problems; on drawing, a sampler whose draws
            have the same beta for every multiple of the problem, or none at all.

    Warns:
        UncalibratedWarning: the draws are off by more than 2 % and three standard errors.

    References:
        Effective temperatures of samplers that have no knob for it: Benedetti et al., "Estimation of effective temperatures in
        quantum annealers for sampling applications", Phys. Rev. A 94 (2016) 022308.

    Example:
        >>> from spinlight.samplers import Exact
        >>> problem = Ising([0.5, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> cold = Exact(beta=2.0)
        >>> round(Calibrated(sampler=cold).draw(problem, 1000, seed=0).info.details["factor"], 1)
        0.5
    """

    law: ClassVar[Law] = "heuristic"
    corrected: ClassVar[bool] = True

    sampler: Sampler
    beta: float = 1.0
    estimator: BetaEstimator = field(default_factory=EnergyMoments)
    draws: int = 10_000
    calls: int = 10
    factor: float | None = None

    def __post_init__(self) -> None:
        """Check the settings."""
        require_sampler(self.sampler)
        positive_number("beta", self.beta)
        if not isinstance(self.estimator, BetaEstimator):
            raise InvalidSettingError(
                f"estimator must be a BetaEstimator such as EnergyMoments(), got {self.estimator!r}"
            )
        integer("draws", self.draws, least=_LEAST_DRAWS, most=2**31 - 1)
        positive_integer("calls", self.calls)
        if self.factor is not None:
            positive_number("factor", self.factor)
        if (blind := _blind_to_scale(self.sampler)) is not None:
            raise InvalidSettingError(
                f"{type(blind).__name__} normalises every problem: it does not see their scale and cannot be calibrated. {_CURE}"
            )

    @property
    def divisible(self) -> bool:  # type: ignore[override]
        """Only once the factor is known: each call would find another one."""
        return self.factor is not None

    def calibrate(self, problem: Ising, *, seed: Seed = None) -> Calibrated:
        """Return this sampler with its factor found, to be used again on this problem and on ones like it.

        Args:
            problem: as `draw`.
            seed: as `draw`.

        Raises:
            InvalidSettingError: as `draw`.

        Warns:
            UncalibratedWarning: the last call's draws were off by more than 2 % and three standard errors.
        """
        factor, path = self._search(_some_of(require_problem(problem)), resolve_seed(seed))
        if path:
            self._warn_unless_near(path[-1].beta, self.draws, stacklevel=3)
        return replace(self, factor=factor)

    def updated(self, problem: Ising, draws: Draws, *, seed: Seed = None) -> Calibrated:
        """Return this sampler with its factor corrected by what draws of its own show: the sampler is not called.

        For a problem that changes little from call to call, as a machine in training does: each call corrects the next one, by as much
        as stands out of its noise. Draws that are surely of no temperature move the factor as they would while calibrating.

        Args:
            problem: which the draws are of.
            draws: of this sampler or one with another factor, at least two, as they came out of it.
            seed: of the estimator's reference chains, as `draw`.

        Raises:
            InvalidSettingError: the factor is not known yet: call `calibrate` first; or draws that no `Calibrated` gave.
        """
        if self.factor is None:
            raise InvalidSettingError("there is no factor to update yet; call calibrate(problem) first")
        factor = draws.info.details.get("factor")
        if factor is None:
            raise InvalidSettingError(
                f"the draws tell no factor: they came from {draws.info.sampler}, not from Calibrated"
            )
        if not any(bool(part.any()) for part in (require_problem(problem).fields, problem.edges()[2])):
            return self  # without fields and couplings every factor is right
        found = self._effective(_some_of(problem), draws, resolve_seed(seed))
        point = _Point(factor, found, self.beta)
        if point.known:
            # As much of the step as stands out of the noise: the rest would be a walk from call to call.
            sure = max(0.0, 1 - (2 * point.error / point.distance) ** 2) if point.distance else 0.0
            return replace(self, factor=factor * (_next_factor([point]) / factor) ** sure)
        unseen = abs(found.value - self.beta) <= 3 * found.standard_error  # as of a problem that is all but empty
        return self if unseen or math.isnan(found.value) else replace(self, factor=_next_factor([point]))

    def draw(self, problem: Ising, count: int, *, seed: Seed = None, initial: Tensor | None = None) -> Draws:
        """Return `count` draws of the rescaled problem with the energies of the true one; see `Sampler.draw`.

        `info.details` holds the `factor` and, where it was calibrated, the `path` of (factor, beta, standard error) and the
        `effective_beta` of the draws themselves with its `standard_error`; None stands for what could not be told.
        """
        started = time.perf_counter()
        count, resolved = positive_integer("count", count), resolve_seed(seed)
        require_problem(problem)
        if initial is not None:
            initial_spins(problem, count, resolved, initial)
        factor, path = (self.factor, []) if self.factor else self._search(_some_of(problem), derive_seed(resolved, 0))
        draws = self.sampler.draw(problem.scaled(factor), count, seed=derive_seed(resolved, 1), initial=initial)
        details: dict[str, Any] = {**draws.info.details, "factor": factor}
        if path:
            found = self._effective(_some_of(problem), draws, derive_seed(resolved, 2))
            self._warn_unless_near(found, draws.energies.numel(), stacklevel=3)
            details |= {
                "path": [[point.factor, *plain([point.beta.value, point.beta.standard_error])] for point in path],
                **plain({"effective_beta": found.value, "standard_error": found.standard_error}),
            }
        seconds = time.perf_counter() - started
        info = replace(draws.info, details=details, seed=resolved, seconds=seconds, beta=float(self.beta))
        return wrapped(self, replace(draws, energies=problem.energy(draws.spins), log_partition=None, info=info))

    def _search(self, problem: Ising, seed: int) -> tuple[float, list[_Point]]:
        """Return the factor, and what each call found on the way."""
        if not any(bool(part.any()) for part in (problem.fields, problem.edges()[2])):
            return 1.0, []  # without fields and couplings every factor is right
        count = self.draws if problem.batch is None else max(_LEAST_DRAWS, self.draws // problem.batch)
        path: list[_Point] = []
        factor = 1.0
        for call in range(self.calls):
            draws = self.sampler.draw(problem.scaled(factor), count, seed=derive_seed(seed, 2 * call))
            path.append(_Point(factor, self._effective(problem, draws, derive_seed(seed, 2 * call + 1)), self.beta))
            self._require_response(path)
            factor = _next_factor(path)
            if path[-1].known and abs(path[-1].distance) <= 2 * path[-1].error:
                break
        if not any(point.known for point in path):
            raise InvalidSettingError(
                f"{type(self.sampler).__name__} gave draws without a temperature at every factor from "
                f"{min(point.factor for point in path):.3g} to {max(point.factor for point in path):.3g}: all frozen, or all "
                f"blind to the problem; change its settings, or allow more calls. {_CURE}"
            )
        return factor, path

    def _effective(self, problem: Ising, draws: Draws, seed: int) -> EffectiveBeta:
        """Return the beta of draws of one problem, or of those of a batch together; NaN of a single draw."""
        if len(draws) < 2:
            return EffectiveBeta(math.nan, math.nan, "a single draw")
        if problem.batch is None:
            return self.estimator.estimate(problem, draws, seed=seed)
        rows = _rows(draws.energies.shape[0])
        found = [
            self.estimator.estimate(problem[i], draws[row], seed=derive_seed(seed, i)) for i, row in enumerate(rows)
        ]
        return _pooled(found)

    def _require_response(self, path: Sequence[_Point]) -> None:
        """Refuse a sampler whose beta stands still while the factor changes by the longest step or more."""
        known = sorted((point for point in path if point.known), key=lambda point: point.factor)
        if not known:
            return
        first, last = known[0], known[-1]
        span, moved = math.log(last.factor / first.factor), abs(last.distance - first.distance)
        if span >= math.log(_LONGEST_STEP) and moved + 3 * math.hypot(first.error, last.error) < _LEAST_SLOPE * span:
            raise InvalidSettingError(
                f"{type(self.sampler).__name__} draws at beta = {last.beta.value:.3g} and {first.beta.value:.3g} for problems "
                f"{last.factor / first.factor:.3g} times apart: it does not see their scale and cannot be calibrated. {_CURE}"
            )

    def _warn_unless_near(self, found: EffectiveBeta, count: int, *, stacklevel: int) -> None:
        """Warn of draws that are surely off; of draws too few to have a beta nothing is said."""
        unknown = math.isnan(found.standard_error)
        if math.isnan(found.value) or (unknown and count < _LEAST_DRAWS):
            return
        error = 0.0 if unknown else found.standard_error
        if abs(found.value - self.beta) > _TOLERANCE * self.beta + 3 * error:
            warnings.warn(
                f"draws of {type(self.sampler).__name__} are at beta = {found.value:.4g} +/- {error:.2g} after calibration, not "
                f"at {self.beta:.4g}; allow more calls or draws, or change the sampler's settings",
                UncalibratedWarning,
                stacklevel=stacklevel + 1,
            )


def _blind_to_scale(sampler: object) -> object | None:
    """Return the sampler, or the one within it, to which a problem and its multiples are the same; None if there is none."""
    if not getattr(sampler, "sees_scale", True):  # others' samplers say nothing of it
        return sampler
    inner = getattr(sampler, "sampler", None)
    return _blind_to_scale(inner) if callable(getattr(inner, "draw", None)) else None


_CURE = (
    "Take one that sees it, such as LangevinBifurcation; an optical machine needs a fixed gain, noise, and no error correction: "
    "CoherentIsingMachine(scale=0.16, "
    "feedback=UncorrectedFeedback(), noise=TruncatedWigner(photon=0.6), steps=500, look_every=0)"
)

_LEAST_SLOPE = 0.2
"""A sampler whose log beta changes by less than this per unit of the factor's logarithm does not respond."""


@dataclass(frozen=True)
class _Point:
    """What one call found: the beta of its draws at a factor, beside the wanted one."""

    factor: float
    beta: EffectiveBeta
    wanted: float

    @property
    def known(self) -> bool:
        """Whether the draws have a temperature: neither frozen nor hotter than any."""
        return 0 < self.beta.value < math.inf and 0 < self.beta.standard_error < math.inf

    @property
    def distance(self) -> float:
        """log(beta / wanted)."""
        return math.log(self.beta.value / self.wanted)

    @property
    def error(self) -> float:
        """Standard error of the distance."""
        return self.beta.standard_error / self.beta.value


def _next_factor(path: Sequence[_Point]) -> float:
    """Return the factor to try next: the root of the line, between what was too hot and what was frozen."""
    known = [point for point in path if point.known]
    hot = max((p.factor for p in path if not p.known and not p.beta.value > 0), default=0.0)
    frozen = min((p.factor for p in path if not p.known and p.beta.value > 0), default=math.inf)
    if known:
        nearest = min(known, key=lambda point: abs(point.distance)).factor
        wanted = min(max(_root(known), nearest / _LONGEST_STEP), nearest * _LONGEST_STEP)
        if wanted >= frozen:
            return math.sqrt(nearest * frozen)
        return math.sqrt(nearest * hot) if wanted <= hot else wanted
    if hot > 0 and frozen < math.inf:
        return math.sqrt(hot * frozen)
    return _LONGEST_STEP * hot if hot > 0 else frozen / _LONGEST_STEP


def _root(points: Sequence[_Point]) -> float:
    """Return where a straight line through (log factor, distance) is zero, by weighted least squares.

    The error of a point is that of its beta and, because log beta is no straight line, a quarter of its squared distance.
    The slope is 1 +/- 1 before anything is known: that of a sampler whose beta is in proportion to the factor.
    """
    x = np.log([point.factor for point in points])
    y = np.array([point.distance for point in points])
    weights = 1 / (np.square([point.error for point in points]) + (0.25 * y**2) ** 2)
    middle, height = np.average(x, weights=weights), np.average(y, weights=weights)
    slope = (1 + weights @ ((x - middle) * (y - height))) / (1 + weights @ (x - middle) ** 2)
    return float(np.exp(middle - height / max(slope, _LEAST_SLOPE)))


def _pooled(found: Sequence[EffectiveBeta]) -> EffectiveBeta:
    """Return the mean of estimates, weighted by their precision; of those that have none only if no other is there."""
    finite = [each for each in found if math.isfinite(each.value) and 0 < each.standard_error < math.inf]
    if not finite:
        return max(found, key=lambda each: each.value)
    precisions = np.array([each.standard_error**-2 for each in finite])
    value = float(np.average([each.value for each in finite], weights=precisions))
    return EffectiveBeta(value, float(precisions.sum() ** -0.5), f"{finite[0].method}, {len(finite)} problems")


def _rows(batch: int) -> list[int]:
    """Return which problems of a batch are looked at: all, or some that are evenly spread."""
    return torch.linspace(0, batch - 1, min(batch, _ROWS)).round().to(torch.int64).tolist()


def _some_of(problem: Ising) -> Ising:
    """Return the problems of a batch that are looked at; a single one as it is."""
    return problem if problem.batch is None else Ising(problem.fields[_rows(problem.batch)], problem.couplings)
