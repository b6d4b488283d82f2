"""Training of any Boltzmann machine as a Lightning task: what is saved with it lets a run go on as if it had not stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor, distributed, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from spinlight._errors import InvalidSettingError, InvalidStateError
from spinlight.ising import Draws, SupportsDraw
from spinlight.models import AbstractBoltzmannMachine, TrainableMachine
from spinlight.samplers import Gibbs
from spinlight.training.batches import Place
from spinlight.training.centring import CentredGradient
from spinlight.training.phases import NegativePhase, complete, require_phase

MakeOptimizer = Callable[[Iterable[nn.Parameter]], Optimizer]
MakeSchedule = Callable[[Optimizer, int], LRScheduler]
"""Of the optimiser and the number of steps in all; stepped after every batch."""


class EnergyTask(pl.LightningModule):
    """A machine, its negatives and an optimiser, as `lightning.Trainer` takes them.

    Each step descends `negatives.objective`, whose gradient is that of the mean negative log-likelihood. Its value is no
    likelihood and is not logged; `LikelihoodMonitor` measures one. A checkpoint holds the chains of every process beside Lightning's
    own state, and with `Batches` as the data a run that goes on from it, in mid-epoch too, ends with the same weights bit for bit.

    Under data parallelism every process has chains of its own, from seeds of its own, and the mean of their gradients is followed.

    Args:
        model: the machine.
        negatives: samples of the model; `PersistentContrastiveDivergence` for most machines.
        hidden_sampler: draws hidden units given the data, for machines that cannot sum them out; `Gibbs` with 20 sweeps by default.
        optimizer: makes an optimiser from parameters; Adam at 1e-3 by default.
        schedule: makes a learning rate schedule from the optimiser and the number of steps; constant by default. `linear_decay` lets
            the rate fall to zero, so that the noise of the gradient does not stay in the weights.
        centring: makes each gradient the centred one; it must be of this very model.
        constraint: changes the model in place after every step, such as `partial(clip_to_range, ...)` of a machine's range.

    Raises:
        InvalidSettingError: no machine, no negative phase, or centring of another model.

    Example:
        >>> from spinlight.models import RestrictedBoltzmannMachine
        >>> from spinlight.training import Batches, PersistentContrastiveDivergence
        >>> task = EnergyTask(RestrictedBoltzmannMachine(4, 2), PersistentContrastiveDivergence(chains=16, seed=0))
        >>> trainer = pl.Trainer(
        ...     max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        ...     enable_model_summary=False,
        ... )
        >>> trainer.fit(task, Batches(torch.tensor([[1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]), 2, seed=0))
    """

    def __init__(
        self,
        model: TrainableMachine,
        negatives: NegativePhase,
        *,
        hidden_sampler: SupportsDraw | None = None,
        optimizer: MakeOptimizer | None = None,
        schedule: MakeSchedule | None = None,
        centring: CentredGradient | None = None,
        constraint: Callable[[Any], object] | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, nn.Module) or not callable(getattr(model, "objective", None)):
            raise InvalidSettingError(f"model must be a Boltzmann machine, got {type(model).__name__}")
        if centring is not None and id(centring.model) != id(model):
            raise InvalidSettingError("centring must be of the model that is trained: CentredGradient(model)")
        self.model, self.negatives, self.centring = model, require_phase(negatives), centring
        self.hidden_sampler = Gibbs(sweeps=20, progress=False) if hidden_sampler is None else hidden_sampler
        self._make_optimizer: MakeOptimizer = partial(torch.optim.Adam, lr=1e-3) if optimizer is None else optimizer
        self.schedule, self.constraint = schedule, constraint
        self._place = Place()
        self._positive_side: Tensor | Draws | None = None

    def setup(self, stage: str) -> None:
        """Give every process chains of its own.

        Raises:
            InvalidSettingError: centring, and gradients that are summed over several batches.
        """
        if stage == "fit" and self.centring is not None and self.trainer.accumulate_grad_batches > 1:
            raise InvalidSettingError(
                "centring takes the whole gradient of a step, not sums over several batches; use larger batches and "
                "accumulate_grad_batches=1"
            )
        if stage == "fit" and self.trainer.world_size > 1:
            self.negatives.branch(self.trainer.global_rank)

    def on_train_epoch_start(self) -> None:
        """Count the batches of an epoch, which may be cut short, from its start."""
        self._place.on_train_epoch_start()

    def training_step(self, batch: Tensor | Sequence[Tensor], batch_idx: int) -> Tensor:
        """Return the objective of one batch of visible rows, alone or in a sequence of one as `TensorDataset` gives them."""
        self._place.on_batch(self.trainer.train_dataloader)
        rows = batch_rows(batch)
        positive = self._positive(rows)
        self._positive_side = rows if positive is None else positive
        return self.negatives.objective(self.model, rows, positive)

    def _positive(self, batch: Tensor) -> Tensor | Draws | None:
        if not isinstance(self.model, AbstractBoltzmannMachine) or not self.model.needs_hidden:
            return None
        return complete(self.model, batch, self.hidden_sampler, seed=self.negatives.next_seed())

    def on_after_backward(self) -> None:
        """Centre the gradient, where that is wanted."""
        positive, negative = self._positive_side, self.negatives.latest
        if self.centring is not None and positive is not None and negative is not None:
            self.centring.step(positive, negative, hidden_logits=self.negatives.latest_logits)

    def optimizer_step(self, *arguments: Any, **settings: Any) -> None:
        """Step, then put the model back where the constraint wants it."""
        super().optimizer_step(*arguments, **settings)
        if self.constraint is not None:
            self.constraint(self.model)

    def new_optimizer(self) -> Optimizer:
        """Return an optimiser of the machine's parameters, as training makes it."""
        return self._make_optimizer(self.model.parameters())

    def configure_optimizers(self) -> Any:
        """Return the optimiser, and its schedule where there is one."""
        optimizer = self.new_optimizer()
        if self.schedule is None:
            return optimizer
        schedule = self.schedule(optimizer, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the chains of every process, and where the data stand."""
        checkpoint["negatives"] = _from_all(self.negatives.state_dict())
        if self.centring is not None:
            checkpoint["centring"] = self.centring.state_dict()
        self._place.on_save_checkpoint(self.trainer.train_dataloader if self._trainer else None, checkpoint)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with the chains of this process.

        Raises:
            InvalidStateError: the checkpoint is of another number of processes, of other negatives, or of a run that was centred where
                this one is not.
        """
        states: list[Mapping[str, Any]] = checkpoint["negatives"]
        rank, processes = (self.trainer.global_rank, self.trainer.world_size) if self._trainer else (0, len(states))
        if len(states) != processes:
            raise InvalidStateError(
                f"the checkpoint holds the chains of {len(states)} processes and there are {processes}; go on with as many"
            )
        self.negatives.load_state_dict(states[rank])
        self._place.on_load_checkpoint(checkpoint)
        if (self.centring is None) != ("centring" not in checkpoint):
            raise InvalidStateError(
                f"the checkpoint is of a run {'without' if self.centring else 'with'} centring; go on as before"
            )
        if self.centring is not None:
            self.centring.load_state_dict(checkpoint["centring"])

    def on_train_start(self) -> None:
        """Go on with the data where the checkpoint was."""
        self._place.on_train_start(self.trainer.train_dataloader)


def batch_rows(batch: object) -> Tensor:
    """Return the rows of a batch, shape (batch, features), which may come in a sequence of one.

    Raises:
        InvalidStateError: anything else.
    """
    rows = batch[0] if isinstance(batch, Sequence) and len(batch) == 1 else batch
    if not isinstance(rows, Tensor) or rows.ndim != 2:
        found = f"shape {tuple(rows.shape)}" if isinstance(rows, Tensor) else type(rows).__name__
        if isinstance(rows, Sequence):
            found += f" of {len(rows)}"
        raise InvalidStateError(f"a batch must be rows, shape (batch, features), without labels; got {found}")
    return rows


def linear_decay(optimizer: Optimizer, steps: int) -> LRScheduler:
    """Return a schedule whose rate falls on a straight line to zero over all steps."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps))


def _from_all(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the states of all processes, by rank."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [state]
    states: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(states, state)
    return states
