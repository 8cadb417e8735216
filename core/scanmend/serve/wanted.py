"""What a job may ask for: JSON from a front end becomes a frozen value once, or a refusal."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from scanmend.errors import UsageError

MOST_BYTES = 16 * 2**30
"""Bytes of the samples of one picture that travels as pixels."""
MOST_MEGAPIXELS = 1000.0
_SAMPLES = {"uint8": 1, "uint16": 2, "float32": 4}
_CHANNELS = {"none": (1, 3), "straight": (2, 4), "premultiplied": (2, 4)}
_LIMITS = {"megapixels": (int, float), "pages": (int,), "file_bytes": (int,)}
_KINDS = ("restore", "measure", "probe")
_KEYS = {"kind", "source", "target", "profile", "profile_name", "limits", "previews", "want", "attached"}
PLANES = ("difference", "evidence", "removed", "mask")
"""What may be asked for beside the pixels of a result; `difference` and `removed` are made by now."""


@dataclass(frozen=True)
class Pixels:
    """A picture that travels as samples: (H, W, C), little-endian, rows first."""

    height: int
    width: int
    channels: int
    dtype: str
    alpha: Literal["none", "straight", "premultiplied"]
    transfer: Literal["display", "linear"]

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    def part(self, region: tuple[int, int, int, int] | None) -> Pixels:
        """What a part of the picture is; `region` holds x, y, width and height, None stands for all."""
        return replace(self, height=region[3], width=region[2]) if region else self

    @property
    def bytes(self) -> int:
        """Of all samples: what a body has to hold."""
        return self.height * self.width * self.channels * _SAMPLES[self.dtype]


@dataclass(frozen=True)
class Previews:
    """Where small 1:1 crops around the middle go, and their side in pixels."""

    before: str
    after: str
    side: int


@dataclass(frozen=True)
class Wanted:
    """One job as it was asked for.

    Attributes:
        kind: restore, measure or probe.
        path: of the scan; empty where pixels are sent.
        name: what people call the scan, in sentences and in the report.
        pixels: the picture's shape, where pixels are sent.
        region: x, y, width and height of the part of these pixels to restore; None for all.
        target: the path to write the result to; empty for pixels and probes.
        target_name: what the report calls it.
        profile, profile_name: settings as `profile.to_dict` gives them, and what they are called.
        limits: of `formats.Limits`, those that were given.
        previews: where crops go, or None.
        want: planes to make for fetching.
        attached: whether the job ends when nobody listens to its events any more.
    """

    kind: str
    path: str
    name: str
    pixels: Pixels | None = None
    region: tuple[int, int, int, int] | None = None
    target: str = ""
    target_name: str = ""
    profile: Mapping[str, Any] = field(default_factory=dict)
    profile_name: str = ""
    limits: Mapping[str, float] = field(default_factory=dict)
    previews: Previews | None = None
    want: tuple[str, ...] = ()
    attached: bool = False


def read(values: Any) -> Wanted:
    """A job from the JSON of a request.

    Raises:
        UsageError: something is missing, unknown, or of the wrong kind.
    """
    job = _group(values, "the job", _KEYS)
    kind = job.get("kind", "restore")
    if kind not in _KINDS:
        raise UsageError(f"kind {kind!r} is not known", hint="restore, measure or probe")
    source = _group(job.get("source"), "source", {"path", "name", "pixels", "region"})
    pixels = _pixels(source["pixels"]) if "pixels" in source else None
    if (pixels is None) == ("path" not in source):
        raise UsageError("source has either a path or pixels")
    if kind == "probe" and pixels:
        raise UsageError("pixels cannot be probed, only files")
    if kind == "measure" and not pixels:
        raise UsageError("files cannot be measured here, only pixels", hint="scanmend inspect measures files")
    path = "" if pixels else _path(source["path"], "source.path")
    target, target_name = _target(job.get("target"), needed=kind == "restore" and not pixels)
    return Wanted(
        kind=kind,
        path=path,
        name=_text(source.get("name", path or "the picture"), "source.name"),
        pixels=pixels,
        region=_region(source.get("region"), pixels),
        target=target,
        target_name=target_name,
        profile=_group(job.get("profile", {}), "profile", None),
        profile_name=_text(job.get("profile_name", ""), "profile_name"),
        limits=_limits(job.get("limits", {})),
        previews=_previews(job.get("previews")),
        want=_want(job.get("want", []), pixels if kind == "restore" else None),
        attached=job.get("attached", False) is True,
    )


def _group(values: Any, what: str, keys: set[str] | None) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise UsageError(f"{what} must be a JSON object")
    if keys is not None and (unknown := sorted(set(values) - keys)):
        raise UsageError(f"{what} has no {unknown[0]}", hint=f"it has {', '.join(sorted(keys))}")
    return values


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise UsageError(f"{what} must be text")
    return value


def _path(value: Any, what: str) -> str:
    path = _text(value, what)
    try:
        os.fsencode(path)
    except UnicodeEncodeError as error:
        raise UsageError(f"{what} cannot be the name of a file: {error.reason}") from error
    if not Path(path).is_absolute():
        raise UsageError(f"{what} must be absolute: {path!r}")
    return path


def _target(value: Any, *, needed: bool) -> tuple[str, str]:
    if value is None and not needed:
        return "", ""
    group = _group(value, "target", {"path", "name"})
    if not needed:
        raise UsageError("target has no meaning here", hint="results of pixels are fetched, a probe has none")
    path = _path(group.get("path"), "target.path")
    return path, _text(group.get("name", path), "target.name")


def _pixels(value: Any) -> Pixels:
    group = _group(value, "source.pixels", {"shape", "dtype", "alpha", "transfer"})
    shape, dtype = group.get("shape"), group.get("dtype")
    alpha, transfer = group.get("alpha", "none"), group.get("transfer", "display")
    if not isinstance(shape, list) or len(shape) != 3 or not all(_whole(side) for side in shape):
        raise UsageError("source.pixels.shape must be [height, width, channels], whole numbers from 1 on")
    if dtype not in _SAMPLES:
        raise UsageError(f"samples of type {dtype!r} are not understood", hint="uint8, uint16 or float32")
    if alpha not in _CHANNELS or transfer not in ("display", "linear"):
        raise UsageError("source.pixels.alpha is none, straight or premultiplied, transfer display or linear")
    if shape[2] not in _CHANNELS[alpha]:
        wanted = " or ".join(map(str, _CHANNELS[alpha]))
        raise UsageError(f"pictures with alpha {alpha} have {wanted} channels, not {shape[2]}")
    pixels = Pixels(shape[0], shape[1], shape[2], dtype, alpha, transfer)
    if pixels.height * pixels.width > MOST_MEGAPIXELS * 1e6 or pixels.bytes > MOST_BYTES:
        raise UsageError(
            f"a picture of {pixels.width} x {pixels.height} pixels is larger than {MOST_MEGAPIXELS:.0f} MP"
        )
    return pixels


def _region(value: Any, pixels: Pixels | None) -> tuple[int, int, int, int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 4 or not all(map(_at_least_0, value)):
        raise UsageError("source.region must be [x, y, width, height], whole numbers")
    if pixels is None:
        raise UsageError("source.region is for pixels: files are restored whole")
    x, y, width, height = value
    if not (width and height and x + width <= pixels.width and y + height <= pixels.height):
        raise UsageError(
            f"source.region {value} leaves the picture, which has {pixels.width} x {pixels.height} pixels"
        )
    return x, y, width, height


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= 2**31


def _at_least_0(value: Any) -> bool:
    return _whole(value) or (isinstance(value, int) and not isinstance(value, bool) and value == 0)


def _limits(value: Any) -> dict[str, float]:
    group = _group(value, "limits", set(_LIMITS))
    for key, number in group.items():
        if not isinstance(number, _LIMITS[key]) or isinstance(number, bool) or not 0 < number < math.inf:
            raise UsageError(f"limits.{key} must be a number above 0")
    return group


def _previews(value: Any) -> Previews | None:
    if value is None:
        return None
    group = _group(value, "previews", {"before", "after", "side"})
    side = group.get("side", 320)
    if not _whole(side) or not 16 <= side <= 4096:
        raise UsageError("previews.side must be a whole number from 16 to 4096")
    before = _path(group.get("before"), "previews.before")
    return Previews(before, _path(group.get("after"), "previews.after"), side)


def _want(value: Any, pixels: Pixels | None) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(plane, str) for plane in value):
        raise UsageError("want must be a list of names")
    if unknown := [plane for plane in value if plane not in PLANES]:
        raise UsageError(f"{unknown[0]} cannot be asked for", hint=f"there is {', '.join(PLANES)}")
    if value and pixels is None:
        raise UsageError("planes can be asked for where pixels are sent, not for files")
    return tuple(value)
