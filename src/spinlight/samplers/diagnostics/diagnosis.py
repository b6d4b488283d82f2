"""One call that says what draws are worth."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from spinlight._checks import nonnegative_number
from spinlight._errors import InvalidStateError
from spinlight._plain import plain
from spinlight._random import Seed, derive_seed, resolve_seed
from spinlight.ising import DrawInfo, Draws, Ising, Law
from spinlight.ising.problem import require_problem, require_single
from spinlight.samplers.diagnostics.comparison import (
    MOST_COMPARED_SITES,
    ExactComparison,
    compare,
    energies_of_all_states,
)
from spinlight.samplers.diagnostics.histograms import Histogram, energy_histogram, overlap_histogram
from spinlight.samplers.diagnostics.mixing import Mixing
from spinlight.samplers.diagnostics.picture import picture
from spinlight.samplers.diagnostics.traces import Trace
from spinlight.samplers.temperature import BetaEstimator, ConditionalMeans, EffectiveBeta, PseudoLikelihood

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What is known of draws of a problem; print it, or look at its `picture`.

    Args:
        sampler: class name of the sampler.
        law: what the sampler promises: "exact", "asymptotic" or "heuristic".
        sites: of the problem.
        draws: how many, copies included.
        effective_draws: (sum w)^2 / sum w^2, how many draws of equal weight know a mean equally well; of `PopulationAnnealing` no more
            than its effective families.
        mean_energy: weighted.
        mean_energy_error: its standard error, of independent draws.
        lowest_energy: of the draws.
        effective_betas: one per estimator.
        energies: histogram.
        overlaps: histogram of q = s.s' / sites over pairs of draws.
        exact: distance to the exact law, or None where `notes` say why not.
        mixing: of the chains by the name of the function, where a trace was given.
        notes: what could not be told and why, one sentence each.
    """

    sampler: str
    law: Law
    sites: int
    draws: int
    effective_draws: float
    mean_energy: float
    mean_energy_error: float
    lowest_energy: float
    effective_betas: tuple[EffectiveBeta, ...]
    energies: Histogram
    overlaps: Histogram
    exact: ExactComparison | None
    mixing: Mapping[str, Mixing]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        """Return the table as plain text."""
        rows = list(self._rows())
        widths = [max(len(row[column]) for row in rows) for column in range(2)]
        lines = [f"{name:<{widths[0]}}  {value:<{widths[1]}}  {aside}".rstrip() for name, value, aside in rows]
        return "\n".join([self._title(), *lines, *self.notes])

    def table(self) -> Table:
        """Return a table for a terminal: `rich.print(diagnosis.table())`."""
        from rich.table import Table

        caption = "\n".join(self.notes) or None
        table = Table("", "draws", "to compare", box=None, title=self._title(), caption=caption, title_justify="left")
        for row in self._rows():
            table.add_row(*row)
        return table

    def picture(self) -> bytes:
        """Return a PNG: the energies, the overlaps and, of chains, the autocorrelations, each beside what is exact.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        return picture(self.energies, self.overlaps, self.mixing)

    def to_json(self) -> str:
        """Return everything as JSON, null standing for what is not finite."""
        return json.dumps(plain(asdict(self)), indent=2)

    def _title(self) -> str:
        return f"{self.draws} draws of {self.sampler} ({self.law}), {self.sites} sites"

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        """Yield name, value and what to hold it against."""
        yield "effective draws", f"{self.effective_draws:.0f}", f"{self.draws} of equal weight"
        exact = self.exact
        mean = f"{self.mean_energy:.4g} +/- {self.mean_energy_error:.1g}"
        yield "mean energy", mean, "" if exact is None else _energy_aside(exact)
        yield "lowest energy", f"{self.lowest_energy:.6g}", ""
        for beta in self.effective_betas:
            yield "effective beta", f"{beta.value:.4g} +/- {beta.standard_error:.1g}", beta.method
        if exact is not None:
            law = f"to the law at beta {exact.beta:.4g}"
            yardstick = f"{exact.expected_total_variation:.3g} expected of exact draws"
            yield "total variation", f"{exact.total_variation:.3g}", f"{yardstick}, {law}"
            yield "KL divergence", f"{exact.kl_divergence:.3g}", law
        expected = self.overlaps.exact_mean_square
        aside = "" if expected is None else f"{expected:.3f} exactly"
        yield "mean squared overlap", f"{self.overlaps.mean_square:.3f}", aside
        for name, chain in self.mixing.items():
            yield f"split R-hat, {name}", f"{chain.split_r_hat:.3f}", "below 1.01 where chains agree"
            yield f"bulk effective draws, {name}", f"{chain.bulk_effective_draws:.0f}", "100 per chain are plenty"
            yield f"autocorrelation time, {name}", f"{chain.autocorrelation_time:.3g}", "sweeps"


def diagnose(
    problem: Ising,
    draws: Draws | Trace,
    *,
    beta: float | None = None,
    estimators: Sequence[BetaEstimator] = (PseudoLikelihood(), ConditionalMeans()),
    seed: Seed = None,
) -> Diagnosis:
    """Return what draws of a problem are worth, by every measure that they allow.

    Effective draws, mean energy, effective inverse temperatures, energies and overlaps; up to 20 sites also the distance to the
    exact law; and of a trace (`record`) R-hat, effective draws and autocorrelation times of its chains, its last states serving
    as draws.

    Args:
        problem: the one that the draws are of, single.
        draws: of any sampler, weights and multiplicities included; or a trace.
        beta: of the exact law to compare with. None: what the draws were meant for, or, where a machine promises nothing, the first
            effective beta.
        estimators: of the effective beta. `EnergyMoments()` asks for annealed chains above 16 sites.
        seed: of what estimators draw themselves; integer, generator, or None for fresh entropy.

    Law:
        Standard errors and expectations are those of independent rows. Rows of one ladder of `ParallelTempering` are correlated, those of
        one family of `PopulationAnnealing` are related, and a machine may return copies: errors are then too small. Of the first two
        `notes` say so.

    Raises:
        InvalidSettingError: a batch of problems, or a beta outside its domain.
        InvalidStateError: draws of another problem, fewer than two of them, or without any weight.

    Cost:
        Draws * sites per number, pairs of at most a thousand draws, and up to 20 sites a few passes over 2^sites states (two
        seconds and half a GB at 20).

    Example:
        >>> from spinlight.samplers import Exact
        >>> pair = Ising([0.5, 0.0], [[0.0, 1.0], [1.0, 0.0]])
        >>> found = diagnose(pair, Exact().draw(pair, 2000, seed=0))
        >>> found.exact.total_variation < 0.05, abs(found.effective_betas[0].value - 1) < 0.2
        (True, True)
    """
    require_single(require_problem(problem))
    wanted = None if beta is None else nonnegative_number("beta", beta)
    single = draws.draws if isinstance(draws, Trace) else draws
    _require_fit(problem, single)
    each = _without_counts(single)
    mixing = draws.mixing() if isinstance(draws, Trace) else {}
    weights = each.weights.cpu()
    energies = problem.energy(each.spins.to(problem.device)).cpu()
    families = single.info.details.get("effective_families", math.inf)
    effective = min(float(1 / weights.square().sum()), families)
    mean = float(weights @ energies)
    resolved = resolve_seed(seed)
    betas = tuple(
        estimator.estimate(problem, each, seed=derive_seed(resolved, number))
        for number, estimator in enumerate(estimators)
    )
    compared = _compared_beta(wanted, single.info.beta, betas)
    exact, levels, law = None, None, None
    if compared is not None and problem.sites <= MOST_COMPARED_SITES:
        levels = energies_of_all_states(problem)
        law = torch.softmax(-compared * levels, 0)
        exact = compare(each.spins.cpu(), weights, levels, compared, effective)
    return Diagnosis(
        sampler=single.info.sampler,
        law=single.info.law,
        sites=problem.sites,
        draws=len(each),
        effective_draws=effective,
        mean_energy=mean,
        mean_energy_error=_error_of_mean(energies, weights),
        lowest_energy=float(energies.min()),
        effective_betas=betas,
        energies=energy_histogram(energies, weights, levels, law),
        overlaps=overlap_histogram(each.spins.cpu(), weights, law),
        exact=exact,
        mixing=mixing,
        notes=(*_relations(single.info), *_notes(problem, effective, betas, compared, mixing)),
    )


def _energy_aside(exact: ExactComparison) -> str:
    if math.isnan(exact.energy_deviation):
        return f"{exact.mean_energy:.4g} exactly, the energy of every state"
    return f"{exact.mean_energy:.4g} exactly, {exact.energy_deviation:+.1f} standard errors away"


def _require_fit(problem: Ising, draws: object) -> None:
    if not isinstance(draws, Draws):
        raise InvalidStateError(f"draws or a trace are needed, got {type(draws).__name__}")
    if draws.batch is not None or draws.sites != problem.sites:
        raise InvalidStateError(
            f"draws of one problem of {problem.sites} sites are needed, got spins of shape {tuple(draws.spins.shape)}; take those of "
            "one problem by draws[i]"
        )
    if not bool(draws.weights.isfinite().all()):
        raise InvalidStateError("all draws have a weight of zero")


def _without_counts(draws: Draws) -> Draws:
    """Return every copy as a row of its own: errors are those of single draws."""
    if draws.counts is not None:
        rows = torch.arange(len(draws), device=draws.counts.device).repeat_interleave(draws.counts)
        draws = draws[rows]
        draws = Draws(draws.spins, draws.energies, draws.info, log_weights=draws.log_weights)
    if len(draws) < 2:
        raise InvalidStateError(f"at least two draws are needed, got {len(draws)}: one says nothing of a law")
    return draws


def _error_of_mean(energies: Tensor, weights: Tensor) -> float:
    """Return the standard error of a weighted mean, with the n - 1 of a sample where weights are equal."""
    mean, collected = weights @ energies, weights.square()
    spread = (collected * (energies - mean).square()).sum() / (1 - collected.sum())
    return float(spread.clamp(min=0).sqrt())


def _compared_beta(wanted: float | None, meant: float | None, betas: Sequence[EffectiveBeta]) -> float | None:
    """Return the first inverse temperature there is of the asked one, the meant one and the found one."""
    if wanted is not None or meant is not None:
        return wanted if wanted is not None else meant
    found = betas[0].value if betas else math.nan
    return found if math.isfinite(found) and found >= 0 else None


def _relations(info: DrawInfo) -> Iterator[str]:
    """Yield a sentence where rows of a sampler, or of one inside it, are not independent."""
    samplers, inner = [info.sampler], info.settings.get("sampler")
    while isinstance(inner, Mapping):
        samplers.append(inner.get("class", ""))
        inner = inner.get("sampler")
    if "ParallelTempering" in samplers:
        yield "Standard errors are too small: rows of one ladder of ParallelTempering are correlated, one time after the other."
    if "PopulationAnnealing" in samplers:
        yield "Standard errors may be too small: rows of one family of PopulationAnnealing are related."


def _notes(
    problem: Ising,
    effective: float,
    betas: Sequence[EffectiveBeta],
    compared: float | None,
    mixing: Mapping[str, Mixing],
) -> Iterator[str]:
    """Yield a sentence for each thing that could not be told."""
    if effective == 1:
        yield "The mean energy has no standard error: one draw carries all the weight."
    for beta in betas:
        if not math.isfinite(beta.value):
            yield f"The draws have no finite effective beta ({beta.method})."
    if problem.sites > MOST_COMPARED_SITES:
        yield f"The exact law is not compared with: {problem.sites} sites are more than {MOST_COMPARED_SITES}."
    elif compared is None:
        yield "The exact law is not compared with: neither the draws nor the caller name a beta, and none could be estimated."
    for name, chain in mixing.items():
        if math.isnan(chain.split_r_hat):
            yield f"Nothing is known of the mixing of {name!r}: it never changed along the chains."
