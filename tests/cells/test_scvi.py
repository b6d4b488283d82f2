"""What users of scvi-tools expect of a model: likelihoods, covariates, expression, query mapping, minified data."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from spinlight._errors import InvalidDataError, InvalidSettingError, UnknownNameError

if TYPE_CHECKING:
    from anndata import AnnData

    from spinlight.cells import QBMVAE

scvi = pytest.importorskip("scvi")


def fitted(
    cells: AnnData, epochs: int = 2, setup: dict[str, Any] | None = None, lr: float = 3e-3, **model: Any
) -> QBMVAE:
    """Return a small model after some epochs."""
    from spinlight.cells import QBMVAE
    from spinlight.training.quiet import quiet_training

    with quiet_training(printed=True):
        scvi.settings.seed = 0
        QBMVAE.setup_anndata(cells, **({"batch_key": "batch", "labels_key": "kind"} | (setup or {})))
        found = QBMVAE(cells, **({"n_hidden": 16} | ({} if "prior" in model else {"n_latent": 6}) | model))
        found.train(epochs, accelerator="cpu", enable_progress_bar=False, plan_kwargs={"lr": lr})
    return found


@pytest.fixture(scope="module")
def model(make_cells: Callable[..., AnnData]) -> QBMVAE:
    return fitted(make_cells())


@pytest.fixture(scope="module")
def trained(make_cells: Callable[..., AnnData]) -> QBMVAE:
    """Return a model that knows the three kinds."""
    return fitted(make_cells(300), 300, lr=0.01, n_latent=8)


@pytest.mark.parametrize("likelihood", ["nb", "zinb", "poisson", "normal"])
@pytest.mark.parametrize("dispersion", ["gene", "gene-batch", "gene-label", "gene-cell"])
def test_every_likelihood_and_dispersion_trains_and_its_bound_rises_above_the_elbo(
    cells: AnnData, likelihood: str, dispersion: str
) -> None:
    if likelihood == "normal":
        cells.X = np.log1p(cells.X)
    found = fitted(cells, gene_likelihood=likelihood, dispersion=dispersion)
    shapes = {"gene": (24,), "gene-batch": (24, 2), "gene-label": (24, 3)}
    assert getattr(getattr(found.module, "px_r", None), "shape", None) == shapes.get(dispersion)
    bound = found.get_log_likelihood(draws=20)
    assert bound.per_row.shape == (90,)
    # L_20 is above L_1, the ELBO, but for the noise of one draw.
    assert bound.value > float(found.get_elbo()) - 1.0
    assert found.posterior_predictive_sample(n_samples=2).shape == (90, 24, 2)


@pytest.mark.filterwarnings("ignore:Last batch will have a small size of 1")
def test_a_mini_batch_of_one_cell_is_trained_on(cells: AnnData) -> None:
    from spinlight.training.quiet import quiet_training

    found = fitted(cells, 1)
    logits = found.module.z_encoder.to_logits
    before = logits[1].running_mean.clone()
    with quiet_training(printed=True):
        found.train(1, accelerator="cpu", enable_progress_bar=False, train_size=1.0, batch_size=cells.n_obs - 1)
    assert not torch.equal(logits[1].running_mean, before)
    row = torch.randn(1, 16)
    moments = logits[1].running_mean.clone()
    assert torch.equal(logits.train()(row), logits.eval()(row))
    assert torch.equal(logits[1].running_mean, moments)


def test_an_unknown_likelihood_or_dispersion_names_the_known_ones(cells: AnnData) -> None:
    with pytest.raises(InvalidSettingError, match="gene_likelihood must be one of nb, zinb, poisson, normal"):
        fitted(cells, gene_likelihood="gauss")
    with pytest.raises(InvalidSettingError, match="dispersion must be one of gene, gene-batch"):
        fitted(cells, dispersion="genes")


@pytest.mark.parametrize("observed", [True, False])
def test_covariates_and_size_factors_reach_the_decoder(cells: AnnData, observed: bool) -> None:
    random = np.random.default_rng(0)
    cells.obs["donor"] = random.choice(["a", "b", "c"], cells.n_obs)
    cells.obs["age"] = random.normal(size=cells.n_obs)
    cells.obs["size"] = cells.X.sum(1) / cells.X.sum(1).mean()
    setup = {"categorical_covariate_keys": ["donor"], "continuous_covariate_keys": ["age"]}
    if observed:
        setup["size_factor_key"] = "size"
    found = fitted(cells, setup=setup, use_observed_lib_size=observed)
    for column, other in (("donor", "a"), ("age", 3.0), ("size", 1.0)):
        changed = cells.copy()
        changed.obs[column] = other
        torch.manual_seed(0)
        then = float(found.get_reconstruction_error(changed)["reconstruction_loss"])
        torch.manual_seed(0)
        now = float(found.get_reconstruction_error(cells)["reconstruction_loss"])
        assert (then != now) == (observed or column != "size")
    one, other = (found.get_log_likelihood(draws=3, seed=0).per_row for _ in range(2))
    assert torch.equal(one, other)
    assert bool(one.isfinite().all())
    cells.obs["age"] = np.nan
    with pytest.raises(InvalidDataError, match="'age' has no value"):
        found.get_elbo(cells.copy())


@pytest.mark.parametrize(
    ("setup", "error", "words"),
    [
        ({"size_factor_key": "zero"}, InvalidDataError, "must be above zero"),
        ({"size_factor_key": "kind"}, InvalidDataError, "no finite numbers"),
        ({"continuous_covariate_keys": ["nan"]}, InvalidDataError, "no value for 90 of 90 cells"),
        ({"continuous_covariate_keys": ["inf"]}, InvalidDataError, "no finite numbers"),
        ({"categorical_covariate_keys": ["donor"]}, UnknownNameError, "no column of obs"),
    ],
    ids=["zero", "words", "missing", "infinite", "unknown"],
)
def test_covariates_that_are_none_are_refused(cells: AnnData, setup: dict, error: type, words: str) -> None:
    for name, value in (("zero", 0.0), ("nan", np.nan), ("inf", np.inf)):
        cells.obs[name] = value
    with pytest.raises(error, match=words):
        fitted(cells, setup=setup)


def test_expression_differs_between_kinds_as_the_law_says(trained: QBMVAE) -> None:
    kinds = trained.adata.obs["kind"].to_numpy()
    fractions = trained.get_normalized_expression(n_samples=5, return_numpy=True)
    np.testing.assert_allclose(fractions.sum(1), 1, rtol=1e-4)
    for kind in range(3):
        mean = fractions[kinds == f"kind {kind}"].mean(0)
        raised = np.arange(24) % 3 == kind
        assert mean[raised].min() > 2 * mean[~raised].max()  # 12 against 2 in the law


def test_differential_expression_finds_the_genes_that_differ(trained: QBMVAE) -> None:
    found = trained.differential_expression(
        groupby="kind", group1="kind 0", group2="kind 1", mode="change", silent=True
    )
    changes = found["lfc_mean"].reindex([f"gene {index}" for index in range(24)]).to_numpy()
    raised, lowered = np.arange(24) % 3 == 0, np.arange(24) % 3 == 1
    assert changes[raised].min() > 1 > -1 > changes[lowered].max()  # log2(12 / 2) = 2.6 in the law
    assert np.abs(changes[np.arange(24) % 3 == 2]).max() < 1


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"groupby": "kinds"}, r"groupby 'kinds' is no column of obs; columns: .*kind"),
        ({"groupby": "kind", "group1": "alpha"}, r"no cell has 'alpha' in 'kind'; there are: "),
        ({"groupby": "kind", "group1": ["kind 0"], "group2": "beta"}, r"no cell has 'beta' in 'kind'"),
    ],
)
def test_groups_that_no_cell_is_of_are_named(model: QBMVAE, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UnknownNameError, match=words):
        model.differential_expression(**asked)


def test_arguments_that_nobody_takes_are_refused_at_once(cells: AnnData) -> None:
    from spinlight.cells import QBMVAE

    QBMVAE.setup_anndata(cells, batch_key="batch")
    with pytest.raises(InvalidSettingError, match=r"QBMVAE has no argument 'n_latents'; did you mean n_latent\?"):
        QBMVAE(cells, n_latents=10)
    model = QBMVAE(cells, n_latent=4, deeply_inject_covariates=False)
    with pytest.raises(InvalidSettingError, match=r"train has no argument 'max_epoch'; did you mean max_epochs\?"):
        model.train(max_epoch=3)
    with pytest.raises(InvalidSettingError, match="plan_kwargs of train has no argument 'learning_rate'"):
        model.train(1, plan_kwargs={"learning_rate": 0.1})
    with pytest.raises(InvalidSettingError, match="plan_kwargs of train has no argument 'kl_weight'"):
        model.train(1, plan_kwargs={"kl_weight": 3.0})  # the plan has one of its own
    with pytest.raises(InvalidSettingError, match="plan_kwargs of train has no argument 'lrr'"):
        model.train(1, plan_config={"lrr": 1.0})
    with pytest.raises(InvalidSettingError, match="must be a dictionary, got 3"):
        model.train(1, plan_kwargs=3)
    with pytest.raises(InvalidSettingError, match="QBMVAE has no argument 'network'"):
        QBMVAE(cells, network={})
    with pytest.raises(InvalidSettingError, match="train has no argument 'settings'"):
        model.train(1, settings={})
    assert not model.history


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (3, None, 1e-3)),
        ({"plan_config": {"n_epochs_kl_warmup": 1, "lr": 5e-3}}, (1, None, 5e-3)),
        ({"plan_config": {"lr": 5e-3}, "plan_kwargs": {"lr": 2e-3, "n_epochs_kl_warmup": 2}}, (2, None, 2e-3)),
        ({"plan_kwargs": {"n_steps_kl_warmup": 7}}, (None, 7, 1e-3)),
    ],
    ids=["nothing", "config", "both", "steps"],
)
def test_settings_of_the_plan_are_those_that_were_given(
    make_cells: Callable[..., AnnData],
    settings: dict[str, Any],
    expected: tuple[Any, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from spinlight.cells import QBMVAE
    from spinlight.cells.plan import BoltzmannTrainingPlan
    from spinlight.training.quiet import quiet_training

    made, model = [], fitted(make_cells())

    class Plan(BoltzmannTrainingPlan):
        def __init__(self, *arguments: Any, **given: Any) -> None:
            super().__init__(*arguments, **given)
            made.append(self)

    monkeypatch.setattr(QBMVAE, "_training_plan_cls", Plan)
    with quiet_training(printed=True):
        model.train(9, accelerator="cpu", enable_progress_bar=False, **settings)
    assert (made[0].n_epochs_kl_warmup, made[0].n_steps_kl_warmup, made[0].lr) == expected


def test_a_plan_config_of_scvi_tools_says_what_is_not_its_default() -> None:
    from spinlight.cells.signatures import stated

    config = pytest.importorskip("scvi.train").TrainingPlanConfig(lr=5e-3, weight_decay=0.0)
    assert stated(config) == {"lr": 5e-3, "weight_decay": 0.0}


def test_training_goes_on_from_a_checkpoint_of_lightning(make_cells: Callable[..., AnnData], tmp_path: Path) -> None:
    from spinlight.training.quiet import quiet_training

    first, second = fitted(make_cells()), fitted(make_cells(), 1)
    first.trainer.save_checkpoint(tmp_path / "kept.ckpt")
    with quiet_training(printed=True):
        second.train(5, accelerator="cpu", enable_progress_bar=False, ckpt_path=str(tmp_path / "kept.ckpt"))
    assert second.trainer.current_epoch == 5
    assert second.trainer.global_step == 5  # one step an epoch: three more than the checkpoint's
    states = second.trainer.optimizers[0].state.values()
    assert {int(state["step"]) for state in states} == {5}


def test_weights_that_need_a_density_are_refused_at_once(model: QBMVAE) -> None:
    with pytest.raises(InvalidSettingError, match="take weights='uniform'"):
        model.get_normalized_expression(n_samples_overall=10, weights="importance")
    places = list(inspect.signature(model.get_normalized_expression).parameters)
    arguments: list[Any] = [None] * (places.index("weights") + 1)
    arguments[places.index("weights")] = "importance"
    with pytest.raises(InvalidSettingError, match="take weights='uniform'"):
        model.get_normalized_expression(*arguments)


@pytest.mark.parametrize("name", ["load", "load_query_data", "get_normalized_expression"])
def test_methods_that_hand_on_show_the_arguments_of_scvi_tools(model: QBMVAE, name: str) -> None:
    theirs = inspect.signature(getattr(scvi.model.SCVI, name)).parameters
    assert list(inspect.signature(getattr(type(model), name)).parameters) == list(theirs)


@pytest.mark.parametrize("numbers", [{"n_mc_samples": 0}, {"n_mc_samples": 4, "n_mc_samples_per_pass": -1}])
def test_impossible_numbers_of_samples_are_refused(model: QBMVAE, numbers: dict[str, int]) -> None:
    with pytest.raises(InvalidSettingError, match=r"n_mc_samples.* must be an integer of at least 1"):
        model.get_marginal_ll(**numbers)


def test_library_sizes_cannot_be_inferred_from_a_registry_alone(model: QBMVAE) -> None:
    from spinlight.cells import QBMVAE, defaults

    assert QBMVAE(registry=model.registry).module.n_latent == defaults.BITS
    with pytest.raises(InvalidSettingError, match="give adata"):
        QBMVAE(registry=model.registry, use_observed_lib_size=False)


def shares_of_kinds(new: AnnData) -> np.ndarray:
    """Return which share of a cell's counts lies in the genes that each kind has raised, shape (cells, kinds)."""
    counts = new.X.toarray()
    return np.stack([counts[:, kind::3].sum(1) for kind in range(3)], 1) / counts.sum(1)[:, None]


