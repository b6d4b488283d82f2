"""Training under Lightning: it learns, goes on from a checkpoint bit for bit, and shares a batch between processes."""

from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset

from helpers.enumeration import all_bits
from helpers.lightning import trainer
from helpers.machines import TableSampler, random_machine
from spinlight._errors import InvalidSettingError, InvalidStateError, ProblemTooLargeError
from spinlight.datasets import binarized
from spinlight.models import BoltzmannMachine, RestrictedBoltzmannMachine
from spinlight.samplers import Exact, Gibbs, ParallelTempering
from spinlight.training import (
    Batches,
    CentredGradient,
    ContrastiveDivergence,
    Descent,
    EnergyTask,
    ExactPartition,
    GradientMonitor,
    IndependentDraws,
    LikelihoodMonitor,
    PersistentContrastiveDivergence,
    ReusedDraws,
    linear_decay,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*does not have many workers",
    "ignore:.*LeafSpec",
    "ignore:.*logging interval",
    "ignore:.*exists and is not empty",
    "ignore:.*callbacks used to create",
)

ROWS = (all_bits(6)[torch.randint(64, (90,), generator=torch.Generator().manual_seed(3))] * 0.8 + 0.1).float()
"""Grey levels, so that batches draw bits."""


TEMPERING = ParallelTempering(rungs=4, progress=False)
PHASES = {
    "pcd": partial(PersistentContrastiveDivergence, chains=20),
    "tempered": partial(PersistentContrastiveDivergence, TEMPERING, chains=20),
    "cd": partial(ContrastiveDivergence, sweeps=2),
    "independent": partial(IndependentDraws, Exact(), count=20),
    "reused": partial(ReusedDraws, Exact(), count=100, steps=3),
}
"""Every negative phase, to be given a seed."""


def task(seed: int = 0, centred: bool = False, phase: str = "pcd", **settings) -> EnergyTask:
    torch.manual_seed(seed)
    machine = RestrictedBoltzmannMachine(6, 4)
    settings |= {"centring": CentredGradient(machine)} if centred else {}
    return EnergyTask(machine, PHASES[phase](seed=seed), **({"schedule": linear_decay} | settings))


def batches(seed: int = 0) -> Batches:
    return Batches(ROWS, 20, draw=binarized, seed=seed)


def weights(trained: EnergyTask) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in trained.model.parameters()])


LEARNING = {
    "pcd": partial(PersistentContrastiveDivergence, chains=200),
    "tempered": partial(PersistentContrastiveDivergence, TEMPERING, chains=200),
    "cd": partial(ContrastiveDivergence, sweeps=10),
    "independent": partial(IndependentDraws, Exact(), count=200),
    "reused": partial(ReusedDraws, Exact(), count=1000, steps=20),
}


@pytest.mark.parametrize("phase", LEARNING)
def test_a_task_learns_the_law_of_its_data(tmp_path: Path, phase: str) -> None:
    truth = random_machine(RestrictedBoltzmannMachine(4, 2), seed=5, scale=1.5)
    data = TableSampler().draw(truth.to_ising(), 4_000, seed=1).bits[:, :4].float()
    torch.manual_seed(0)
    machine = RestrictedBoltzmannMachine(4, 6)
    learner = EnergyTask(
        machine, LEARNING[phase](seed=0), optimizer=partial(torch.optim.Adam, lr=0.02), schedule=linear_decay
    )

    def divergence() -> float:
        """Return KL(data, machine) in nats, by enumeration."""
        numbers = (data.long() << torch.arange(4)).sum(-1)
        law = torch.bincount(numbers, minlength=16).double() / len(data)
        model = torch.log_softmax(-machine.free_energy(all_bits(4)).double(), 0).detach()
        return float(torch.special.xlogy(law, law).sum() - law @ model)

    before = divergence()
    trainer(tmp_path, max_epochs=40).fit(learner, Batches(data, 200, seed=1))
    # 15 free probabilities fitted to 4,000 rows leave 15 / 8,000 nats; ten times that for what the gradient's noise leaves.
    assert divergence() < 0.02 < 0.1 < before


