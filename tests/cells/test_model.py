"""QBMVAE behaves as a scvi-tools model, and its numbers are those of its formula."""

from __future__ import annotations

import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from helpers.enumeration import log_partition
from spinlight._errors import InvalidDataError, InvalidSettingError, InvalidStateError, UnknownNameError

if TYPE_CHECKING:
    from anndata import AnnData

    from spinlight.cells import QBMVAE

scvi = pytest.importorskip("scvi")
callbacks = pytest.importorskip("lightning.pytorch.callbacks")


def fitted(
    cells: AnnData,
    epochs: int = 3,
    callbacks: list[Any] | None = None,
    network: dict[str, Any] | None = None,
    **settings: Any,
) -> QBMVAE:
    """Return a model of eight bits after a few epochs."""
    from spinlight.cells import QBMVAE
    from spinlight.training.quiet import quiet_training

    with quiet_training():
        scvi.settings.seed = 0
        QBMVAE.setup_anndata(cells, batch_key="batch", labels_key="kind")
        model = QBMVAE(cells, n_latent=8, n_hidden=16, **(network or {}))
        model.train(epochs, accelerator="cpu", enable_progress_bar=False, callbacks=callbacks or [], **settings)
    return model


@pytest.fixture(scope="module")
def model(make_cells: Callable[..., AnnData]) -> QBMVAE:
    return fitted(make_cells())


def test_probabilities_bits_and_logits_agree(model: QBMVAE) -> None:
    logits = model.get_latent_representation(representation="logits")
    assert logits.shape == (90, 8)
    np.testing.assert_allclose(model.get_latent_representation(), 1 / (1 + np.exp(-logits)), rtol=1e-5)
    np.testing.assert_array_equal(model.get_latent_representation(representation="bits"), logits > 0)


def test_another_representation_is_refused(model: QBMVAE) -> None:
    with pytest.raises(InvalidSettingError, match="probabilities, bits, logits"):
        model.get_latent_representation(representation="q")  # type: ignore[arg-type]


@pytest.mark.parametrize("other", [{"return_dist": True}, {"give_mean": False}])
def test_bits_are_of_the_mean(model: QBMVAE, other: dict[str, bool]) -> None:
    with pytest.raises(InvalidSettingError, match="representation='bits' is of the mean"):
        model.get_latent_representation(representation="bits", **other)


def test_indices_and_batch_size_select_without_changing_anything(model: QBMVAE) -> None:
    whole, chosen = model.get_latent_representation(), [5, 2, 80]
    np.testing.assert_allclose(model.get_latent_representation(indices=chosen, batch_size=2), whole[chosen], rtol=1e-5)
    np.testing.assert_allclose(
        model.get_cell_energy(indices=chosen, batch_size=2), model.get_cell_energy()[chosen], rtol=1e-5
    )


def test_cell_energy_is_the_expected_energy_of_the_bits(model: QBMVAE) -> None:
    biases, weights = (part.detach().double().numpy() for part in model.module.prior.machine.biases_and_weights())
    q = model.get_latent_representation().astype(float)
    pairs = sum(weights[i, j] * q[:, i] * q[:, j] for i in range(8) for j in range(i + 1, 8))
    np.testing.assert_allclose(model.get_cell_energy(), -q @ biases - pairs, rtol=1e-4, atol=1e-5)


def test_log_partition_is_within_its_error_of_enumeration(model: QBMVAE) -> None:
    known = model.get_log_partition()
    exact = log_partition(model.module.prior.machine.to_ising())
    assert abs(known.value - exact) <= 5 * known.standard_error + 1e-5


def test_elbo_is_reconstruction_minus_the_divergence_of_the_formula(model: QBMVAE) -> None:
    torch.manual_seed(3)
    elbo = float(model.get_elbo())
    torch.manual_seed(3)
    reconstruction = float(model.get_reconstruction_error()["reconstruction_loss"])
    q = model.get_latent_representation().astype(float)
    entropy = -(q * np.log(q) + (1 - q) * np.log1p(-q)).sum(1)
    divergence = model.get_cell_energy() - entropy + model.get_log_partition().value
    assert divergence.min() > -5 * model.get_log_partition().standard_error
    assert elbo == pytest.approx(-reconstruction - divergence.mean(), rel=1e-5)


def test_history_holds_the_elbo_and_log_partition_of_every_epoch(model: QBMVAE) -> None:
    for name in ("elbo_train", "kl_local_train", "log_partition", "log_partition_error"):
        assert np.isfinite(model.history[name].to_numpy(dtype=float)).sum() == 3


