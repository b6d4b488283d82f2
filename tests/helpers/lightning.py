"""Lightning without its noise."""

from __future__ import annotations

from pathlib import Path

import lightning.pytorch as pl


def trainer(folder: Path, **settings) -> pl.Trainer:
    """Return a trainer of four epochs on the CPU that writes nothing, but for what the settings say."""
    return pl.Trainer(
        **{
            "accelerator": "cpu",
            "default_root_dir": folder,
            "logger": False,
            "enable_checkpointing": False,
            "enable_progress_bar": False,
            "enable_model_summary": False,
            "max_epochs": 4,
        }
        | settings
    )
