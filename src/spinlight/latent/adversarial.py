"""Training of a `QGAN` as a Lightning task: what is saved with it lets a run go on as if it had not stopped."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from spinlight._checks import nonnegative_number, positive_integer
from spinlight._errors import InvalidSettingError
from spinlight.latent.qgan import QGAN
from spinlight.training import NegativePhase
from spinlight.training.batches import Place
from spinlight.training.phases import require_phase
from spinlight.training.task import MakeOptimizer, MakeSchedule, batch_rows


class AdversarialTask(pl.LightningModule):
    """A `QGAN`, the negatives of its prior and three optimisers, as `lightning.Trainer` takes them.

    Each batch is one step of the discriminator, one of the generator and one of prior and readout, in this order; Lightning counts
    them as three. Logged: the losses, `discriminator` (with the penalty where it is due; equal players sit at 2 log 2), `generator`
    (at log 2) and `associative`. A checkpoint holds the chains, and with `Batches` as the data a run that goes on from it, in
    mid-epoch too, ends with the same weights bit for bit, if no part draws random numbers of its own.
    (`ModelCheckpoint(every_n_train_steps=...)` warns of manual optimisation: a checkpoint holds the state after the step. It should.)

    One process: the optimisers step parts of one module in turn, which data parallelism cannot follow.

    Args:
        qgan: the network.
        negatives: samples of its prior; `PersistentContrastiveDivergence` for most machines, with as many chains as a batch has
            rows or more.
        optimizer: makes an optimiser of the discriminator's parameters, and one of the generator's; Adam at 2e-3 without momentum
            (betas 0 and 0.99) by default.
        associative_optimizer: makes that of the prior's and the readout's; Adam at 2e-3 by default.
        schedule: makes the learning rate schedule of each of the three from the optimiser and the number of batches in all; constant by
            default. `training.linear_decay` lets the rates fall to zero.
        penalty: gamma of the discriminator's loss.
        penalty_every: the penalty is taken at every such step, times their number: the same on average, for less time.

    Raises:
        InvalidSettingError: no QGAN, no negative phase, a negative penalty or fewer than one step.

    Example:
        >>> from torch import nn
        >>> from spinlight.models import BoltzmannMachine
        >>> from spinlight.samplers import Gibbs
        >>> from spinlight.training import Batches, PersistentContrastiveDivergence
        >>> qgan = QGAN(nn.Linear(3, 2), nn.Linear(2, 8), nn.Linear(8, 1), BoltzmannMachine(3), readout=nn.Linear(8, 3))
        >>> task = AdversarialTask(qgan, PersistentContrastiveDivergence(Gibbs(progress=False), chains=16, seed=0))
        >>> trainer = pl.Trainer(
        ...     max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        ...     enable_model_summary=False,
        ... )
        >>> trainer.fit(task, Batches(torch.rand(32, 2), 16, seed=0))
    """

    def __init__(
        self,
        qgan: QGAN,
        negatives: NegativePhase,
        *,
        optimizer: MakeOptimizer | None = None,
        associative_optimizer: MakeOptimizer | None = None,
        schedule: MakeSchedule | None = None,
        penalty: float = 5.0,
        penalty_every: int = 4,
    ) -> None:
        super().__init__()
        if not isinstance(qgan, QGAN):
            raise InvalidSettingError(f"qgan must be a QGAN, got {type(qgan).__name__}")
        self.qgan, self.negatives = qgan, require_phase(negatives)
        self.penalty = nonnegative_number("penalty", penalty)
        self.penalty_every = positive_integer("penalty_every", penalty_every)
        adam = partial(torch.optim.Adam, lr=2e-3)
        self._make: MakeOptimizer = partial(adam, betas=(0.0, 0.99)) if optimizer is None else optimizer
        self._make_associative: MakeOptimizer = adam if associative_optimizer is None else associative_optimizer
        self._make_schedule = schedule
        self._place = Place()
        self._steps = 0
        self.automatic_optimization = False

    def setup(self, stage: str) -> None:
        """Refuse several processes."""
        if stage == "fit" and self.trainer.world_size > 1:
            raise InvalidSettingError("a QGAN trains in one process; make the trainer with devices=1")

    def on_train_epoch_start(self) -> None:
        """Count the batches of an epoch, which may be cut short, from its start."""
        self._place.on_train_epoch_start()

    def training_step(self, batch: Tensor, batch_idx: int) -> None:
        """Take the three steps of one batch of data."""
        self._place.on_batch(self.trainer.train_dataloader)
        step = self.qgan.step(batch_rows(batch), self.negatives)
        optimizers: Any = self.optimizers()
        discriminator, generator, associative = optimizers
        due = self._steps % self.penalty_every == 0
        self._steps += 1
        penalty = self.penalty * self.penalty_every if due else 0.0
        schedules: Any = self.lr_schedulers() or [None] * 3
        self._descend("discriminator", discriminator, step.discriminator_loss(penalty), schedules[0])
        self._descend("generator", generator, step.generator_loss(), schedules[1])
        self._descend("associative", associative, step.associative_loss(), schedules[2])

    def _descend(self, name: str, optimizer: Any, loss: Tensor, schedule: Any) -> None:
        self.log(name, loss.detach())
        if not loss.requires_grad:
            return  # fair coins without a readout: nothing to learn
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()
        if schedule is not None:
            schedule.step()

    def configure_optimizers(self) -> Any:
        """Return the optimisers of the discriminator, of the generator, and of prior and readout, and their schedules, if any."""
        optimizers = [
            self._make(self.qgan.discriminator_parameters()),
            self._make(self.qgan.generator.parameters()),
            self._make_associative(self.qgan.associative_parameters()),
        ]
        if self._make_schedule is None:
            return optimizers
        batches, most = int(self.trainer.estimated_stepping_batches), self.trainer.max_steps
        if most > 0:  # Lightning counts the steps of all three
            batches = min(batches, -(-most // 3))
        return optimizers, [self._make_schedule(each, batches) for each in optimizers]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the chains, and where the data stand."""
        checkpoint["negatives"], checkpoint["steps"] = self.negatives.state_dict(), self._steps
        self._place.on_save_checkpoint(self.trainer.train_dataloader if self._trainer else None, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the chains."""
        self.negatives.load_state_dict(checkpoint["negatives"])
        self._steps = checkpoint["steps"]
        self._place.on_load_checkpoint(checkpoint)

    def on_train_start(self) -> None:
        """Go on with the data where the checkpoint was."""
        self._place.on_train_start(self.trainer.train_dataloader)