def best_factorial_log_likelihood(counts: np.ndarray) -> float:
    """Return the mean log p(x | library) of genes that are independent, each with its true law over the kinds."""
    values = np.arange(60)
    law = stats.poisson.pmf(values, 12.0) / 3 + 2 * stats.poisson.pmf(values, 2.0) / 3
    library = np.array([1.0])
    for _ in range(counts.shape[1]):
        library = np.convolve(library, law)
    rows = counts.astype(int)
    return float((np.log(law[rows]).sum(1) - np.log(library[rows.sum(1)])).mean())


def test_training_learns_more_than_independent_genes_can_say(cells: AnnData) -> None:
    bound = best_factorial_log_likelihood(cells.X)
    plan = {"lr": 0.01, "n_epochs_kl_warmup": 10}
    barely, trained = (fitted(cells, epochs=epochs, batch_size=27, plan_kwargs=plan) for epochs in (1, 60))
    assert float(barely.get_elbo()) < bound
    assert float(trained.get_elbo()) > bound


@pytest.mark.parametrize("encoded", [True, False])
def test_the_batch_changes_the_decoder_and_the_latent_only_where_it_is_encoded(
    make_cells: Callable[..., AnnData], encoded: bool
) -> None:
    model, swapped = fitted(make_cells(), network={"encode_covariates": encoded}), make_cells()
    swapped.obs["batch"] = swapped.obs["batch"].to_numpy()[::-1]
    same = np.array_equal(model.get_latent_representation(swapped), model.get_latent_representation())
    assert same is not encoded
    torch.manual_seed(1)
    as_swapped = float(model.get_elbo(swapped))
    torch.manual_seed(1)
    assert as_swapped != float(model.get_elbo())


def test_the_same_seed_gives_the_same_model(cells: AnnData) -> None:
    first, second = fitted(cells.copy()), fitted(cells.copy())
    np.testing.assert_array_equal(first.get_latent_representation(), second.get_latent_representation())
    assert first.get_log_partition() == second.get_log_partition()


def test_a_loaded_model_is_the_saved_one(model: QBMVAE, tmp_path: Path) -> None:
    from spinlight.cells import QBMVAE

    model.save(str(tmp_path / "model"))
    loaded = QBMVAE.load(str(tmp_path / "model"), adata=model.adata.copy(), accelerator="cpu")
    np.testing.assert_array_equal(loaded.get_latent_representation(), model.get_latent_representation())
    np.testing.assert_array_equal(loaded.get_cell_energy(), model.get_cell_energy())
    assert loaded.get_log_partition() == model.get_log_partition()
    chains, saved = (each.module.prior.negatives.state_dict()["chain"] for each in (loaded, model))
    assert torch.equal(chains["spins"], saved["spins"])


def test_a_loaded_model_goes_on_training_with_all_its_parts(model: QBMVAE, tmp_path: Path) -> None:
    from spinlight.cells import QBMVAE
    from spinlight.training.quiet import quiet_training

    model.save(str(tmp_path / "model"))
    loaded = QBMVAE.load(str(tmp_path / "model"), adata=model.adata.copy(), accelerator="cpu")
    before = {name: value.clone() for name, value in loaded.module.state_dict().items()}
    with quiet_training():
        loaded.train(1, accelerator="cpu", enable_progress_bar=False, plan_kwargs={"n_epochs_kl_warmup": None})
    after = loaded.module.state_dict()
    # Statistics of a normalisation stay as they are in evaluation mode, in which scvi-tools leaves what it has loaded.
    for name in ("prior.machine.biases", "z_encoder.to_logits.0.weight", "z_encoder.to_logits.1.running_mean"):
        assert not torch.equal(before[name], after[name])


