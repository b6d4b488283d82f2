"""What users see: the public names, their docstrings and examples, and what importing them costs."""

from __future__ import annotations

import ast
import builtins
import importlib.metadata
import inspect
import re
import subprocess
import sys
from itertools import pairwise

import pytest

import spinlight
from helpers.sources import PACKAGE, modules
from spinlight import _errors

PUBLIC = {
    "spinlight": [
        "DownloadError",
        "FileFormatError",
        "InvalidDataError",
        "InvalidProblemError",
        "InvalidSettingError",
        "InvalidStateError",
        "MissingExtraError",
        "ProblemTooLargeError",
        "SolverError",
        "SpinlightError",
        "SpinlightWarning",
        "UncalibratedWarning",
        "UnknownNameError",
        "__version__",
    ],
    "spinlight.cells": [
        "BenchmarkSettings",
        "Benchmarked",
        "EmbedSettings",
        "EmbeddedCells",
        "FitSettings",
        "Fitted",
        "InterruptedFitError",
        "QBMVAE",
        "benchmark_cells",
        "embed_cells",
        "fit_cells",
        "load_cells",
        "load_dataset",
    ],
    "spinlight.cli": [
        "console",
        "main",
    ],
    "spinlight.datasets": [
        "DENSITY_SETS",
        "DensityName",
        "DensitySet",
        "HumanUtr5",
        "LabelledImages",
        "Mnist",
        "bars_and_stripes",
        "binarized",
        "density_set",
        "digits",
        "frey_faces",
        "human_utr5",
        "human_utr5_pieces",
        "mnist",
        "nucleotides_from_one_hot",
        "nucleotides_from_two_bits",
        "one_hot_from_nucleotides",
        "two_bits_from_nucleotides",
    ],
    "spinlight.ising": [
        "Clamped",
        "DrawInfo",
        "Draws",
        "EnergyHistogram",
        "Ising",
        "Law",
        "LogPartition",
        "ProblemFile",
        "SupportsDraw",
        "all_states",
        "bits_from_ising",
        "bits_from_spins",
        "clamp",
        "color_sites",
        "cut_value",
        "dimod_from_ising",
        "energy_histogram",
        "exact_moments",
        "exact_probabilities",
        "ground_states",
        "ising_from_bits",
        "ising_from_dimod",
        "ising_from_edges",
        "ising_from_kaiwu",
        "ising_from_qubo",
        "kaiwu_from_ising",
        "log_partition",
        "qubo_from_ising",
        "random_bits",
        "read_biqmac",
        "read_json",
        "read_npz",
        "read_problem",
        "read_problem_file",
        "read_rudy",
        "spins_from_bits",
        "spins_from_kaiwu_rows",
        "write_npz",
        "write_rudy",
    ],
    "spinlight.ising.files": [
        "ProblemFile",
        "cut_value",
        "read_biqmac",
        "read_json",
        "read_npz",
        "read_problem",
        "read_problem_file",
        "read_rudy",
        "write_npz",
        "write_rudy",
    ],
    "spinlight.latent": [
        "AdversarialStep",
        "AdversarialTask",
        "BernoulliLikelihood",
        "BernoulliPrior",
        "BoltzmannPrior",
        "Elbo",
        "Likelihood",
        "NormalLikelihood",
        "OverlappingExponentials",
        "PowerFunction",
        "Prior",
        "QGAN",
        "QVAE",
        "Relaxation",
        "SpikeAndExponential",
        "StraightThrough",
        "entropy",
        "independent_bits",
    ],
    "spinlight.models": [
        "AbstractBoltzmannMachine",
        "BoltzmannMachine",
        "Clipped",
        "DeepBeliefNetwork",
        "GaussianBernoulliRBM",
        "RestrictedBoltzmannMachine",
        "SparseBoltzmannMachine",
        "SupportsGibbsStep",
        "TrainableMachine",
        "clip_to_range",
        "grid_edges",
    ],
    "spinlight.samplers": [
        "AsSolver",
        "BetaEstimator",
        "Calibrated",
        "ChainState",
        "ChaoticAmplitudeControl",
        "ChaoticFeedbackControl",
        "CoherentIsingMachine",
        "ConditionalMeans",
        "CustomSchedule",
        "Diagnosis",
        "DimodSampler",
        "Distributed",
        "EffectiveBeta",
        "EnergyMoments",
        "Exact",
        "ExactComparison",
        "Feedback",
        "GaussianMoments",
        "GeometricSchedule",
        "Gibbs",
        "Histogram",
        "InterruptedSolveError",
        "LadderState",
        "LangevinBifurcation",
        "LinearSchedule",
        "MarkovChain",
        "Metropolis",
        "Mixing",
        "ParallelTempering",
        "Persistent",
        "PopulationAnnealing",
        "PseudoLikelihood",
        "Quantized",
        "QuenchedSchedule",
        "Repeated",
        "Restarts",
        "Reweighted",
        "Sampler",
        "Schedule",
        "SeparatedFeedbackControl",
        "SimulatedAnnealing",
        "SimulatedBifurcation",
        "Solution",
        "SolveSampler",
        "Strategy",
        "TopK",
        "Trace",
        "TruncatedWigner",
        "UncorrectedFeedback",
        "Unique",
        "as_dimod",
        "diagnose",
        "independent_fields",
        "mixing",
        "record",
        "solve",
    ],
    "spinlight.training": [
        "AnnealedImportance",
        "Batches",
        "CentredGradient",
        "ContrastiveDivergence",
        "DeepBeliefClassifier",
        "DeepBeliefTransformer",
        "Descent",
        "DrawnPartition",
        "EnergyTask",
        "ExactPartition",
        "FittedMachine",
        "GradientMonitor",
        "ImportanceWeightedBound",
        "IndependentDraws",
        "InterruptedFitError",
        "LikelihoodMonitor",
        "LogLikelihood",
        "NegativePhase",
        "PartitionEstimator",
        "PersistentContrastiveDivergence",
        "ReusedDraws",
        "ReverseAnnealed",
        "ReverseAnnealedBound",
        "ReverseAnnealedLikelihood",
        "RowsDataModule",
        "SupportsFreeEnergy",
        "SupportsIsing",
        "TemperedPartition",
        "UpDown",
        "complete",
        "fit_machine",
        "likelihood_bound",
        "linear_decay",
        "log_likelihood",
        "pretrain",
    ],
}
"""The public names of each package that states them; adding, renaming or removing one is a decision, made here too."""