@pytest.mark.parametrize(
    ("phase", "stop", "centred"),
    [*((phase, 7, False) for phase in PHASES), ("pcd", 3, False), ("pcd", 5, True), ("reused", 7, True)],
)
def test_a_checkpoint_is_gone_on_from_bit_for_bit_in_mid_epoch(
    tmp_path: Path, phase: str, stop: int, centred: bool
) -> None:
    keep = ModelCheckpoint(dirpath=tmp_path, filename="at-{step}", every_n_train_steps=stop, save_top_k=-1)
    whole = task(centred=centred, phase=phase)
    trainer(tmp_path, enable_checkpointing=True, callbacks=[keep]).fit(whole, batches())
    resumed, anew = (task(seed=1, centred=centred, phase=phase) for _ in range(2))
    path = tmp_path / f"at-step={stop}.ckpt"
    trainer(tmp_path).fit(resumed, batches(seed=1), ckpt_path=path, weights_only=True)
    trainer(tmp_path).fit(anew, batches(seed=1))
    assert torch.equal(weights(resumed), weights(whole))
    assert not torch.equal(weights(anew), weights(whole))


def test_epochs_that_are_cut_short_go_on_with_the_rows_that_are_left(tmp_path: Path) -> None:
    seen: list[torch.Tensor] = []

    class Watching(PersistentContrastiveDivergence):
        def objective(self, model, data, positive=None):
            seen.append(data)
            return super().objective(model, data, positive)

    torch.manual_seed(0)
    rows = all_bits(6)[:20].float()
    learner = EnergyTask(RestrictedBoltzmannMachine(6, 4), Watching(chains=4, seed=0))
    trainer(tmp_path, max_epochs=7, limit_train_batches=3).fit(learner, Batches(rows, 2, seed=0))
    shown = torch.cat(seen)
    assert len(shown) == 2 * (
        3 + 3 + 3 + 1 + 3 + 3 + 3
    )  # ten batches are a pass, and the fourth epoch has what is left of it
    assert len(torch.cat(seen[:10]).unique(dim=0)) == 20  # one pass: every row once
    assert not torch.equal(torch.cat(seen[:10]), torch.cat(seen[10:20]))  # the next one: in another order


def test_centring_refuses_gradients_of_several_batches(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettingError, match="accumulate_grad_batches=1"):
        trainer(tmp_path, accumulate_grad_batches=2).fit(task(centred=True), batches())


def test_a_centred_task_steps_along_the_centred_gradient(tmp_path: Path) -> None:
    plain, centred = (
        task(centred=centred, optimizer=partial(torch.optim.SGD, lr=0.1), schedule=None) for centred in (False, True)
    )
    for learner in (plain, centred):
        trainer(tmp_path, max_steps=1, max_epochs=-1).fit(learner, batches())
    torch.manual_seed(0)
    machine = RestrictedBoltzmannMachine(6, 4)
    data = next(iter(batches()))
    negative = PersistentContrastiveDivergence(chains=20, seed=0).negative(machine, data)
    machine.objective(data, negative).backward()
    CentredGradient(machine).step(data, negative)
    expected = torch.cat([(part - 0.1 * part.grad).detach().flatten() for part in machine.parameters()])
    torch.testing.assert_close(weights(centred), expected)
    assert not torch.allclose(weights(plain), expected, atol=1e-4)


def test_centring_of_another_model_is_refused() -> None:
    with pytest.raises(InvalidSettingError, match="model that is trained"):
        task(centring=CentredGradient(RestrictedBoltzmannMachine(6, 4)))


def test_the_schedule_ends_at_zero_and_the_constraint_holds_after_every_step(tmp_path: Path) -> None:
    seen: list[float] = []

    def clip(model: RestrictedBoltzmannMachine) -> None:
        seen.append(float(model.weight.detach().abs().max()))
        with torch.no_grad():
            model.weight.clamp_(-0.005, 0.005)

    learner, fit = task(constraint=clip), trainer(tmp_path)
    fit.fit(learner, batches())
    assert len(seen) == 20
    assert max(seen) > 0.005
    assert float(learner.model.weight.detach().abs().max()) <= 0.005
    assert fit.optimizers[0].param_groups[0]["lr"] == 0.0