def test_an_interrupted_model_can_be_used_and_saved(cells: AnnData, tmp_path: Path) -> None:
    from lightning.pytorch.callbacks import Callback

    from spinlight.cells import QBMVAE

    class Interrupt(Callback):
        def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
            if trainer.current_epoch == 1:
                raise KeyboardInterrupt

    seen = []
    train, handler = QBMVAE.train, signal.getsignal(signal.SIGINT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(QBMVAE, "train", lambda self, *a, **k: (seen.append(self), train(self, *a, **k)))
        with pytest.raises(KeyboardInterrupt):
            fitted(cells, epochs=50, callbacks=[Interrupt()])
    assert signal.getsignal(signal.SIGINT) is handler
    (model,) = seen
    assert len(model.history["elbo_train"]) < 3
    model.save(str(tmp_path / "model"))
    loaded = QBMVAE.load(str(tmp_path / "model"), adata=cells, accelerator="cpu")
    np.testing.assert_array_equal(loaded.get_latent_representation(), model.get_latent_representation())


def test_training_writes_nothing_into_the_working_directory(
    cells: AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    fitted(cells, epochs=1)
    assert list(tmp_path.iterdir()) == []


def test_the_prior_has_a_learning_rate_of_its_own(cells: AnnData) -> None:
    model = fitted(cells, epochs=1, plan_kwargs={"prior_lr": 0.02, "lr": 0.005})
    assert [group["lr"] for group in model.trainer.optimizers[0].param_groups] == [0.005, 0.02]
    assert sum(len(group["params"]) for group in model.trainer.optimizers[0].param_groups) == len(
        list(model.module.parameters())
    )


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_adam_takes_the_same_steps_in_one_pass(cells: AnnData, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from spinlight.cells.plan import BoltzmannTrainingPlan

    def learned(name: str) -> tuple[Tensor, set[bool]]:
        """Return all parameters after 27 steps."""
        plan = {"optimizer": name, "weight_decay": 0.1, "lr": 0.01}
        model = fitted(cells, epochs=3, batch_size=9, plan_kwargs=plan)
        groups = model.trainer.optimizers[0].param_groups
        return torch.cat([each.flatten() for each in model.module.parameters()]).detach(), {
            bool(group["fused"]) for group in groups
        }

    fast, fused = learned(name)
    monkeypatch.setattr(BoltzmannTrainingPlan, "_in_one_pass", lambda *_: None)
    (slow, plain), (other, _) = learned(name), learned({"Adam": "AdamW", "AdamW": "Adam"}[name])
    assert (fused, plain) == ({True}, {False})
    # Rounding grows from step to step; another rule of decay is another law.
    assert (fast - slow).abs().mean() < 0.02 * (fast - other).abs().mean()


def test_an_optimizer_of_the_users_own_is_left_as_it_is(cells: AnnData) -> None:
    own = {"optimizer": "Custom", "optimizer_creator": lambda parameters: torch.optim.Adam(parameters, foreach=True)}
    model = fitted(cells, epochs=1, plan_kwargs=own)
    assert [group["foreach"] for group in model.trainer.optimizers[0].param_groups] == [True, True]
    assert not any(group["fused"] for group in model.trainer.optimizers[0].param_groups)


def test_a_plateau_lowers_both_learning_rates(cells: AnnData) -> None:
    # A threshold that no ELBO can beat: the rates fall once after each epoch past the first.
    plan = {"lr": 0.004, "prior_lr": 0.02, "lr_factor": 0.5, "lr_patience": 0, "lr_threshold": 1e9}
    falling = fitted(cells, epochs=3, check_val_every_n_epoch=1, plan_kwargs=plan | {"reduce_lr_on_plateau": True})
    assert [group["lr"] for group in falling.trainer.optimizers[0].param_groups] == [0.001, 0.005]
    constant = fitted(cells, epochs=3, check_val_every_n_epoch=1, plan_kwargs=plan)
    assert [group["lr"] for group in constant.trainer.optimizers[0].param_groups] == [0.004, 0.02]


def test_a_setting_of_the_plan_that_would_do_nothing_is_refused(cells: AnnData) -> None:
    with pytest.raises(InvalidSettingError, match="update_only_decoder"):
        fitted(cells, epochs=1, plan_kwargs={"update_only_decoder": True})


@pytest.mark.parametrize("layer", [None, "other"])
def test_values_that_are_no_counts_are_refused_by_a_likelihood_of_counts(cells: AnnData, layer: str | None) -> None:
    from spinlight.cells import QBMVAE

    counts = cells.X.copy()
    cells.layers["other"] = counts if layer is None else np.log1p(counts)
    cells.X = np.log1p(counts) if layer is None else counts
    QBMVAE.setup_anndata(cells, layer=layer)
    for likelihood in ("nb", "zinb", "poisson"):
        with pytest.raises(InvalidDataError, match="X holds" if layer is None else "layer 'other' holds"):
            QBMVAE(cells, gene_likelihood=likelihood)
    QBMVAE(cells, gene_likelihood="normal")
    QBMVAE.setup_anndata(cells, layer="other" if layer is None else None)
    QBMVAE(cells)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_values_that_no_likelihood_fits_are_refused_on_registration(cells: AnnData, value: float) -> None:
    from spinlight.cells import QBMVAE

    cells.X[3, 2] = value
    with pytest.raises(InvalidDataError, match="X holds"):
        QBMVAE.setup_anndata(cells)


def test_an_unknown_layer_lists_the_layers_there_are(cells: AnnData) -> None:
    from spinlight.cells import QBMVAE

    cells.layers["raw"] = cells.X
    with pytest.raises(UnknownNameError, match="no layer 'counts'; layers: raw"):
        QBMVAE.setup_anndata(cells, layer="counts")


def test_a_model_loads_with_other_cells_if_they_hold_counts(
    make_cells: Callable[..., AnnData], model: QBMVAE, tmp_path: Path
) -> None:
    from spinlight.cells import QBMVAE

    model.save(str(tmp_path / "model"))
    others = make_cells(30, seed=1)
    loaded = QBMVAE.load(str(tmp_path / "model"), adata=others[:12].copy(), accelerator="cpu")
    np.testing.assert_allclose(
        loaded.get_latent_representation(), model.get_latent_representation(others)[:12], rtol=1e-5
    )
    others.X = np.log1p(others.X)
    with pytest.raises(InvalidDataError, match="no counts"):
        QBMVAE.load(str(tmp_path / "model"), adata=others, accelerator="cpu")


@pytest.mark.parametrize("getter", ["get_latent_representation", "get_cell_energy", "get_elbo"])
def test_cells_with_other_genes_or_in_another_order_are_refused(
    make_cells: Callable[..., AnnData], model: QBMVAE, getter: str
) -> None:
    others = make_cells(30, seed=1)
    for wrong in (others[:, ::-1].copy(), make_cells(30, genes=25), others[:, :20].copy()):
        with pytest.raises(InvalidDataError, match=r"take cells\[:, model\.adata\.var_names\]"):
            getattr(model, getter)(wrong)
    right = others[:, ::-1][:, model.adata.var_names].copy()
    assert np.isfinite(np.asarray(getattr(model, getter)(right))).all()


def test_a_model_is_neither_loaded_with_nor_mapped_onto_other_genes(
    make_cells: Callable[..., AnnData], model: QBMVAE, tmp_path: Path
) -> None:
    from spinlight.cells import QBMVAE

    model.save(str(tmp_path / "model"))
    others = make_cells(30, seed=1)
    for wrong in (others[:, ::-1].copy(), others[:, :20].copy()):
        with pytest.raises(InvalidDataError, match="other genes than the model was made for, or in another order"):
            QBMVAE.load(str(tmp_path / "model"), adata=wrong, accelerator="cpu")
        for reference in (model, str(tmp_path / "model")):
            with pytest.raises(InvalidDataError, match="prepare_query_anndata"):
                QBMVAE.load_query_data(wrong.copy(), reference, accelerator="cpu")
    wrong = others[:, ::-1][:, :20].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that genes are missing
        QBMVAE.prepare_query_anndata(wrong, model)
    assert QBMVAE.load_query_data(wrong, model, accelerator="cpu").adata.var_names.equals(model.adata.var_names)


def test_a_query_without_the_columns_of_the_model_is_told_which(
    make_cells: Callable[..., AnnData], model: QBMVAE
) -> None:
    from spinlight.cells import QBMVAE

    query = make_cells(30, seed=1)
    del query.obs["batch"]
    with pytest.raises(UnknownNameError, match="'batch' is no column of obs; columns: kind"):
        QBMVAE.load_query_data(query, model, accelerator="cpu")


def test_batches_that_are_fractions_are_refused(cells: AnnData) -> None:
    from spinlight.cells import QBMVAE

    cells.obs["batch"] = np.linspace(0, 1, cells.n_obs)
    with pytest.raises(InvalidDataError, match="'batch' holds fractional numbers"):
        QBMVAE.setup_anndata(cells, batch_key="batch")


@pytest.mark.parametrize("name", ["normalize_logits", "use_observed_lib_size"])
def test_words_are_no_answer_to_yes_or_no(cells: AnnData, name: str) -> None:
    from spinlight.cells import QBMVAE

    QBMVAE.setup_anndata(cells)
    with pytest.raises(InvalidSettingError, match=f"{name} must be True or False, got 'no'"):
        QBMVAE(cells, **{name: "no"})


def test_what_makes_the_latent_cannot_be_set(cells: AnnData) -> None:
    from spinlight.cells import QBMVAE

    QBMVAE.setup_anndata(cells)
    with pytest.raises(InvalidSettingError, match="latent_distribution, n_batch cannot be set"):
        QBMVAE(cells, latent_distribution="ln", n_batch=3)


def test_a_training_that_was_refused_leaves_the_model_as_it_was(cells: AnnData) -> None:
    from spinlight.training.quiet import quiet_training

    found = fitted(cells)
    before = found.get_latent_representation()
    for wrong in ({"plan_kwargs": {"lr": -1.0}}, {"batch_size": 1}):
        with pytest.raises(InvalidSettingError):
            found.train(2, "cpu", enable_progress_bar=False, **wrong)
    np.testing.assert_array_equal(found.get_latent_representation(), before)
    with quiet_training(printed=True), pytest.raises(SystemExit):
        found.train(1, "cpu", enable_progress_bar=False, callbacks=[_Leaver()])
    assert not found.module.training


def test_a_training_that_diverges_says_so(cells: AnnData) -> None:
    with pytest.raises(InvalidStateError, match=r"training diverged in epoch .* lower lr than 1e"):
        fitted(cells, epochs=5, plan_kwargs={"lr": 1e12})


def test_history_goes_on_after_an_interrupt_in_the_first_epoch(cells: AnnData) -> None:
    class Stop(callbacks.Callback):
        def on_train_batch_end(self, *_: object) -> None:
            raise KeyboardInterrupt

    from spinlight.cells import QBMVAE
    from spinlight.training.quiet import quiet_training

    with quiet_training(printed=True):
        QBMVAE.setup_anndata(cells)
        found = QBMVAE(cells, n_latent=6, n_hidden=16)
        with pytest.raises(KeyboardInterrupt):
            found.train(2, "cpu", enable_progress_bar=False, callbacks=[Stop()])
        assert found.get_latent_representation().shape == (90, 6)
        found.train(2, "cpu", enable_progress_bar=False)
    assert len(found.history["elbo_train"]) == 2


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (None, "must be an AnnData, got NoneType"),
        (np.ones((3, 3)), "must be an AnnData, got ndarray"),
    ],
)
def test_what_is_no_anndata_is_refused(wrong: Any, words: str) -> None:
    from spinlight.cells import QBMVAE

    with pytest.raises(InvalidDataError, match=words):
        QBMVAE.setup_anndata(wrong)


def test_cells_that_no_training_can_use_are_refused(make_cells: Callable[..., AnnData], model: QBMVAE) -> None:
    from spinlight.cells import QBMVAE

    cells = make_cells()
    with pytest.raises(InvalidDataError, match="0 cells and 24 genes"):
        QBMVAE.setup_anndata(cells[:0].copy())
    few = cells[:4].copy()
    QBMVAE.setup_anndata(few)
    with pytest.raises(InvalidDataError, match="4 cells are too few"):
        QBMVAE(few, n_latent=4).train(1, "cpu")
    cells.X = cells.X.astype(object)
    with pytest.raises(InvalidDataError, match="values of type object"):
        QBMVAE.setup_anndata(cells)
    alike = make_cells()
    alike.X = np.full_like(alike.X, 3)
    QBMVAE.setup_anndata(alike, batch_key="batch")
    with pytest.raises(InvalidDataError, match="library sizes cannot be inferred"):
        QBMVAE(alike, use_observed_lib_size=False)
    with pytest.raises(InvalidDataError, match="indices name no cell"):
        model.get_latent_representation(indices=[])


@pytest.mark.parametrize("indices", [[90], [-91], [True, False], [0.5], [[0, 1]], "first", 3], ids=str)
def test_indices_that_are_no_cells_are_refused(model: QBMVAE, indices: Any) -> None:
    with pytest.raises(InvalidSettingError, match="indices must be a list of integers below 90"):
        model.get_latent_representation(indices=indices)


def test_no_cell_at_a_time_is_refused(model: QBMVAE) -> None:
    with pytest.raises(InvalidSettingError, match="batch_size"):
        model.get_cell_energy(batch_size=0)


def test_columns_that_are_no_groups_are_refused(cells: AnnData) -> None:
    from spinlight.cells import QBMVAE

    several, lists = cells.copy(), cells.copy()
    several.obs = several.obs.set_axis(["kind", "kind"], axis=1)
    with pytest.raises(InvalidDataError, match="'kind' is the name of several columns of obs"):
        QBMVAE.setup_anndata(several, batch_key="kind")
    lists.obs["batch"] = [[1]] * lists.n_obs
    with pytest.raises(InvalidDataError, match="holds values that are no names"):
        QBMVAE.setup_anndata(lists, batch_key="batch")
    with pytest.raises(InvalidSettingError, match="categorical covariates name a column twice: kind, kind"):
        QBMVAE.setup_anndata(cells, categorical_covariate_keys=["kind", "kind"])


def test_names_of_groups_are_of_one_type(make_cells: Callable[..., AnnData]) -> None:
    from spinlight.cells import QBMVAE

    cells = make_cells()
    cells.obs["batch"] = np.array([1, "1"] * 45, dtype=object)
    with pytest.raises(InvalidDataError, match=r"'batch' holds names of the types int, str; make text of them"):
        QBMVAE.setup_anndata(cells, batch_key="batch")
    cells.obs["kind"] = np.arange(90) % 3
    with pytest.raises(InvalidDataError, match="types int, str, 'none' among them"):
        QBMVAE.setup_anndata(cells, labels_key="kind", unlabeled_category="none")
    with pytest.raises(InvalidSettingError, match=r"categorical covariates must be a list of columns, got 'kind'"):
        QBMVAE.setup_anndata(cells, categorical_covariate_keys="kind")  # type: ignore[arg-type]


class _Leaver(callbacks.Callback):
    def on_train_epoch_end(self, *_: object) -> None:
        sys.exit(3)


def test_an_exit_in_a_callback_is_no_interrupt(cells: AnnData) -> None:
    with pytest.raises(SystemExit):
        fitted(cells, epochs=1, callbacks=[_Leaver()])


@pytest.mark.parametrize("getter", ["get_latent_representation", "get_cell_energy", "get_elbo", "get_log_likelihood"])
def test_other_cells_that_hold_no_counts_are_refused(
    make_cells: Callable[..., AnnData], model: QBMVAE, getter: str
) -> None:
    others = make_cells(30, seed=1)
    others.X = np.log1p(others.X)
    with pytest.raises(InvalidDataError, match="no counts"):
        getattr(model, getter)(others)
    others.X[:] = 0
    with pytest.raises(InvalidDataError, match="30 cells have no count"):
        getattr(model, getter)(others)


@pytest.mark.parametrize("name", ["n_latent", "n_hidden", "n_layers"])
def test_impossible_sizes_are_refused(cells: AnnData, name: str) -> None:
    from spinlight.cells import QBMVAE

    QBMVAE.setup_anndata(cells)
    with pytest.raises(InvalidSettingError):
        QBMVAE(cells, **{name: 0})


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_impossible_rates_are_refused(cells: AnnData, rate: float) -> None:
    from spinlight.cells import QBMVAE

    QBMVAE.setup_anndata(cells)
    with pytest.raises(InvalidSettingError, match="dropout_rate"):
        QBMVAE(cells, dropout_rate=rate)
    with pytest.raises(InvalidSettingError, match="lr"):
        fitted(cells, epochs=1, plan_kwargs={"lr": rate if rate != 1.0 else 0.0})


@pytest.mark.parametrize("key", ["batch_key", "labels_key"])
def test_an_unknown_column_lists_the_columns_there_are(cells: AnnData, key: str) -> None:
    from spinlight.cells import QBMVAE

    with pytest.raises(UnknownNameError, match=r"'nope' is no column of obs; columns: kind, batch"):
        QBMVAE.setup_anndata(cells, **{key: "nope"})


def test_no_epochs_are_refused(cells: AnnData) -> None:
    with pytest.raises(InvalidSettingError, match="max_epochs"):
        fitted(cells, epochs=0)


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_the_loss_is_reconstruction_plus_the_weighted_divergence(model: QBMVAE, weight: float) -> None:
    tensors = next(iter(model._make_data_loader(model.adata, batch_size=20)))
    with torch.no_grad():
        _, _, output = model.module(tensors, loss_kwargs={"kl_weight": weight})
    parts = [torch.stack([*part.values()]).sum(0) for part in (output.reconstruction_loss, output.kl_local)]
    expected = parts[0].mean() + weight * parts[1].mean()
    torch.testing.assert_close(output.loss, expected, rtol=1e-6, atol=0)
    assert parts[1].mean() > 10 * 1e-6 * expected  # or the weight would not be seen


def test_training_ends_with_a_full_estimate_of_log_z(model: QBMVAE) -> None:
    known = model.get_log_partition()
    assert "followed" not in known.method
    assert "512 chains of 2000 steps" in known.method
