"""Samplers of Ising problems: one interface, one file per algorithm."""

from spinlight.samplers.base import ChainState, MarkovChain, Sampler

__all__ = ["ChainState", "MarkovChain", "Sampler"]
