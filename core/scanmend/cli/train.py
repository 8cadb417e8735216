"""`scanmend train`: one command for each model that ships."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scanmend.cli import out as screen
from scanmend.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def grain(
    data: list[Path],
    out: Path,
    *,
    minutes: float,
    device: str,
    batch: int,
    patch: int,
    seed: int,
    compiled: bool,
) -> None:
    """Trains, or goes on training, the fast grain network.

    Raises:
        UsageError: a folder is missing or holds no pictures.
        EngineError: the device is not there.
    """
    if missing := [folder for folder in data if not folder.is_dir()]:
        raise UsageError(f"there is no folder {missing[0]}", hint="--data takes a folder of clean pictures")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", hint="--out takes the folder of the run")
    import torch  # noqa: PLC0415 - here is work
    from scanmend_models._train.loop import Settings  # noqa: PLC0415
    from scanmend_models.grain_fast.train import train  # noqa: PLC0415

    from scanmend.engine import choose_device  # noqa: PLC0415

    chosen = choose_device(device)
    settings = Settings(minutes=minutes, seed=seed, batch=batch, patch=patch, compile=compiled)
    screen.remark(
        f"training for {minutes:g} minutes on {chosen.name}; Ctrl-C stops and keeps what was learnt"
    )
    try:
        weights = train(data, out, settings, device=torch.device(chosen.name), report=screen.say)
    except FileNotFoundError as error:
        raise UsageError(str(error), hint="--data takes a folder of clean pictures") from error
    screen.say(f"wrote {weights}")