def test_new_cells_are_of_one_kind_each_which_independent_bits_cannot_say(
    trained: QBMVAE, make_cells: Callable[..., AnnData]
) -> None:
    from spinlight.latent import BernoulliPrior

    control = fitted(make_cells(300), 150, lr=0.01, prior=BernoulliPrior(8))
    ours, theirs = (shares_of_kinds(found.generate_cells(400, seed=0)) for found in (trained, control))
    # Raised genes hold 12 / 16 of the counts of one kind; a mixture of two would have 7 / 16 twice.
    pure, of_control = ((each.max(1) > 0.6).mean() for each in (ours, theirs))
    assert pure > 0.8
    assert np.bincount(ours.argmax(1), minlength=3).min() > 80  # a third of 400, less than six standard errors below
    # Five standard errors of the difference of two shares of 400 cells.
    assert pure - of_control > 5 * np.sqrt((pure * (1 - pure) + of_control * (1 - of_control)) / 400)


def test_new_cells_have_library_sizes_of_the_old_and_a_seed(trained: QBMVAE) -> None:
    new = trained.generate_cells(200, seed=0)
    assert abs(new.X.sum() / 200 / (trained.adata.X.sum() / 300) - 1) < 0.05
    assert set(np.unique(new.obsm["X_qbmvae"])) <= {0, 1}
    np.testing.assert_array_equal(new.X.toarray(), trained.generate_cells(200, seed=0).X.toarray())
    assert (new.X != trained.generate_cells(200, seed=1).X).sum()


