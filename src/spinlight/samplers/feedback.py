"""How a coherent Ising machine corrects the amplitudes of its pulses: the kinds of feedback, each with its schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from spinlight._checks import finite_number, fraction, positive_number

if TYPE_CHECKING:
    from spinlight.kernels.oscillators import Drive

Path = NDArray[np.float32]


class Feedback(ABC):
    """The equations of the error variables, and how the pump and their constants change during a run."""

    @property
    @abstractmethod
    def control(self) -> int:
        """The number by which the kernels know the equations."""

    @property
    def pull(self) -> float:
        """k, of separated feedback."""
        return 0.0

    @property
    @abstractmethod
    def first_amplitude(self) -> float:
        """Standard deviation of the amplitudes at the start."""

    @abstractmethod
    def drive(self, steps: int, dt: float) -> Drive:
        """Return the schedule of a run, whose time steps are `dt` or less."""


@dataclass(frozen=True, kw_only=True)
class ChaoticAmplitudeControl(Feedback):
    """Error variables drive every amplitude to the same size (CAC).

    dx_i/dt = - x_i^3 + (p - 1) x_i + e_i z_i,  de_i/dt = - b e_i (x_i^2 - a),  z_i = xi (sum_j J_ij x_j + sqrt(a) h_i)

    The pump p and the target a rise linearly and hold for the last part of the run. The time step shrinks with the size of the
    amplitudes, as sqrt(a(0) / a(t)): the larger they are, the larger are the e_i and the faster the fastest of all motions.

    Args:
        pump: p at the start; it ends at 1. -0.5 suits random graphs, -4 toroidal and -1 planar ones.
        target: a at the start and at the end, above 0.
        rate: b, above 0.
        hold: share of the run at the end during which nothing changes, in [0, 1).

    References:
        Leleu, Yamamoto, McMahon & Aihara, PRL 122 (2019) 040607; Reifenstein et al., Adv. Quantum Technol. 4 (2021) 2100077,
        with their constants for Max-Cut.
    """

    pump: float = -0.5
    target: tuple[float, float] = (1.0, 3.0)
    rate: float = 0.3
    hold: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings."""
        finite_number("pump", self.pump)
        for part in self.target:
            positive_number("target", part)
        positive_number("rate", self.rate)
        fraction("hold", self.hold)

    @property
    def control(self) -> int:
        """See `Feedback`."""
        return 0

    @property
    def first_amplitude(self) -> float:
        """See `Feedback`."""
        return 0.1

    def drive(self, steps: int, dt: float) -> Drive:
        """See `Feedback`."""
        rise = _rise(steps, self.hold)
        target = _between(*self.target, rise)
        pump, amplitude = _between(self.pump, 1.0, rise), np.sqrt(target)
        return _drive(pump=pump, target=target, rate=self.rate, field=amplitude, step=dt * amplitude[0] / amplitude)


@dataclass(frozen=True, kw_only=True)
class ChaoticFeedbackControl(Feedback):
    """Error variables drive every feedback signal to the same size (CFC).

    z_i = e_i xi (sum_j J_ij x_j + c h_i),  dx_i/dt = - x_i^3 + (p - 1) x_i + z_i,  de_i/dt = - b e_i (z_i^2 - a)

    The pump p rises linearly and holds for the last part of the run. A field is scaled by c, the amplitude at which a feedback
    of the wanted size sqrt(a) would rest: c^3 = (p - 1) c + sqrt(a).

    Args:
        pump: p at the start; it ends at 1.
        target: a, above 0.
        rate: b, above 0.
        hold: share of the run at the end during which nothing changes, in [0, 1).

    References:
        Reifenstein et al., "Coherent Ising machines with optical error correction circuits", Adv. Quantum Technol. 4 (2021)
        2100077 (arXiv 2108.07369), with their constants for Max-Cut.
    """

    pump: float = -1.0
    target: float = 1.0
    rate: float = 0.15
    hold: float = 0.1

    def __post_init__(self) -> None:
        """Check the settings."""
        finite_number("pump", self.pump)
        positive_number("target", self.target)
        positive_number("rate", self.rate)
        fraction("hold", self.hold)

    @property
    def control(self) -> int:
        """See `Feedback`."""
        return 1

    @property
    def first_amplitude(self) -> float:
        """See `Feedback`."""
        return 0.1

    def drive(self, steps: int, dt: float) -> Drive:
        """See `Feedback`."""
        pump = _between(self.pump, 1.0, _rise(steps, self.hold))
        rest = _resting_amplitude(pump, self.target**0.5)
        return _drive(pump=pump, target=np.full(steps, self.target), rate=self.rate, field=rest, step=dt)


