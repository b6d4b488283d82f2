"""What a sampler returns: states, their energies, their weights, and where they came from."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from spinlight._checks import positive_integer, require_extra, spins_of
from spinlight._errors import FileFormatError, InvalidSettingError, InvalidStateError
from spinlight._files import atomic_file, load_arrays
from spinlight.ising.partition import LogPartition
from spinlight.ising.problem import Ising

Law = Literal["exact", "asymptotic", "heuristic"]
"""How draws relate to the Boltzmann distribution: exactly, in the limit of long runs, or not by construction."""


@dataclass(frozen=True)
class DrawInfo:
    """Where draws came from.

    Args:
        sampler: class name of the sampler.
        law: "exact", "asymptotic" or "heuristic".
        beta: inverse temperature the draws are meant for; None where there is none.
        seed: the integer that reproduces them.
        sweeps: sweeps per chain; None where the word has no meaning.
        seconds: wall-clock time.
        device: where they were computed.
        version: spinlight's version.
        settings: the sampler's settings, as plain JSON values.
        details: what else the sampler has to report, as plain JSON values.
    """

    sampler: str
    law: Law
    beta: float | None
    seed: int
    sweeps: int | None
    seconds: float
    device: str
    version: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Draws:
    """States drawn for one problem, or for each problem of a batch.

    Args:
        spins: -1/+1, int8, shape (count, sites) or (batch, count, sites).
        energies: E(s), float64, shape (count,) or (batch, count).
        info: where they came from.
        log_weights: unnormalised log importance weights, the shape of `energies`, or None when all are equal.
        counts: multiplicities, the shape of `energies`, int64, or None when all are one.
        log_partition: an estimate of log Z, where the sampler makes one.

    Raises:
        InvalidStateError: shapes that do not fit each other, or values that are no spins, weights or counts.
    """

    spins: Tensor
    energies: Tensor
    info: DrawInfo
    log_weights: Tensor | None = None
    counts: Tensor | None = None
    log_partition: LogPartition | None = None

    def __post_init__(self) -> None:
        """Check that every part has one entry per state."""
        if self.spins.ndim not in (2, 3) or self.spins.dtype != torch.int8:
            raise InvalidStateError(
                f"spins must be int8 of shape (count, sites) or (batch, count, sites); got {self.spins.dtype} {tuple(self.spins.shape)}"
            )
        for name in ("energies", "log_weights", "counts"):
            part = getattr(self, name)
            if part is not None and part.shape != self.spins.shape[:-1]:
                raise InvalidStateError(
                    f"{name} must have shape {tuple(self.spins.shape[:-1])}, got {tuple(part.shape)}"
                )
        spins_of(self.spins)
        if self.log_weights is not None and bool((self.log_weights.isnan() | (self.log_weights == math.inf)).any()):
            raise InvalidStateError("log_weights must be numbers, or minus infinity for a weight of zero")
        if self.counts is not None and bool((self.counts < 0).any()):
            raise InvalidStateError("counts must not be negative")

    @property
    def batch(self) -> int | None:
        """The number of problems, or None for a single one."""
        return self.spins.shape[0] if self.spins.ndim == 3 else None

    @property
    def sites(self) -> int:
        """The number of spins of a state."""
        return self.spins.shape[-1]

    @property
    def bits(self) -> Tensor:
        """The states as bits (1 + s) / 2, int8, the shape of `spins`."""
        return (self.spins + 1) // 2

    @property
    def weights(self) -> Tensor:
        """Normalised weights, counts * exp(log_weights) / their sum; float64, the shape of `energies`."""
        log = torch.zeros_like(self.energies) if self.log_weights is None else self.log_weights.to(torch.float64)
        if self.counts is not None:
            log = log + self.counts.to(torch.float64).log()
        return torch.softmax(log, -1)

    def __len__(self) -> int:
        """Return the number of states per problem."""
        return self.spins.shape[-2]

    def __repr__(self) -> str:
        """Show sizes, the lowest energy and the origin."""
        batch = "" if self.batch is None else f"batch={self.batch}, "
        lowest = f"lowest energy={float(self.energies.min()):.6g}, " if self.energies.numel() else ""
        return f"Draws({batch}count={len(self)}, sites={self.sites}, {lowest}{self.info.sampler}, {self.info.law})"

    def __getitem__(self, index: int | slice | Tensor) -> Draws:
        """Return one problem of a batch, or some states of a single problem (an integer keeps the draw axis)."""
        if isinstance(index, np.integer) or (
            isinstance(index, Tensor) and index.ndim == 0 and index.dtype != torch.bool
        ):
            index = int(index)
        if self.batch is None and isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(f"draw {index} of {len(self)}")
            index = slice(index, index + 1 or None)
        return replace(
            self,
            spins=self.spins[index],
            energies=self.energies[index],
            log_weights=None if self.log_weights is None else self.log_weights[index],
            counts=None if self.counts is None else self.counts[index],
        )

    def expectation(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the weighted mean of `function` over the draws.

        Args:
            function: maps spins as float32, shape (..., count, sites), to values of shape (..., count) or (..., count, features).

        Returns:
            float64, the shape of the values without the draw axis.
        """
        values = function(self.spins.to(torch.float32)).to(torch.float64)
        weights = self.weights
        if values.shape[: weights.ndim] != weights.shape:
            raise InvalidStateError(
                f"the function must keep the shape {tuple(weights.shape)} of the draws in front; it returned {tuple(values.shape)}"
            )
        weights = weights.view(*weights.shape, *(1,) * (values.ndim - weights.ndim))
        return (weights * values).sum(self.energies.ndim - 1)

    def unique(self) -> Draws:
        """Return each distinct state once, lowest energy first, with its multiplicity in `counts`.

        Log weights of equal states are merged so that every expectation stays what it was.

        Raises:
            InvalidSettingError: on a batch; take one problem by draws[i] first.
        """
        self._require_single("unique")
        states, inverse = torch.unique(self.spins, dim=0, return_inverse=True)
        old_counts = torch.ones_like(inverse) if self.counts is None else self.counts
        counts = torch.zeros(len(states), dtype=torch.int64, device=inverse.device).index_add(0, inverse, old_counts)
        energies = torch.empty(len(states), dtype=torch.float64, device=inverse.device)
        energies[inverse] = self.energies
        log_weights = None
        if self.log_weights is not None:
            old_weights = self.log_weights.to(torch.float64)
            peak = old_weights.max()
            mass = (old_weights - peak).exp() * old_counts
            mean = torch.zeros_like(energies).index_add(0, inverse, mass) / counts
            log_weights = mean.log() + peak
        merged = replace(self, spins=states, energies=energies, counts=counts, log_weights=log_weights)
        return merged[torch.argsort(energies, stable=True)]

    def top(self, count: int) -> Draws:
        """Return the `count` draws of lowest energy, lowest first.

        Raises:
            InvalidSettingError: on a batch, or for a count that is not a positive integer.
        """
        self._require_single("top")
        return self[torch.argsort(self.energies, stable=True)[: positive_integer("count", count)]]

    def to_dimod(self) -> Any:
        """Return a `dimod.SampleSet` with these states, energies, multiplicities and log weights.

        Raises:
            InvalidSettingError: on a batch.
            MissingExtraError: dimod is not installed.
        """
        self._require_single("to_dimod")
        dimod = require_extra("dimod", "dimod")
        vectors = {"energy": self.energies, "num_occurrences": self.counts, "log_weights": self.log_weights}
        return dimod.SampleSet.from_samples(
            self.spins.cpu().numpy(),
            vartype="SPIN",
            **{name: vector.cpu().numpy() for name, vector in vectors.items() if vector is not None},
            info=asdict(self.info),
            sort_labels=False,
        )

    def to(self, device: torch.device | str) -> Draws:
        """Return the draws on another device."""
        return replace(
            self,
            spins=self.spins.to(device),
            energies=self.energies.to(device),
            log_weights=None if self.log_weights is None else self.log_weights.to(device),
            counts=None if self.counts is None else self.counts.to(device),
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a compressed npz file, atomically and without pickle; `Draws.load` reads it back."""
        parts = {"spins": self.spins, "energies": self.energies, "log_weights": self.log_weights, "counts": self.counts}
        arrays = {name: part.cpu().numpy() for name, part in parts.items() if part is not None}
        partition = None if self.log_partition is None else asdict(self.log_partition)
        arrays["info"] = np.array(json.dumps({"info": asdict(self.info), "log_partition": partition}))
        with atomic_file(path) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Draws:
        """Read draws written by `save`.

        Raises:
            FileFormatError: the file holds no draws.
        """
        arrays = load_arrays(path)
        try:
            about = json.loads(str(arrays.pop("info")))
            partition = about["log_partition"]
            return Draws(
                **{name: torch.from_numpy(array) for name, array in arrays.items()},
                info=DrawInfo(**about["info"]),
                log_partition=None if partition is None else LogPartition(**partition),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise FileFormatError(f"{os.fspath(path)} holds no draws that Draws.save wrote: {error}") from error

    def _require_single(self, action: str) -> None:
        if self.batch is not None:
            raise InvalidSettingError(f"{action} works on one problem, not on a batch; take one by draws[i]")


class SupportsDraw(Protocol):
    """Anything that draws states of an Ising problem; every sampler does."""

    @property
    def law(self) -> Law:
        """How the draws relate to the Boltzmann distribution."""
        ...

    def draw(self, problem: Ising, count: int, *, seed: Any = None, initial: Tensor | None = None) -> Draws:
        """Return `count` states per problem."""
        ...
