"""Every registered model keeps the same contract: the same cells, the same epochs, no labels, a latent of the wanted size."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from scipy import sparse

from spinlight._errors import InvalidSettingError, MissingExtraError, UnknownNameError
from spinlight.cells.benchmark import chosen
from spinlight.cells.benchmark.models.base import Embedded, FitTask
from spinlight.cells.benchmark.models.bits import Bits
from spinlight.cells.benchmark.models.poli import Poli
from spinlight.cells.benchmark.models.split import split_cells
from spinlight.cells.benchmark.models.variational import Variational
from spinlight.cells.benchmark.registry import MODELS, models_named
from spinlight.training.quiet import quiet_training

if TYPE_CHECKING:
    from anndata import AnnData

scvi = pytest.importorskip("scvi")
LambdaCallback = pytest.importorskip("lightning.pytorch.callbacks").LambdaCallback

EPOCHS = 2
FITTED = [name for name in MODELS if not isinstance(MODELS[name], Poli)]


def seen(make_cells: Callable[..., AnnData], *, batches: bool = True) -> AnnData:
    cells = make_cells()
    cells.X = sparse.csr_matrix(cells.X)
    cells.obs = cells.obs[["batch"] if batches else []].astype("category")
    return cells


def fit(name: str, cells: AnnData, size: int = 4, seed: int = 1, **more: Any) -> Embedded:
    task = FitTask(size=size, seed=seed, epochs=EPOCHS, split=split_cells(cells.n_obs, seed), **more)
    return MODELS[name].fit(cells, task)


@pytest.fixture(scope="module")
def embedded(make_cells: Callable[..., AnnData]) -> dict[str, Embedded]:
    return {name: fit(name, seen(make_cells)) for name in FITTED}


@pytest.mark.parametrize("name", FITTED)
def test_the_latent_has_the_wanted_size_and_is_finite(name: str, embedded: dict[str, Embedded]) -> None:
    latent = embedded[name].latent
    assert latent.shape == (90, 4)
    assert latent.dtype == np.float32
    assert np.isfinite(latent).all()


@pytest.mark.parametrize("name", FITTED)
def test_likelihoods_are_of_the_held_out_cells(name: str, embedded: dict[str, Embedded]) -> None:
    held_out = embedded[name].held_out
    if name == "pca":
        assert held_out is None
        return
    assert held_out is not None
    assert held_out.per_cell.shape == split_cells(90, 1).held_out.shape
    assert np.isfinite(held_out.per_cell).all()
    assert ("log-normalised" in held_out.of) == (name == "vae")
    assert ("given their total" in held_out.of) == ("ldvae" not in name)


@pytest.mark.parametrize("name", [name for name in FITTED if name != "pca"])
def test_the_loss_of_every_epoch_is_kept(name: str, embedded: dict[str, Embedded]) -> None:
    curves = embedded[name].curves
    assert [epoch for epoch, _ in curves["training"]] == [0, 1]
    assert len(curves["held out"]) == 1


@pytest.mark.parametrize("name", FITTED)
def test_bits_alone_have_energies(name: str, embedded: dict[str, Embedded]) -> None:
    assert (embedded[name].energies is not None) == isinstance(MODELS[name], Bits)


@pytest.mark.parametrize("name", ["pca", "scvi", "qbmvae"])
def test_a_seed_gives_the_same_latent_again(
    name: str, embedded: dict[str, Embedded], make_cells: Callable[..., AnnData]
) -> None:
    np.testing.assert_allclose(fit(name, seen(make_cells)).latent, embedded[name].latent, rtol=1e-4, atol=1e-5)


def test_other_seeds_give_another_latent_but_of_principal_components(
    embedded: dict[str, Embedded], make_cells: Callable[..., AnnData]
) -> None:
    for name in ("scvi", "qbmvae", "pca"):
        other = fit(name, seen(make_cells), seed=2).latent
        assert np.allclose(other, embedded[name].latent, atol=1e-4) == MODELS[name].deterministic


@pytest.mark.parametrize("name", ["scvi", "vae", "bernoulli"])
def test_one_batch_is_no_obstacle(name: str, make_cells: Callable[..., AnnData]) -> None:
    assert fit(name, seen(make_cells, batches=False)).latent.shape == (90, 4)


@pytest.mark.parametrize("name", [name for name in FITTED if name != "pca"])
def test_models_of_scvi_tools_are_trained_on_the_training_cells_alone(
    name: str, make_cells: Callable[..., AnnData], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[Any] = []
    kinds = [scvi.model.SCVI, scvi.model.LinearSCVI]
    if isinstance(MODELS[name], Bits):
        from spinlight.cells import QBMVAE

        kinds = [QBMVAE]
    for kind in kinds:
        monkeypatch.setattr(kind, "train", remembering(kind.train, trained))
    told: list[int] = []
    cells = seen(make_cells)
    fit(name, cells, on_epoch=lambda: told.append(1))
    (model,) = trained
    split = split_cells(90, 1)
    np.testing.assert_array_equal(model.train_indices, split.training)
    np.testing.assert_array_equal(model.validation_indices, split.held_out)
    assert len(told) == EPOCHS


def remembering(train: Callable[..., None], models: list[Any]) -> Callable[..., None]:
    def method(self: Any, *arguments: Any, **settings: Any) -> None:
        models.append(self)
        train(self, *arguments, **settings)

    return method


def test_likelihoods_do_not_depend_on_how_many_draws_share_a_pass(
    make_cells: Callable[..., AnnData], monkeypatch: pytest.MonkeyPatch
) -> None:
    from spinlight.cells.benchmark.models import variational

    several = fit("gaussian", seen(make_cells)).held_out
    monkeypatch.setattr(variational, "_TERMS", 1)
    one = fit("gaussian", seen(make_cells)).held_out
    assert several is not None
    assert one is not None
    # Two estimates with a hundred draws each; a factor forgotten in the mean of weights would be log 100 = 4.6 nats.
    assert abs(several.per_cell.mean() - one.per_cell.mean()) < 0.5


def test_the_ablation_changes_nothing_but_the_prior() -> None:
    qbmvae, bernoulli, gaussian = (MODELS[name] for name in ("qbmvae", "bernoulli", "gaussian"))
    assert isinstance(qbmvae, Bits)
    assert isinstance(bernoulli, Bits)
    assert isinstance(gaussian, Variational)
    assert qbmvae.chosen == bernoulli.chosen == gaussian.chosen
    differing = {key for key in qbmvae.settings if qbmvae.settings[key] != bernoulli.settings[key]}
    assert differing == {"prior"}


def test_what_is_compared_is_what_ships(cells: AnnData) -> None:
    """A model that is made and trained with no setting has the network and the plan of the benchmark's."""
    from spinlight.cells import QBMVAE, FitSettings

    QBMVAE.setup_anndata(cells)
    own = QBMVAE(cells)
    stated = QBMVAE(cells, n_latent=chosen.QBMVAE.size, **chosen.full_network(chosen.QBMVAE))
    assert str(own.module) == str(stated.module)
    plans: list[Any] = []
    watch = LambdaCallback(on_train_start=lambda trainer, plan: plans.append(plan))
    with quiet_training(printed=True):
        own.train(6, accelerator="cpu", enable_progress_bar=False, callbacks=[watch])
    (plan,) = plans
    assert (plan.lr, plan.prior_lr) == (chosen.QBMVAE.lr, chosen.QBMVAE_PRIOR.lr)
    assert plan.n_epochs_kl_warmup == chosen.warmup_epochs(chosen.QBMVAE, 6)
    assert FitSettings().latent == chosen.QBMVAE.size