def test_new_cells_of_a_batch_are_of_that_batch(model: QBMVAE) -> None:
    assert set(model.generate_cells(20, batch="second", seed=0).obs["batch"]) == {"second"}
    with pytest.raises(UnknownNameError, match="no cells of a batch 'third'; batches: first, second"):
        model.generate_cells(20, batch="third")


def test_new_cells_can_be_given_back_to_a_model_with_a_layer_and_labels_to_learn(cells: AnnData) -> None:
    from spinlight.cells import QBMVAE
    from spinlight.training.quiet import quiet_training

    cells.layers["counts"] = cells.X.copy()
    cells.X = np.log1p(cells.X)
    setup = {"batch_key": "batch", "labels_key": "kind", "unlabeled_category": "?", "layer": "counts"}
    with quiet_training(printed=True):
        QBMVAE.setup_anndata(cells, **setup)
        model = QBMVAE(cells, n_latent=6, n_hidden=16, label_weight=1.0)
        model.train(2, "cpu", enable_progress_bar=False)
    new = model.generate_cells(20, seed=0)
    assert set(new.obs["kind"]) == {"?"}
    assert np.array_equal(new.layers["counts"].toarray(), new.X.toarray())
    assert model.predict(new).shape == (20,)


def test_minified_data_give_the_latent_and_the_expression_of_before(cells: AnnData, tmp_path: Path) -> None:
    from spinlight.cells import QBMVAE

    model = fitted(cells)
    latent, energy = model.get_latent_representation(), model.get_cell_energy()
    mean, variance = model.get_latent_representation(return_dist=True)
    np.testing.assert_allclose(variance, mean * (1 - mean), atol=1e-6)
    cells.obsm["X_latent_qzm"], cells.obsm["X_latent_qzv"] = mean, variance
    expression = model.get_normalized_expression(n_samples=200, return_numpy=True)
    model.minify_adata()
    assert model.adata.X.sum() == 0
    np.testing.assert_allclose(model.get_latent_representation(), latent, atol=1e-6)
    np.testing.assert_allclose(model.get_cell_energy(), energy, atol=1e-4)
    np.testing.assert_allclose(model.get_normalized_expression(n_samples=200, return_numpy=True), expression, atol=0.02)
    assert model.generate_cells(5, seed=0).X.sum() > 0
    for refused in (model.get_elbo, model.get_log_likelihood, model.get_marginal_ll):
        with pytest.raises(ValueError, match="minified"):
            refused()
    model.save(str(tmp_path / "model"), save_anndata=True)
    loaded = QBMVAE.load(str(tmp_path / "model"), accelerator="cpu")
    np.testing.assert_allclose(loaded.get_latent_representation(), latent, atol=1e-6)