def test_hidden_units_that_are_connected_are_sampled_given_the_data(tmp_path: Path) -> None:
    torch.manual_seed(0)
    machine = BoltzmannMachine(8, 2)
    learner = EnergyTask(
        machine,
        IndependentDraws(Exact(), count=200, seed=1),
        hidden_sampler=Exact(),
        optimizer=partial(torch.optim.Adam, lr=0.05),
    )
    data = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]]).repeat(20, 1)
    trainer(tmp_path, max_epochs=40).fit(learner, Batches(data, 20, seed=1))
    drawn = machine.sample(Exact(), 500, seed=2)[:, :6]
    assert float((drawn[:, 0] == drawn[:, 1]).float().mean()) > 0.9
    assert float((drawn[:, 0] == drawn[:, 3]).float().mean()) < 0.1


def test_monitors_log_a_likelihood_with_its_error_and_the_noise_of_the_gradient(tmp_path: Path) -> None:
    bits = binarized(ROWS, 1)
    monitors = [LikelihoodMonitor(bits, every=2, name="held_out"), GradientMonitor()]
    fit = trainer(tmp_path, callbacks=monitors)
    learner = task()
    fit.fit(learner, batches())
    logged = {name: float(value) for name, value in fit.logged_metrics.items()}
    exact = torch.log_softmax(-learner.model.free_energy(all_bits(6)).detach().double(), 0)
    numbers = (bits.long() << torch.arange(6)).sum(-1)
    error = logged["held_out_error"]
    assert abs(logged["held_out"] - float(exact[numbers].mean())) < 5 * error
    assert 0 < error < 0.5
    assert logged["held_out_pessimistic"] <= logged["held_out"]
    assert 0 <= logged["gradient_noise"] <= 1
    assert logged["gradient_norm"] > 0


