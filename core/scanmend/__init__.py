"""Restores old scanned photographs: measures first, removes grain and noise, keeps everything else.

    import scanmend

    report = scanmend.restore("scan0001.tif")                  # writes scan0001_restored.tif beside it
    pixels, page = scanmend.restore(array, profile="prints")   # pictures in memory
    print(scanmend.inspect("scan0001.tif").to_dict())

Importing this package loads neither NumPy nor torch; what is used is loaded when it is used.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, overload

from scanmend.errors import (
    Cancelled,
    DamagedFile,
    EngineError,
    FormatError,
    LimitExceeded,
    ModelError,
    OutOfMemory,
    ProfileError,
    PublishError,
    ScanmendError,
    TargetExists,
    UnsupportedFormat,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scanmend.formats.base import Limits
    from scanmend.image import Array
    from scanmend.pipeline import Inspection, Options, Progress
    from scanmend.profile import Profile
    from scanmend.report import PageReport, Report

__all__ = [
    "Cancelled",
    "DamagedFile",
    "EngineError",
    "FormatError",
    "Inspection",
    "LimitExceeded",
    "Limits",
    "ModelError",
    "Options",
    "OutOfMemory",
    "PageReport",
    "Profile",
    "ProfileError",
    "Progress",
    "PublishError",
    "Report",
    "ScanmendError",
    "TargetExists",
    "UnsupportedFormat",
    "UsageError",
    "__version__",
    "inspect",
    "restore",
]

_HOMES = {
    "Inspection": "scanmend.pipeline",
    "Limits": "scanmend.formats.base",
    "Options": "scanmend.pipeline",
    "PageReport": "scanmend.report",
    "Profile": "scanmend.profile",
    "Progress": "scanmend.pipeline",
    "Report": "scanmend.report",
}

if TYPE_CHECKING:
    __version__: str


def __getattr__(name: str) -> Any:
    """Loads a public name from its home when it is first asked for (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - 60 ms

        try:
            value: Any = version("scanmend")
        except PackageNotFoundError:
            value = "unknown"
    elif name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


@overload
def restore(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str] | None = None,
    *,
    profile: Profile | str = "gentle",
    options: Options | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Report: ...
@overload
def restore(
    source: Array, *, profile: Profile | str = "gentle", options: Options | None = None
) -> tuple[Array, PageReport]: ...
def restore(
    source: str | os.PathLike[str] | Array,
    target: str | os.PathLike[str] | None = None,
    *,
    profile: Profile | str = "gentle",
    options: Options | None = None,
    progress: Callable[[Progress], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> Report | tuple[Array, PageReport]:
    """Restores a file, or a picture in memory.

    Args:
        source: a file, which is only read; or pixels (H, W), (H, W, 1) or (H, W, 3), uint8, uint16
            or float in [0, 1].
        target: the result's file, whose ending chooses the format, or a folder, which has to exist;
            named by the profile, beside the scan, if not given. Has no meaning for pixels.
        profile: what to do: a value, a shipped profile's name, or a file.
        options: how to run: device, backend, overwriting, limits.
        progress: called after each pass over a tile of a file.
        cancel: asked often while a file is restored; True stops, and leaves nothing behind.

    Returns:
        For a file a report. For pixels, those restored, of the same shape and type, and a report.

    Raises:
        ScanmendError: one of its classes says what went wrong; nothing was written then.
    """
    from scanmend import pipeline  # noqa: PLC0415 - loads NumPy
    from scanmend import profile as profiles  # noqa: PLC0415

    wanted = profiles.load(profile) if isinstance(profile, str) else profile
    how = options or pipeline.Options()
    if not isinstance(source, (str, os.PathLike)):
        return pipeline.restore(source, wanted, options=how)
    scan, out = _path(source), _path(target) if target else None
    place = pipeline.target_for(scan, out, wanted)
    if place == out:
        wanted = profile_for(wanted, out)
    return pipeline.restore_file(scan, place, wanted, options=how, progress=progress, cancel=cancel)


def inspect(
    source: str | os.PathLike[str], *, profile: Profile | str = "gentle", limits: Limits | None = None
) -> Inspection:
    """Measures a file and plans what a profile would do to it; writes nothing.

    Raises:
        FormatError: the file is no picture that can be read.
        ProfileError: the profile is not valid.
    """
    from scanmend import pipeline  # noqa: PLC0415 - loads NumPy
    from scanmend import profile as profiles  # noqa: PLC0415
    from scanmend.formats.base import Limits  # noqa: PLC0415

    wanted = profiles.load(profile) if isinstance(profile, str) else profile
    return pipeline.inspect_file(_path(source), wanted, limits or Limits())


def profile_for(profile: Profile, target: Path) -> Profile:
    """The profile with the output format that a result's own name asks for.

    Raises:
        UsageError: the profile says another, or the ending says none.
    """
    from scanmend import profile as profiles  # noqa: PLC0415 - loads YAML
    from scanmend.formats import SUFFIXES  # noqa: PLC0415 - loads NumPy

    wanted = SUFFIXES.get(target.suffix.lower())
    if wanted is None:
        known = " ".join(sorted(SUFFIXES))
        raise UsageError(
            f"{target} ends in no format's name", hint=f"choose one of {known}, or end a folder in /"
        )
    if profile.output.format not in ("same", wanted):
        raise UsageError(
            f"the profile {profile.name} writes {profile.output.format.upper()}, not {target.name}",
            hint=f"add --set output.format={wanted}, or change the name",
        )
    if wanted == "bmp":
        return profile
    return profiles.apply_settings(profile, [f"output.format={wanted}"])


def _path(name: str | os.PathLike[str]) -> Path:
    from pathlib import Path  # noqa: PLC0415 - the rest of this module does without

    return Path(name)