def test_a_query_of_a_new_batch_is_mapped_without_a_change_to_the_reference(make_cells: Callable[..., AnnData]) -> None:
    from spinlight.cells import QBMVAE
    from spinlight.training.quiet import quiet_training

    reference = fitted(make_cells(150), 30, encode_covariates=True)
    query = make_cells(60, seed=1)
    query.obs["batch"] = "third"
    before = {name: value.clone() for name, value in reference.module.prior.named_parameters()}
    known = reference.get_log_partition()
    with quiet_training(printed=True):
        mapped = QBMVAE.load_query_data(query, reference, accelerator="cpu")
        mapped.train(5, accelerator="cpu", plan_kwargs={"weight_decay": 0.0}, enable_progress_bar=False)
    for name, value in mapped.module.prior.named_parameters():
        assert torch.equal(value, before[name])
    assert mapped.get_log_partition() == known
    assert mapped.get_latent_representation().shape == (60, 6)
    with pytest.raises(UnknownNameError, match="no cells of a batch 'first'; batches: third"):
        mapped.generate_cells(5, batch="first")
    np.testing.assert_allclose(
        mapped.get_latent_representation(reference.adata.copy()), reference.get_latent_representation(), atol=1e-5
    )


def test_a_batch_that_the_model_does_not_know_is_refused_outside_of_mapping(
    make_cells: Callable[..., AnnData], model: QBMVAE
) -> None:
    query = make_cells(30, seed=1)
    query.obs["batch"] = "third"
    with pytest.raises(InvalidDataError, match=r"does not know the batches third; QBMVAE\.load_query_data"):
        model.get_latent_representation(query)


