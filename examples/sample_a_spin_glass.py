"""Draw Boltzmann samples of a spin glass, check them against enumeration, and find its ground state.

python examples/sample_a_spin_glass.py
"""

from __future__ import annotations

import torch

from spinlight.ising import Ising, exact_moments, ground_states
from spinlight.samplers import Gibbs, SimulatedAnnealing

SITES, DRAWS = 16, 20_000


def spin_glass(seed: int) -> Ising:
    """Return a Sherrington-Kirkpatrick problem with couplings N(0, 1/sites)."""
    generator = torch.Generator().manual_seed(seed)
    upper = torch.randn(SITES, SITES, generator=generator).triu(1) / SITES**0.5
    return Ising(fields=torch.zeros(SITES), couplings=upper + upper.T)


def main() -> None:
    problem = spin_glass(seed=1)

    draws = Gibbs(sweeps=200, beta=1.0).draw(problem, DRAWS, seed=1)
    pairs = draws.expectation(lambda spins: (spins.unsqueeze(-1) * spins.unsqueeze(-2)).flatten(-2))
    _, exact = exact_moments(problem)
    worst = float((pairs.view(SITES, SITES) - exact).abs().max())
    print(
        f"largest error of {SITES * (SITES - 1) // 2} pair moments: {worst:.4f}  (one standard error: {DRAWS**-0.5:.4f})"
    )
    assert worst < 5 * DRAWS**-0.5

    found = SimulatedAnnealing(sweeps=1000, beta=20.0).draw(problem, 64, seed=2).top(1)
    energy, _ = ground_states(problem)
    print(f"lowest energy found {float(found.energies):.6f}, lowest of all 2^{SITES} states {float(energy):.6f}")
    assert abs(float(found.energies) - float(energy)) < 1e-9


if __name__ == "__main__":
    main()