def test_names_are_unique_and_aliases_are_the_same_model() -> None:
    assert all(name == model.name for name, model in MODELS.items())
    assert models_named(["boltzmann", "qbmvae"]) == (MODELS["qbmvae"],)


def test_a_model_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(UnknownNameError, match=r"no model 'magic'; there are: pca, vae, scvi, .*boltzmann"):
        models_named(["pca", "magic"])
    with pytest.raises(InvalidSettingError, match="at least one model"):
        models_named([])


def test_more_components_than_there_are_is_refused() -> None:
    assert MODELS["pca"].refusal(90, 24, 24) == "pca has at most 23 components of 90 cells and 24 genes"
    assert MODELS["pca"].refusal(90, 24, 23) is None


def test_scpoli_without_scarches_says_how_to_install_it(
    make_cells: Callable[..., AnnData], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scarches", None)
    with pytest.raises(MissingExtraError, match="pip install scarches"):
        fit("scpoli", seen(make_cells))


@pytest.mark.parametrize("batches", [True, False])
def test_scpoli_is_given_the_training_cells_and_no_labels(
    batches: bool, make_cells: Callable[..., AnnData], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the interface of scarches 0.6.1, which is not installed with spinlight."""
    calls: dict[str, Any] = {}

    class ScPoli:
        def __init__(self, adata: AnnData, **settings: Any) -> None:
            calls["cells"], calls["network"] = adata, settings
            self.trainer = SimpleNamespace(logs={"epoch_loss": [3.0, 2.0]})
            print("architectures, at length")

        def train(self, **settings: Any) -> None:
            calls["training"] = settings

        def get_latent(self, adata: AnnData, mean: bool) -> np.ndarray:
            assert mean
            assert isinstance(adata.X, np.ndarray)
            return np.zeros((adata.n_obs, calls["network"]["latent_dim"]), dtype=np.float32)

    package = ModuleType("scarches")
    models = ModuleType("scarches.models")
    models.scPoli = ScPoli  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "scarches", package)
    monkeypatch.setitem(sys.modules, "scarches.models", models)
    found = fit("scpoli", seen(make_cells, batches=batches))
    assert found.latent.shape == (90, 4)
    assert found.curves == {"training": [(0, 3.0), (1, 2.0)]}
    assert calls["cells"].n_obs == len(split_cells(90, 1).training)
    assert list(calls["cells"].obs) == ["batch"]
    assert "cell_type_keys" not in calls["network"]
    assert calls["training"]["train_frac"] == 1
    assert calls["training"]["n_epochs"] == calls["training"]["pretraining_epochs"] == EPOCHS
    assert calls["training"]["use_early_stopping"] is False
