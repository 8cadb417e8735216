"""Which scan becomes which file: settled, and checked for clashes, before any work starts."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scanmend import profile as profiles
from scanmend import profile_for
from scanmend.errors import UsageError
from scanmend.formats import SUFFIXES
from scanmend.pipeline import target_for
from scanmend.report import sha256_of, sidecar_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scanmend.cli.inputs import Input
    from scanmend.profile import Profile


@dataclass(frozen=True)
class Job:
    """One scan and the place of its result."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Batch:
    """All jobs of a run.

    Attributes:
        jobs: in order.
        profile: the one to use: a file named with -o has the say about the format.
        remarks: sentences about inputs that were left out.
    """

    jobs: tuple[Job, ...]
    profile: Profile
    remarks: tuple[str, ...] = ()


def settle(inputs: Sequence[Input], out: str | None, profile: Profile, *, overwrite: bool) -> Batch:
    """Names each result.

    Args:
        inputs: what was asked for.
        out: -o: a file for a single scan, a folder, or None.
        profile: names the results.
        overwrite: whether results may be replaced; scans never are.

    Raises:
        UsageError: two scans would get the same result, a result would stand in a scan's place,
            or a single file is to hold several results.
    """
    if out and _names_a_file(out, inputs):
        job = Job(inputs[0].path, Path(out))
        return Batch(_checked([job]), profile_for(profile, Path(out)))
    jobs = _named(inputs, out, profile)
    # A scan that would become itself is no result: `_checked` refuses it.
    results = {_key(job.target) for job in jobs if _key(job.target) != _key(job.source)}
    ours = [item for item in inputs if _key(item.path) in results]
    if overwrite:
        _refuse_unsigned(ours, profile)
    kept = [item for item in inputs if _key(item.path) not in results]
    remarks = tuple(f"{item.path}: left out: it has the name of a result" for item in ours)
    return Batch(_checked(_named(kept, out, profile)), profile, remarks)


def finished(job: Job, profile: Profile) -> bool:
    """Whether the target's sidecar says that this very scan was restored with this very profile.

    Raises:
        FormatError: the scan cannot be read.
    """
    values = _sidecar(job.target)
    wanted = json.loads(json.dumps({"name": profile.name} | profiles.to_dict(profile)))
    return values.get("profile") == wanted and values.get("source_sha256") == sha256_of(job.source)


def _sidecar(target: Path) -> dict[str, Any]:
    try:
        values = json.loads(sidecar_path(target).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _names_a_file(out: str, inputs: Sequence[Input]) -> bool:
    """As `pipeline.target_for`: what exists as a folder, ends in a slash or has no suffix is a folder."""
    path = Path(out)
    if path.is_dir() or out.endswith(("/", os.sep)) or not path.suffix:
        return False
    if len(inputs) == 1 and inputs[0].root is None:
        return True
    if path.is_file() or path.suffix.lower() in SUFFIXES:
        raise UsageError(
            f"{out} is one file, and there are {len(inputs)} scans to restore",
            hint="-o takes a folder for several scans",
        )
    return False


def _named(inputs: Sequence[Input], out: str | None, profile: Profile) -> list[Job]:
    folder = Path(out) if out else None
    return [
        # With a root, `target_for` takes the output for a folder, whatever its name looks like.
        Job(
            item.path,
            target_for(item.path, folder, profile, root=item.root or item.path.parent, index=number),
        )
        for number, item in enumerate(inputs, 1)
    ]


def _checked(jobs: Sequence[Job]) -> tuple[Job, ...]:
    scans = {_key(job.source): job.source for job in jobs}
    taken: dict[str, Path] = {}
    for job in jobs:
        key = _key(job.target)
        if key in scans:
            whose = "itself" if scans[key] == job.source else f"the scan {scans[key]}"
            raise UsageError(
                f"the result of {job.source} would replace {whose}",
                hint="choose another folder with -o, or another output.name",
            )
        if key in taken:
            raise UsageError(
                f"{taken[key]} and {job.source} would both become {job.target}",
                hint="restore them into different folders, or add {index} to output.name",
            )
        taken[key] = job.source
    return tuple(jobs)


def _refuse_unsigned(results: Sequence[Input], profile: Profile) -> None:
    """A file that only looks like a result by its name may be a scan: it is not replaced on that ground."""
    if not profile.output.sidecar:
        return
    for item in results:
        if not sidecar_path(item.path).exists():
            raise UsageError(
                f"{item.path} has the name of a result, but no sidecar, so it may be a scan",
                hint="move it, or choose another folder with -o",
            )


def _key(path: Path) -> str:
    """The same for two paths to one place, whether or not something is there."""
    return os.path.normcase(Path(os.path.realpath(path.parent)) / path.name)