def test_labels_groups_and_types_that_the_model_does_not_know_are_named(
    make_cells: Callable[..., AnnData], model: QBMVAE
) -> None:
    query = make_cells(30, seed=1)
    query.obs["kind"] = "kind 7"
    with pytest.raises(InvalidDataError, match="does not know the labels kind 7"):
        model.get_cell_energy(query)
    cells = make_cells(60)
    cells.obs["batch"], cells.obs["donor"] = np.arange(60) % 2, np.where(np.arange(60) % 3, "a", "b")
    numbered = fitted(cells, setup={"categorical_covariate_keys": ["donor"]})
    other = cells.copy()
    other.obs["donor"] = "c"
    with pytest.raises(InvalidDataError, match="does not know the groups of 'donor' c"):
        numbered.get_latent_representation(other)
    text = cells.copy()
    text.obs["batch"] = text.obs["batch"].astype(str)
    with pytest.raises(
        InvalidDataError, match="the batches in 'batch' are of type str, and the model knows them as int"
    ):
        numbered.get_latent_representation(text)
    with pytest.raises(InvalidDataError, match="must be an AnnData, got ndarray"):
        numbered.get_latent_representation(cells.X)


def test_a_model_trains_a_copy_of_the_prior_it_is_given(cells: AnnData) -> None:
    from spinlight.latent import BernoulliPrior, BoltzmannPrior
    from spinlight.models import RestrictedBoltzmannMachine, SparseBoltzmannMachine

    ring = [(index, (index + 1) % 6) for index in range(6)]
    for prior in (
        BernoulliPrior(6),
        BoltzmannPrior(RestrictedBoltzmannMachine(3, 3), seed=0),
        BoltzmannPrior(SparseBoltzmannMachine(np.array(ring)), seed=0),
    ):
        before = [parameter.clone() for parameter in prior.parameters()]
        found = fitted(cells.copy(), prior=prior)
        assert all(torch.equal(one, other) for one, other in zip(prior.parameters(), before))
        assert not all(torch.equal(one, other) for one, other in zip(found.module.prior.parameters(), before))
        assert np.isfinite(float(found.get_elbo()))
    with pytest.raises(InvalidSettingError, match="n_latent is 7 and the prior has 6 bits"):
        fitted(cells, prior=BernoulliPrior(6), n_latent=7)


