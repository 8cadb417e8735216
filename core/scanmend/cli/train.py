"""`scanmend train`: one command for each model that ships."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from scanmend.cli import out as screen
from scanmend.errors import EngineError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DATA = "--data takes a folder of clean pictures"


def network(
    model: str,
    data: list[Path],
    out: Path,
    *,
    init: Path | None,
    device: str,
    settings: Mapping[str, Any],
) -> None:
    """Trains, or goes on training, a network that restores.

    Args:
        model: its folder among the models, such as grain_fast.
        data: folders of clean pictures.
        out: the run's folder.
        init: weights to start from instead of fresh ones.
        device: as `choose_device` takes it.
        settings: fields of the loop's `Settings`.

    Raises:
        UsageError: a folder or file is missing or holds what does not fit.
        EngineError: the device is not there, or training went astray.
    """
    _run(model, data, out, init=init, device=device, settings=settings)


def meter(model: str, data: list[Path], out: Path, *, count: int, steps: int, seed: int) -> None:
    """Draws examples and trains a meter on them; arguments and errors as `network`."""
    settings = {"minutes": 60.0, "steps": steps, "seed": seed, "batch": 64, "rate": 0.002, "small": 1.0}
    _run(model, data, out, device="cpu", settings=settings, count=count)


def _run(
    model: str, data: list[Path], out: Path, *, device: str, settings: Mapping[str, Any], **more: Any
) -> None:
    _need_folders(data)
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", hint="--out takes the folder of the run")
    init = more.get("init")
    if init is not None and not init.is_file():
        raise UsageError(f"there is no file {init}", hint="--init takes weights (.safetensors)")
    import torch  # noqa: PLC0415 - here is work
    from scanmend_models._train.loop import Diverged, Settings  # noqa: PLC0415

    from scanmend.engine import choose_device  # noqa: PLC0415

    module = import_module(f"scanmend_models.{model}.train")
    chosen = choose_device(device)
    numbers = Settings(**settings)
    length = f"{numbers.steps} steps" if numbers.steps else f"{numbers.minutes:g} minutes"
    screen.remark(f"training for {length} on {chosen.name}; Ctrl-C stops and keeps what was learnt")
    try:
        weights = module.train(
            data, out, numbers, device=torch.device(chosen.name), report=screen.say, **more
        )
    except FileNotFoundError as error:
        raise UsageError(str(error), hint=_DATA) from error
    except ValueError as error:
        raise UsageError(str(error), hint="choose another --out, or what it was trained with") from error
    except Diverged as error:
        raise EngineError(str(error), hint="start again with half the --rate") from error
    screen.say(f"wrote {weights}")


def samples(data: list[Path], out: Path, *, scans: list[Path], seed: int) -> None:
    """Writes a sheet of degraded crops, a row for each kind, above crops of real scans.

    Raises:
        UsageError: a folder is missing or holds no pictures.
    """
    _need_folders([*data, *scans])
    if out.suffix.lower() != ".png":
        raise UsageError(f"{out} is no PNG file", hint="--out takes a name that ends in .png")
    from scanmend_models._train import data as pictures  # noqa: PLC0415 - here is work
    from scanmend_models._train import files, sheet  # noqa: PLC0415

    try:
        clean = pictures.load(data, held_out_sources=0).train
        real = pictures.load(scans, held_out_sources=0).train if scans else ()
    except FileNotFoundError as error:
        raise UsageError(str(error), hint=_DATA) from error
    files.replace(out, sheet.draw(clean, real, seed))
    screen.say(f"wrote {out}")


def _need_folders(folders: list[Path]) -> None:
    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise UsageError(f"there is no folder {missing[0]}", hint=_DATA)