HEAVY = [
    "numba",
    "scipy",
    "pandas",
    "pooch",
    "sklearn",
    "scvi",
    "scanpy",
    "anndata",
    "lightning",
    "dimod",
    "matplotlib",
    "jax",
    "ray",
    "transformers",
]


def packages_with_exports() -> list[str]:
    """Return the packages that state `__all__`."""
    return [
        name
        for name, tree in modules().items()
        if any(isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__" for node in tree.body)
    ]


def test_every_package_that_exports_names_is_pinned() -> None:
    assert sorted(PUBLIC) == sorted(packages_with_exports())


@pytest.mark.parametrize("package", packages_with_exports())
def test_public_names_are_the_pinned_ones(package: str) -> None:
    assert sorted(importlib.import_module(package).__all__) == PUBLIC[package]


@pytest.mark.parametrize("package", packages_with_exports())
def test_every_public_name_is_described(package: str) -> None:
    module = importlib.import_module(package)
    described = described_constants(package)
    silent = [name for name in module.__all__ if not (own_docstring(getattr(module, name)) or name in described)]
    assert silent == []


def own_docstring(thing: object) -> str | None:
    """Return the docstring written for a class or function; a constant shows that of its type, which says nothing."""
    return thing.__doc__ if inspect.isclass(thing) or inspect.isfunction(thing) else None


def described_constants(package: str) -> set[str]:
    """Return the names assigned at the top of a package's modules that a string right below describes."""
    found = set()
    for tree in (tree for name, tree in modules().items() if name.startswith(package)):
        for node, after in pairwise(tree.body):
            if isinstance(node, ast.Assign) and isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
                found |= {ast.unparse(target) for target in node.targets}
    return found


def test_only_constants_with_a_string_below_count_as_described() -> None:
    assert "Law" in described_constants("spinlight.ising")
    assert "__all__" not in described_constants("spinlight.ising")
    assert own_docstring(7) is None


@pytest.mark.parametrize("name", modules())
def test_every_name_under_raises_is_an_error(name: str) -> None:
    assert [error for error in raised(modules()[name]) if not is_error(error)] == []


def raised(tree: ast.Module) -> list[str]:
    """Return the names that stand in the `Raises:` sections of a module."""
    described = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    texts = [ast.get_docstring(node) or "" for node in ast.walk(tree) if isinstance(node, described)]
    sections = [
        section for text in texts for section in re.findall(r"^Raises:\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    ]
    lists = [names for section in sections for names in re.findall(r"^    (\w+(?:, \w+)*):", section, re.MULTILINE)]
    return [error for names in lists for error in names.split(", ")]


def is_error(name: str) -> bool:
    kind = getattr(_errors, name, None) or getattr(builtins, name, None)
    return isinstance(kind, type) and issubclass(kind, Exception)


def test_an_error_that_does_not_exist_is_caught() -> None:
    tree = ast.parse(
        'def f():\n    """Do.\n\n    Raises:\n        ValueError, KeyError: so\n            or so.\n        NoSuchError: x.\n    """'
    )
    assert [(error, is_error(error)) for error in raised(tree)] == [
        ("ValueError", True),
        ("KeyError", True),
        ("NoSuchError", False),
    ]


def test_raises_sections_are_found() -> None:
    assert "InvalidProblemError" in raised(modules()["spinlight.ising.problem"])


def in_a_fresh_process(code: str) -> str:
    """Return what the code prints in an interpreter of its own."""
    path = [str(PACKAGE.parent), *filter(None, sys.path)]
    code = f"import sys; sys.path[:0] = {path!r}; {code}"
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


LIGHT = "spinlight, spinlight.datasets, spinlight.ising, spinlight.models, spinlight.samplers"


@pytest.fixture(scope="module")
def loaded() -> list[set[str]]:
    """Return the modules that importing spinlight brings in beyond torch's, then those that numba does."""
    code = (
        f"import torch; a = set(sys.modules); import {LIGHT}; b = set(sys.modules); import numba; c = set(sys.modules)"
    )
    lines = in_a_fresh_process(f"{code}; print(*b - a); print(*c - b)").splitlines()
    return [set(line.split()) for line in lines]


def test_importing_brings_in_no_heavy_dependency(loaded: list[set[str]]) -> None:
    assert "spinlight.ising" in loaded[0]
    assert loaded[0] & set(HEAVY) == set()


def test_a_heavy_import_would_be_noticed(loaded: list[set[str]]) -> None:
    assert loaded[1] & set(HEAVY) != set()


def test_importing_costs_less_than_a_third_of_a_second_beyond_torch() -> None:
    code = f"import torch, time; start = time.perf_counter(); import {LIGHT}; print(time.perf_counter() - start)"
    assert any(float(in_a_fresh_process(code)) < 0.3 for _ in range(3))


def test_importing_changes_nothing_in_the_process() -> None:
    settings = (
        "(torch.get_default_dtype(), torch.get_num_threads(), torch.is_grad_enabled(), torch.get_rng_state().tolist(), "
        "logging.getLogger().handlers, warnings.filters[:], numpy.geterr(), dict(os.environ))"
    )
    code = (
        f"import torch, numpy, logging, warnings, os; before = {settings}; import {LIGHT}; print(before == {settings})"
    )
    assert in_a_fresh_process(code).strip() == "True"


def test_the_version_is_stated_once() -> None:
    project = (PACKAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8")
    assert 'dynamic = ["version"]' in project
    assert "\nversion = " not in project.split("[project]")[1].split("\n[")[0]
    assert importlib.metadata.version("spinlight") == spinlight.__version__