@dataclass(frozen=True, kw_only=True)
class SeparatedFeedbackControl(Feedback):
    """A saturating feedback, and a slow copy of it that is taken away (SFC).

    z_i = - xi (sum_j J_ij x_j + a h_i),  dx_i/dt = - x_i^3 + (p - 1) x_i - tanh(c z_i) - k (z_i - e_i),  de_i/dt = - b (e_i - z_i)

    The pump p, the gain c and the rate b change linearly; no chaos, and the last state is the best one more often than with
    the other two. a is the amplitude at which a pulse rests under a saturated feedback, a^3 + (1 - p) a = 1, which stands for a
    spin in the field term. Where fields dominate, runs end alike, found or missed together: there prefer the other two.

    Args:
        pump: p at the start; it ends at 1.
        gain: c at the start and at the end.
        rate: b at the start and at the end, above 0.
        pull: k, at least 0.
        hold: share of the run at the end during which nothing changes, in [0, 1).

    References:
        Reifenstein et al., as `ChaoticFeedbackControl`, equations 6 to 8, with their constants.
    """

    pump: float = -1.0
    gain: tuple[float, float] = (1.0, 3.0)
    rate: tuple[float, float] = (0.3, 0.1)
    pull: float = 0.2
    hold: float = 0.0

    def __post_init__(self) -> None:
        """Check the settings."""
        finite_number("pump", self.pump)
        for name, pair in (("gain", self.gain), ("rate", self.rate)):
            for part in pair:
                positive_number(name, part)
        finite_number("pull", self.pull)
        fraction("hold", self.hold)

    @property
    def control(self) -> int:
        """See `Feedback`."""
        return 2

    @property
    def first_amplitude(self) -> float:
        """See `Feedback`."""
        return 0.1

    def drive(self, steps: int, dt: float) -> Drive:
        """See `Feedback`."""
        rise = _rise(steps, self.hold)
        one = np.ones(steps)
        rate, gain, pump = _between(*self.rate, rise), _between(*self.gain, rise), _between(self.pump, 1.0, rise)
        return _drive(pump=pump, target=one, rate=rate, gain=gain, field=_saturated(pump), step=dt)


def _saturated(pump: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the amplitude at which a pulse rests under a saturated feedback: the root of x^3 + (1 - p) x = 1."""
    x = np.ones_like(pump)
    for _ in range(50):
        x -= (x**3 + (1 - pump) * x - 1) / (3 * x**2 + 1 - pump)
    return x


@dataclass(frozen=True, kw_only=True)
class UncorrectedFeedback(Feedback):
    """A saturating feedback at a constant pump, without error variables: the machine to sample with.

    z_i = xi (sum_j J_ij x_j + c h_i),  dx_i/dt = - x_i^3 + (p - 1) x_i + tanh(z_i)

    Above threshold a pulse rests near -sqrt(p - 1) or +sqrt(p - 1) and noise makes it hop; while z stays small, the motion is
    that of a particle in two wells that the feedback tilts, and the signs nearly follow a Boltzmann law. `Calibrated` finds the
    scale xi at which its beta is the wanted one. Error variables would work against the tilt.

    Args:
        pump: p. The wells are (p - 1)^2 / 4 deep: too deep for the noise, and pulses stay where they began; too shallow, and
            amplitudes are not alike, as spins are.
        amplitude: c, the mean size of an amplitude, which stands for a spin in the field term; above 0. 1 belongs to the
            default pump and `TruncatedWigner(photon=0.6)`.

    References:
        Noise as the source of thermal samples: Böhm et al., Nat. Commun. 13 (2022) 5847; strong quantum noise samples best: Ng et
        al., Phys. Rev. Research 4 (2022) 013009.
    """

    pump: float = 2.5
    amplitude: float = 1.0

    def __post_init__(self) -> None:
        """Check the settings."""
        finite_number("pump", self.pump)
        positive_number("amplitude", self.amplitude)

    @property
    def control(self) -> int:
        """See `Feedback`: separated feedback, from which nothing is taken away."""
        return 2

    @property
    def first_amplitude(self) -> float:
        """See `Feedback`."""
        return 0.1

    def drive(self, steps: int, dt: float) -> Drive:
        """See `Feedback`."""
        one = np.ones(steps)
        return _drive(pump=self.pump * one, target=one, rate=0.0, field=self.amplitude * one, step=dt)


def _rise(steps: int, hold: float) -> NDArray[np.float64]:
    """Return numbers that rise from 0 to 1 and stay there for the last part."""
    return np.minimum(1.0, np.arange(steps) / max(1.0, steps * (1 - hold)))


def _between(first: float, last: float, rise: NDArray[np.float64]) -> NDArray[np.float64]:
    return first + (last - first) * rise


def _drive(
    *,
    pump: NDArray[np.float64],
    target: NDArray[np.float64],
    rate: NDArray[np.float64] | float,
    field: NDArray[np.float64],
    step: NDArray[np.float64] | float,
    gain: NDArray[np.float64] | float = 1.0,
) -> Drive:
    from spinlight.kernels.oscillators import Drive

    parts = np.broadcast_arrays(pump, target, rate, gain, field, step)
    return Drive(*(np.ascontiguousarray(part, dtype=np.float32) for part in parts))


def _resting_amplitude(pump: NDArray[np.float64], feedback: float) -> NDArray[np.float64]:
    """Return the positive root c of c^3 = (p - 1) c + feedback, by Newton's method from above."""
    c = np.full_like(pump, 1.0 + feedback) + np.maximum(pump - 1, 0)
    for _ in range(50):
        c -= (c**3 - (pump - 1) * c - feedback) / (3 * c**2 - (pump - 1))
    return c
