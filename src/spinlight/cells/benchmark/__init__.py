"""Latent spaces of single cells compared: the same data, budget, sizes and seeds for every model, each result a file.

`spinlight.cells.benchmark_cells` runs it; `chosen` holds the hyperparameters, `models` what is compared, `scores` what is measured.
"""
