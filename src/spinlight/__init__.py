"""Energy-based models in PyTorch, sampled by Ising machines."""

__version__ = "0.1.0"
