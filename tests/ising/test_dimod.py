from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from helpers.enumeration import all_bits, all_spins, random_ising
from spinlight._errors import InvalidProblemError, InvalidSettingError, MissingExtraError
from spinlight.ising import dimod_from_ising, ising_from_dimod

dimod = pytest.importorskip("dimod")


@pytest.mark.parametrize("sparse", [False, True])
def test_the_model_of_a_problem_has_its_energy_over_all_states(sparse: bool) -> None:
    problem = random_ising(5, seed=1, density=0.5)
    model = dimod_from_ising(problem.to_sparse() if sparse else problem)
    theirs = model.energies((all_spins(5).numpy(), list(range(5))))
    np.testing.assert_allclose(problem.energy(all_spins(5)), theirs, atol=1e-13)


def test_signs_are_turned_round() -> None:
    problem = random_ising(4, seed=2)
    model = dimod_from_ising(problem)
    assert [model.get_linear(i) for i in range(4)] == (-problem.fields).tolist()
    assert model.get_quadratic(0, 3) == -problem.couplings[0, 3].item()


@pytest.mark.parametrize("vartype", ["SPIN", "BINARY"])
def test_the_problem_of_a_model_has_its_energy_over_all_states(vartype: str) -> None:
    labels = ["c", "a", ("b", 1), 7]
    model = dimod.generators.gnm_random_bqm(labels, 5, vartype, random_state=3)
    model.offset = 0.25
    problem = ising_from_dimod(model)
    states = all_spins(4) if vartype == "SPIN" else all_bits(4)
    np.testing.assert_allclose(problem.energy(all_spins(4)), model.energies((states.numpy(), labels)), atol=1e-12)
    assert problem.is_sparse


def test_labels_are_kept_in_order() -> None:
    problem = random_ising(4, seed=4)
    labels = ["z", 3, "a", (0, 1)]
    model = dimod_from_ising(problem, labels)
    assert list(model.variables) == labels
    back = ising_from_dimod(model)
    for name in ("fields", "offset"):
        torch.testing.assert_close(getattr(back, name), getattr(problem, name), rtol=0, atol=0)
    torch.testing.assert_close(back.couplings.to_dense(), problem.couplings, rtol=0, atol=0)


def test_the_given_model_is_not_changed() -> None:
    model = dimod.BinaryQuadraticModel({"a": 1.0}, {("a", "b"): 2.0}, 0.5, "BINARY")
    before = model.copy()
    ising_from_dimod(model)
    assert model == before
    assert model.vartype is dimod.BINARY


@pytest.mark.parametrize("model", [dimod.BinaryQuadraticModel("SPIN"), {"a": 1.0}, None])
def test_what_is_no_model_is_refused(model: object) -> None:
    with pytest.raises(InvalidProblemError):
        ising_from_dimod(model)


def test_a_model_with_nan_is_refused() -> None:
    with pytest.raises(InvalidProblemError, match="NaN"):
        ising_from_dimod(dimod.BinaryQuadraticModel({0: float("nan")}, {}, "SPIN"))


@pytest.mark.parametrize("labels", [["a"], ["a", "b", "a"]])
def test_labels_that_do_not_name_each_site_are_refused(labels: list[str]) -> None:
    with pytest.raises(InvalidProblemError, match="3 distinct names"):
        dimod_from_ising(random_ising(3, seed=5), labels)


def test_a_batch_has_no_single_model() -> None:
    with pytest.raises(InvalidSettingError, match="batch"):
        dimod_from_ising(random_ising(3, seed=6, batch=2))


def test_without_dimod_the_install_command_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dimod", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'spinlight\[dimod\]'"):
        dimod_from_ising(random_ising(3, seed=7))