@pytest.mark.parametrize(("rate", "epochs"), [(0.0, 4), (0.1, 12)])
def test_a_likelihood_that_no_longer_rises_stops_the_training_and_is_in_the_log(
    tmp_path: Path, rate: float, epochs: int
) -> None:
    alike = ROWS[:1].repeat(90, 1)  # there is much to learn: where to be on and where off
    watch = LikelihoodMonitor(binarized(alike, 1), estimator=ExactPartition(), name="held_out")
    stop = EarlyStopping(monitor="held_out", mode="max", patience=3, check_on_train_epoch_end=True)
    log = CSVLogger(tmp_path)
    fit = trainer(tmp_path, callbacks=[watch, stop], logger=log, max_epochs=12)
    learner = task(optimizer=partial(torch.optim.SGD, lr=rate))
    fit.fit(learner, Batches(alike, 20, draw=binarized, seed=0))
    assert fit.current_epoch == epochs
    with open(Path(log.log_dir) / "metrics.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["held_out"]]
    assert len(rows) == epochs
    assert float(rows[-1]["held_out"]) == pytest.approx(float(fit.callback_metrics["held_out"]))


def test_averaging_under_lightning_is_that_of_descent(tmp_path: Path) -> None:
    class Half(WeightAveraging):
        def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
            return step_idx is not None and step_idx >= 10

    sgd = partial(torch.optim.SGD, lr=0.5)
    learner, last = (task(optimizer=sgd) for _ in range(2))
    trainer(tmp_path, callbacks=[Half()]).fit(learner, batches())
    trainer(tmp_path).fit(last, batches())
    plain = task()
    descent = Descent(epochs=4, batch_size=20, optimizer=sgd, averaging=0.5)
    loss = partial(plain.negatives.objective, plain.model)
    descent.minimize(loss, plain.model.parameters(), ROWS, draw=binarized, seed=0)
    torch.testing.assert_close(weights(learner), weights(plain))
    assert not torch.allclose(weights(learner), weights(last), atol=1e-4)


def test_a_gradient_that_is_all_noise_is_told_from_one_that_is_none(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)

    class Module:
        model = torch.nn.Linear(2_000, 1, bias=False)
        logged: dict[str, float]

        def log_dict(self, values: dict[str, float]) -> None:
            self.logged = values

    class Trainer:
        global_step = 0

    found = {}
    for share in (0.0, 0.5, 1.0):
        monitor, module = GradientMonitor(memory=0.9), Module()
        steady = torch.randn(1, 2_000, generator=generator)
        for _ in range(60):
            noise = torch.randn(1, 2_000, generator=generator)
            module.model.weight.grad = (1 - share) ** 0.5 * steady + share**0.5 * noise
            optimizer = torch.optim.SGD(module.model.parameters(), lr=0.3)
            monitor.on_before_optimizer_step(Trainer(), module, optimizer)
        found[share] = module.logged["gradient_noise"]
        assert module.logged["learning_rate"] == 0.3
    assert found[0.0] == pytest.approx(0.0, abs=1e-3)
    # One running mean of 2,000 entries: relative error about sqrt(2 / 2,000).
    assert found[0.5] == pytest.approx(0.5, abs=0.06)
    assert found[1.0] == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("arguments", [(torch.nn.Linear(2, 2), None), (RestrictedBoltzmannMachine(2, 2), Gibbs())])
def test_a_task_refuses_what_is_no_machine_and_no_negative_phase(arguments) -> None:
    model, negatives = arguments
    with pytest.raises(InvalidSettingError):
        EnergyTask(model, PersistentContrastiveDivergence(chains=2) if negatives is None else negatives)


def test_a_checkpoint_of_other_processes_is_refused() -> None:
    learner = task()
    checkpoint: dict = {}
    learner.on_save_checkpoint(checkpoint)
    learner._trainer = type("Trainer", (), {"global_rank": 0, "world_size": 2})()
    with pytest.raises(InvalidStateError, match="1 processes and there are 2"):
        learner.on_load_checkpoint(checkpoint)


def test_a_checkpoint_of_other_negatives_is_refused() -> None:
    checkpoint: dict = {}
    task().on_save_checkpoint(checkpoint)
    with pytest.raises(
        InvalidStateError, match=r"PersistentContrastiveDivergence and these negatives are ReusedDraws\(Exact\)"
    ):
        task(phase="reused").on_load_checkpoint(checkpoint)


@pytest.mark.parametrize("centred", [False, True])
def test_a_run_that_was_centred_does_not_go_on_uncentred_nor_the_other_way_round(centred: bool) -> None:
    checkpoint: dict = {}
    task(centred=centred).on_save_checkpoint(checkpoint)
    with pytest.raises(InvalidStateError, match="with centring" if centred else "without centring"):
        task(centred=not centred).on_load_checkpoint(checkpoint)


def test_a_loader_of_torch_trains_and_one_with_labels_is_refused(tmp_path: Path) -> None:
    rows = all_bits(6).float()
    bare, labelled = TensorDataset(rows), TensorDataset(rows, torch.zeros(64))
    learner, untrained = task(), weights(task())
    trainer(tmp_path, max_epochs=1).fit(learner, DataLoader(bare, batch_size=16))
    assert not torch.equal(weights(learner), untrained)
    with pytest.raises(InvalidStateError, match="without labels; got list of 2"):
        trainer(tmp_path, max_epochs=1).fit(task(), DataLoader(labelled, batch_size=16))


def test_a_machine_without_a_likelihood_is_refused_before_the_first_step(tmp_path: Path) -> None:
    machine = BoltzmannMachine(36, 30)
    watch = LikelihoodMonitor(binarized(ROWS, 1))
    learner = EnergyTask(machine, PersistentContrastiveDivergence(chains=2))
    before = weights(learner)
    with pytest.raises(ProblemTooLargeError, match=r"2\^30 states"):
        trainer(tmp_path, callbacks=[watch]).fit(learner, batches())
    assert torch.equal(weights(learner), before)


KILLED = """
import sys, warnings
from pathlib import Path
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, WeightAveraging
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, TensorDataset
warnings.simplefilter("ignore")
sys.path[:0] = sys.argv[2:]
from training_parts import batches, task, trainer
folder = Path(sys.argv[1])
keep = ModelCheckpoint(dirpath=folder, filename="last", every_n_train_steps=7, save_top_k=1, enable_version_counter=False)
learner = task(schedule=None)
trainer(folder, max_epochs=100_000, enable_checkpointing=True, callbacks=[keep]).fit(learner, batches())
"""


def test_a_run_that_is_killed_goes_on_from_its_last_checkpoint(tmp_path: Path) -> None:
    script = KILLED.replace("from training_parts import", f"from {__name__.rpartition('.')[2]} import")
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent), str(Path(__file__).parents[1])]
    )
    path, patience = tmp_path / "last.ckpt", time.monotonic() + 120
    while not path.exists() and process.poll() is None and time.monotonic() < patience:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    state = torch.load(path, weights_only=True)
    steps = int(state["global_step"]) + 11
    resumed, whole = task(seed=1, schedule=None), task(schedule=None)
    trainer(tmp_path, max_epochs=100_000, max_steps=steps).fit(
        resumed, batches(seed=1), ckpt_path=path, weights_only=True
    )
    trainer(tmp_path, max_epochs=100_000, max_steps=steps).fit(whole, batches())
    assert torch.equal(weights(resumed), weights(whole))


