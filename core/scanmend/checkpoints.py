"""Reads the weights out of a file that somebody else has written: torch's checkpoints, or safetensors.

Nothing in such a file is ever run: torch's own reader for weights alone builds tensors and plain
containers, and refuses all else. A ZIP checkpoint is mapped into memory rather than read, because a
file may then claim more than it holds and gets an error, not somebody else's memory.
"""

from __future__ import annotations

import pickle
import re
import stat
import warnings
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from scanmend.errors import ModelError, UsageError

MAX_BYTES = 2**30
"""The largest file: MIMO-UNet+ with its optimiser's state takes 200 MB."""
_WRAPPERS = ("model", "state_dict")
_PARALLEL = "module."
"""What torch's DataParallel puts before every name."""
_NAME = re.compile(r"[\w.\-]{1,200}")
_WHAT = "a checkpoint is a file as torch.save or safetensors writes it, .pkl, .pt, .pth or .safetensors"
_ALONE = "where it was trained, save the weights alone: torch.save(network.state_dict(), FILE)"


def read(path: Path) -> dict[str, Tensor]:
    """The weights in a file, as they stand there, on the CPU.

    Args:
        path: of a state dict, or of a dict that holds one as "model" or "state_dict" beside other things;
            a "module." before all names is taken off.

    Returns:
        dense tensors by name, in the file's order; they may lie in the file, and share memory.

    Raises:
        UsageError: there is no such file.
        ModelError: it is no checkpoint, damaged, too large, or holds more than plain values.
    """
    head = _head(path)
    if head.startswith(b"PK\x03\x04"):
        _check_archive(path)
        return _state(_torch(path, mapped=True), path)
    if re.match(rb"(?s).{8}\s*\{", head):
        return _state(_safetensors(path), path)
    return _state(_torch(path, mapped=False), path)


def _head(path: Path) -> bytes:
    try:
        str(path).encode()  # the readers of torch and safetensors take nothing else
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise ModelError(f"{path} is not a file", hint=_WHAT)
        if found.st_size > MAX_BYTES:
            raise ModelError(f"{path} is larger than {MAX_BYTES >> 20} MiB", hint=_ALONE)
        with path.open("rb") as file:
            return file.read(64)
    except FileNotFoundError:
        raise UsageError(f"there is no file {path}", hint="give the path of your checkpoint") from None
    except UnicodeEncodeError:
        raise ModelError(f"the name of {path.name!a} is no valid text", hint="rename it") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error


def _check_archive(path: Path) -> None:
    """Refuses archives of another kind, compressed ones, which may unpack to any size, and damaged ones.

    torch itself does not look at an archive's checksums.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_entries(archive.infolist(), path)
            damaged = archive.testzip()
    except ModelError:
        raise
    except Exception as error:  # a damaged archive can make the reader fail in many ways
        raise ModelError(f"{path} is cut short or damaged", hint="fetch it again") from error
    if damaged:
        raise ModelError(f"{path} is damaged: a checksum in it is wrong", hint="fetch it again")


def _check_entries(entries: Sequence[zipfile.ZipInfo], path: Path) -> None:
    if not any(entry.filename.endswith("/data.pkl") for entry in entries):
        raise ModelError(
            f"{path} is a ZIP archive, not a checkpoint", hint="unpack it, and import what is in it"
        )
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
        raise ModelError(f"{path} is a compressed archive, as torch.save never writes it", hint=_ALONE)
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise ModelError(f"{path} says that it holds more than {MAX_BYTES >> 20} MiB", hint=_ALONE)


def _safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        words = " ".join(str(error).split())[:200]
        raise ModelError(f"{path} is a damaged safetensors file: {words}", hint="fetch it again") from error


def _torch(path: Path, *, mapped: bool) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's about its own formats
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except Exception as error:
            # A hostile or damaged file can make the reader fail in any way.
            raise _unread(path, error) from error


def _unread(path: Path, error: Exception) -> ModelError:
    foreign = re.search(r"GLOBAL ([\w.]+) (?:was not an allowed|whose module)", str(error))
    if foreign:
        return ModelError(f"{path} holds a Python object ({foreign[1]}), which is never loaded", hint=_ALONE)
    if isinstance(error, pickle.UnpicklingError) and "TorchScript" not in str(error):
        return ModelError(f"{path} is no checkpoint, or holds more than weights and plain values", hint=_WHAT)
    return ModelError(f"{path} is no checkpoint that torch can read, or is cut short", hint=_WHAT)


def _state(content: Any, path: Path) -> dict[str, Tensor]:
    """The named tensors in what was read."""
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} holds a {type(content).__name__}, not named weights", hint=_ALONE)
    inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), content)
    for name, value in inner.items():
        if not (isinstance(name, str) and _NAME.fullmatch(name)):
            raise ModelError(f"{path} holds {ascii(name)[:80]}, which is no name of weights", hint=_ALONE)
        if type(value) not in (Tensor, nn.Parameter):
            raise ModelError(f"{path}: {name} is a {type(value).__name__}, not weights", hint=_ALONE)
        if value.layout != torch.strided or value.device.type != "cpu" or value.is_quantized:
            raise ModelError(f"{path}: {name} is not stored as plain numbers", hint=_ALONE)
    parallel = bool(inner) and all(name.startswith(_PARALLEL) for name in inner)
    start = len(_PARALLEL) if parallel else 0
    return {name[start:]: value.detach() for name, value in inner.items()}