def test_labels_of_some_cells_are_learned_and_given_to_the_others(make_cells: Callable[..., AnnData]) -> None:
    from spinlight.cells import QBMVAE
    from spinlight.training.quiet import quiet_training

    cells = make_cells(300)
    truth = cells.obs["kind"].to_numpy(dtype=str)
    hidden = np.arange(300) % 10 > 0
    cells.obs["kind"] = np.where(hidden, "unknown", truth)
    found = fitted(cells, 60, {"unlabeled_category": "unknown"}, lr=0.01, label_weight=50.0, encode_covariates=True)
    assert (found.predict()[hidden] == truth[hidden]).mean() > 0.95
    soft = found.predict(soft=True, indices=[5, 2])
    assert list(soft.columns) == ["kind 0", "kind 1", "kind 2"]
    assert list(soft.index) == ["cell 5", "cell 2"]
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    assert "label_loss_train" in found.history

    query = make_cells(60, seed=1)
    expected = query.obs.pop("kind").to_numpy(dtype=str)
    query.obs["batch"] = "third"
    with pytest.warns(UserWarning, match="Missing labels key"):
        mapped = QBMVAE.load_query_data(query, found, accelerator="cpu")
    with quiet_training(printed=True):
        mapped.train(5, accelerator="cpu", enable_progress_bar=False)
    assert (mapped.predict() == expected).mean() > 0.95


def test_labels_are_not_learned_from_unless_they_are_asked_for(
    make_cells: Callable[..., AnnData], model: QBMVAE
) -> None:
    with pytest.raises(InvalidSettingError, match="label_weight"):
        model.predict()
    with pytest.raises(InvalidSettingError, match="unlabeled_category"):
        fitted(make_cells(), label_weight=50.0)
    unlabelled = make_cells()
    unlabelled.obs["kind"] = "unknown"
    with pytest.raises(InvalidSettingError, match="cells of two labels"):
        fitted(unlabelled, setup={"unlabeled_category": "unknown"}, label_weight=50.0)
    with pytest.raises(InvalidSettingError, match="give labels_key too"):
        fitted(make_cells(), setup={"labels_key": None, "unlabeled_category": "unknown"})
    relabelled = make_cells()
    relabelled.obs["kind"] = relabelled.obs["kind"].to_numpy()[::-1]
    np.testing.assert_array_equal(fitted(relabelled).get_latent_representation(), model.get_latent_representation())