SHARED = """
import sys, warnings
from pathlib import Path
import torch
warnings.simplefilter("ignore")
sys.path[:0] = sys.argv[2:]
from training_parts import NUMBERED, Batches, Seen, task, trainer, weights
folder = Path(sys.argv[1])
learner, seen = task(), Seen()
fit = trainer(folder, devices=2, strategy="ddp", max_epochs=2, callbacks=[seen])
fit.fit(learner, Batches(NUMBERED, 7, seed=0))
chains = learner.negatives.state_dict()["sides"]["visible"]
found = {"weights": weights(learner), "chains": chains, "steps": fit.global_step}
found |= {name: getattr(seen, name) for name in ("rows", "gradient", "negatives")}
torch.save(found, folder / f"rank{fit.global_rank}.pt")
"""

NUMBERED = all_bits(6)[:33].float()
"""Rows that tell which ones they are."""


class Seen(pl.Callback):
    """The rows that a process trains on, and what the first step is made of."""

    def __init__(self) -> None:
        self.rows: list[torch.Tensor] = []
        self.gradient = self.negatives = torch.empty(0)

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: EnergyTask, batch: torch.Tensor, *_) -> None:
        self.rows.append(batch.clone())

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: EnergyTask, *_) -> None:
        if not len(self.gradient):
            self.gradient = torch.cat([part.grad.flatten() for part in pl_module.model.parameters()])
            self.negatives = pl_module.negatives.latest.clone()


@pytest.mark.slow
def test_two_processes_share_every_batch_and_follow_the_mean_of_their_gradients(tmp_path: Path) -> None:
    script = tmp_path / "shared.py"
    script.write_text(SHARED.replace("from training_parts import", f"from {__name__.rpartition('.')[2]} import"))
    subprocess.run(
        [sys.executable, script, str(tmp_path), str(Path(__file__).parent), str(Path(__file__).parents[1])],
        check=True,
        timeout=240,
    )
    ranks = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]
    assert torch.equal(ranks[0]["weights"], ranks[1]["weights"])
    assert not torch.equal(ranks[0]["chains"], ranks[1]["chains"])
    assert ranks[0]["steps"] == 2 * 3  # 33 rows in batches of two times seven
    for epoch in (0, 1):
        rows = [row for rank in ranks for batch in rank["rows"][3 * epoch : 3 * epoch + 3] for row in batch.tolist()]
        assert len(rows) == 32  # an odd one is left out, so that both have as many
        assert len({tuple(row) for row in rows}) == 32
    # Each has the mean of both gradients, of other rows against other chains: that of the likelihood in expectation, with less noise.
    assert torch.equal(ranks[0]["gradient"], ranks[1]["gradient"])
    assert not torch.equal(ranks[0]["negatives"], ranks[1]["negatives"])
    own = []
    for rank in ranks:
        model = task().model
        model.objective(rank["rows"][0], rank["negatives"]).backward()
        own.append(torch.cat([part.grad.flatten() for part in model.parameters()]))
    torch.testing.assert_close(ranks[0]["gradient"], (own[0] + own[1]) / 2)
    assert not torch.allclose(own[0], own[1])