# anndata announces another version of the format as its default.
@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_cells_that_stay_in_their_file_give_the_model_of_cells_in_memory(
    cells: AnnData, tmp_path: Path, kind: str
) -> None:
    from scipy import sparse

    from spinlight.cells import load_cells

    cells.X = sparse.csr_matrix(cells.X)
    path = tmp_path / f"cells.{kind}"
    getattr(cells, f"write_{kind}")(path)
    there, here = load_cells(path, backed=True), load_cells(path)
    assert not sparse.issparse(there.X)
    # scvi-tools sorts the cells of a mini-batch in an HDF5 file, which changes which noise a cell gets, and nothing else.
    one, other = (fitted(each, setup={"labels_key": None}) for each in (there, here))
    np.testing.assert_allclose(one.get_latent_representation(), other.get_latent_representation(), atol=0.05)
    np.testing.assert_allclose(one.get_cell_energy(here.copy()), one.get_cell_energy(), atol=1e-5)
    assert np.isfinite(one.get_log_likelihood(draws=3).value)


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("suffix", ["h5ad", "zarr"])
def test_cells_in_a_file_come_in_the_order_that_was_asked_for(cells: AnnData, tmp_path: Path, suffix: str) -> None:
    from scipy import sparse

    from spinlight.cells import load_cells

    cells.X = sparse.csr_matrix(cells.X)
    cells.X[45:] *= 20  # the second batch is deeper
    path, write = tmp_path / f"cells.{suffix}", {"h5ad": cells.write_h5ad, "zarr": cells.write_zarr}[suffix]
    write(path)
    found = fitted(load_cells(path, backed=True))
    everything = found.get_latent_representation()
    wanted = [50, 3, 20, 3]
    np.testing.assert_allclose(found.get_latent_representation(indices=wanted), everything[wanted], atol=1e-6)
    np.testing.assert_allclose(
        found.get_cell_energy(indices=wanted, batch_size=2), found.get_cell_energy()[wanted], atol=1e-5
    )
    new = found.generate_cells(300, seed=0)
    deep = np.asarray(new.X.sum(1)).ravel() > 600
    np.testing.assert_array_equal(deep, new.obs["batch"] == "second")


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
def test_a_file_that_stays_and_holds_no_counts_is_refused(cells: AnnData, tmp_path: Path) -> None:
    from scipy import sparse

    from spinlight.cells import load_cells

    for name, values in (("half", cells.X / 2), ("negative", -cells.X)):
        cells.X = sparse.csr_matrix(values)
        cells.write_zarr(tmp_path / f"{name}.zarr")
        with pytest.raises(InvalidDataError, match="no counts" if name == "half" else "negative"):
            fitted(load_cells(tmp_path / f"{name}.zarr", backed=True))
    cells.X = cells.X.toarray()
    cells.write_zarr(tmp_path / "dense.zarr")
    with pytest.raises(InvalidDataError, match="store it as csr_matrix"):
        load_cells(tmp_path / "dense.zarr", backed=True)


SHARED = """
import sys, warnings
from pathlib import Path
import torch
warnings.simplefilter("ignore")
sys.path[:0] = sys.argv[2:]
from conftest import synthetic_cells
import scvi
from spinlight.cells import QBMVAE
folder = Path(sys.argv[1])
scvi.settings.seed = 0
cells = synthetic_cells(120)
QBMVAE.setup_anndata(cells, batch_key="batch")
model = QBMVAE(cells, n_latent=6, n_hidden=16)
model.train(3, accelerator="cpu", devices=2, strategy="ddp_find_unused_parameters_true", batch_size=30,
            enable_progress_bar=False, train_size=0.8)
found = {"weights": torch.cat([part.detach().flatten() for part in model.module.parameters()])}
found["chains"] = model.module.prior.negatives.state_dict()["chain"]["spins"]
found["log_partition"] = model.get_log_partition().value
torch.save(found, folder / f"rank{model.trainer.global_rank}.pt")
"""


@pytest.mark.slow
def test_two_processes_train_one_model_with_chains_of_their_own(tmp_path: Path) -> None:
    script, here = tmp_path / "shared.py", Path(__file__).parent
    script.write_text(SHARED)
    subprocess.run([sys.executable, script, str(tmp_path), str(here), str(here.parent)], check=True, timeout=240)
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert torch.equal(ranks[0]["weights"], ranks[1]["weights"])
    assert not torch.equal(ranks[0]["chains"], ranks[1]["chains"])
    assert ranks[0]["log_partition"] == pytest.approx(ranks[1]["log_partition"], abs=0.05)
