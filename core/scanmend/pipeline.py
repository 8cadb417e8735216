"""From a scan to its published result: open, measure, plan, restore in bands, write, publish."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scanmend import cards as installed_cards
from scanmend import formats, measure, publish, tiling, xmp
from scanmend import plan as planning
from scanmend import profile as profiles
from scanmend.errors import (
    Cancelled,
    FormatError,
    ProfileError,
    PublishError,
    UnsupportedFormat,
    UsageError,
)
from scanmend.formats.base import FormatName, Limits, OutputOptions, Page, ScanFile
from scanmend.image import (
    Alpha,
    Array,
    FloatArray,
    Layout,
    PageData,
    Transfer,
    apply_change,
    change_depth,
    to_float,
)
from scanmend.measure import Facts
from scanmend.plan import Plan
from scanmend.profile import Profile
from scanmend.report import PageReport, Report, sha256_of, sidecar_path

if TYPE_CHECKING:
    from scanmend.cards import Card
    from scanmend.engine import Engine, Runner

_EXTENSIONS: Mapping[str, str] = {
    "tiff": ".tif",
    "png": ".png",
    "jpeg": ".jpg",
    "webp": ".webp",
    "avif": ".avif",
    "bmp": ".bmp",
}
_EIGHT_BIT_ONLY = ("jpeg", "webp", "bmp")
_BAND_BYTES = 224 * 2**20
"""Most bytes of a band's float32 picture: a wide page gets lower bands."""


@dataclass(frozen=True)
class Options:
    """How to run, as opposed to what to do.

    Attributes:
        device: auto, cpu, mps, cuda or cuda:N.
        backend: auto, torch or openvino.
        overwrite: replace a result that is already there.
        limits: what a file may ask for.
    """

    device: str = "auto"
    backend: str = "auto"
    overwrite: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Progress:
    """How far a file is; `done` and `total` in megapixels over all its pages."""

    stage: str
    page: int
    pages: int
    done: float
    total: float


@dataclass(frozen=True)
class Inspection:
    """What a file is, what was measured, and what a profile would do to it."""

    path: Path
    format: str
    pages: tuple[dict[str, Any], ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
        return {
            "file": str(self.path),
            "format": self.format,
            "pages": list(self.pages),
            "notes": list(self.notes),
        }


ProgressCall = Callable[[Progress], None]
CancelCall = Callable[[], bool]
OpenedCall = Callable[[int, float], None]
Region = tuple[int, int, int, int]
"""A part of a picture: x and y of its first pixel, width, height."""


def restore_file(
    source: Path,
    target: Path,
    profile: Profile,
    *,
    options: Options = Options(),
    progress: ProgressCall | None = None,
    cancel: CancelCall | None = None,
) -> Report:
    """Restores one file and publishes the result, with its sidecar, in one step.

    A scan that needs nothing is copied byte for byte. The scan itself is only read.

    Args:
        source: the scan.
        target: where the result goes; its folder has to exist.
        profile: what to do.
        options: how to run.
        progress: called after each pass over a tile.
        cancel: asked often, also within tiles; True stops, and leaves nothing behind.

    Raises:
        ScanmendError: one of the classes of `scanmend.errors`; nothing was published then.
    """
    with _opened(source, target, profile, options, progress=progress, cancel=cancel) as job:
        # the sidecar first: a result is never seen without it
        members = [sidecar_path(target), target] if profile.output.sidecar else [target]
        with publish.staged_together(members, source=source, overwrite=options.overwrite) as staged:
            report = job.render(staged[-1])
            if profile.output.sidecar:
                staged[0].write_bytes(report.sidecar())
    return report


def render_file(
    source: Path,
    part: Path,
    profile: Profile,
    *,
    options: Options = Options(),
    opened: OpenedCall | None = None,
    progress: ProgressCall | None = None,
    cancel: CancelCall | None = None,
) -> Report:
    """Restores one file as `restore_file` does, and leaves publishing to the caller.

    Args:
        source: the scan.
        part: a path at which nothing stands yet; on an error it may be left half written.
        profile: what to do.
        options: how to run; `overwrite` has no meaning here.
        opened: told the pages and the megapixels of the whole file once its header is read.
        progress: called after each pass over a tile.
        cancel: asked often, also within tiles.

    Raises:
        ScanmendError: as `restore_file`.
    """
    with (
        publish.full_disk_in_words(part.parent),
        _opened(source, part, profile, options, opened=opened, progress=progress, cancel=cancel) as job,
    ):
        return job.render(part)


def inspect_file(path: Path, profile: Profile, limits: Limits = Limits()) -> Inspection:
    """Measures a file and plans what a profile would do; writes nothing.

    Raises:
        FormatError: the file is no picture that can be read.
    """
    with formats.open_scan(path, limits) as scan:
        reports = _examine(scan, profile)
        pages = tuple(
            {
                "page": page.index + 1,
                "width": page.layout.width,
                "height": page.layout.height,
                "bits": page.layout.bits,
                "sample": str(page.layout.dtype),
                "color": page.layout.color,
                "alpha": page.layout.alpha,
                "transfer": page.layout.transfer,
                "dpi": list(page.dpi) if page.dpi else None,
                "icc": len(page.icc) if page.icc else 0,
                "orientation": page.orientation,
                "compression": page.compression,
                **_measured(report),
                "refusal": report.refusal,
                "plan": list(planning.describe(report.plan)) if report.facts else [],
            }
            for page, report in zip(scan.pages, reports, strict=True)
        )
        return Inspection(path, scan.format, pages, scan.notes)


def _measured(report: PageReport) -> dict[str, Any]:
    """What was measured about the samples; None each where the page cannot be restored."""
    values = report.facts.to_dict() if report.facts else {}
    return {key: values.get(key) for key in ("noise", "jpeg", "screen", "blur")}


def restore(
    pixels: Array,
    profile: Profile | str = "gentle",
    *,
    options: Options = Options(),
) -> tuple[Array, PageReport]:
    """Restores a picture in memory.

    Args:
        pixels: (H, W), (H, W, 1) or (H, W, 3); uint8, uint16 or float in [0, 1], display curve.
        profile: what to do, as a value, a name or a path.
        options: how to run.

    Returns:
        Pixels of the same shape and type, and what was measured and done.

    Raises:
        UsageError: the array is no picture.
        ScanmendError: as `restore_file`.
    """
    wanted = profiles.load(profile) if isinstance(profile, str) else profile
    result = np.empty_like(pixels)
    return result, render_pixels(pixels, result, wanted, options=options)


def render_pixels(
    pixels: Array,
    result: Array,
    profile: Profile,
    *,
    alpha: Alpha = "none",
    transfer: Transfer = "display",
    facts: Facts | None = None,
    region: Region | None = None,
    options: Options = Options(),
    progress: ProgressCall | None = None,
    cancel: CancelCall | None = None,
) -> PageReport:
    """Restores a picture in memory, band by band, into an array that the caller brings.

    Args:
        pixels: (H, W) or (H, W, C) with C 1 or 3, one more with `alpha`; types as in `restore`.
        result: of the same type, and of the shape of what is rendered; may be a file mapped into memory.
        profile: what to do.
        alpha: whether the last channel is transparency, and of what kind.
        transfer: "linear" for samples in linear light.
        facts: what `measure_pixels` has found in these pixels; measured now if not given.
        region: the part to render, whole if not given. What is measured, and what the networks see
            around the part, is the picture's.
        options: how to run.
        progress: called after each pass over a tile.
        cancel: asked often; True stops, and `result` holds nothing of use then.

    Raises:
        ScanmendError: as `restore`.
    """
    page = _ArrayPage(pixels, alpha, transfer)
    cards = installed_cards.installed()
    facts = facts or measure.measure(page)
    report = PageReport(page.index, facts, planning.make(profile, facts, cards))
    rows = result if result.ndim == 3 else result[..., None]
    x, y, width, height = region or (0, 0, page.layout.width, page.layout.height)
    if not report.plan.steps:
        rows[:] = page.read(y, y + height)[:, x : x + width]
        return report
    engine = shared_engine(options.device, options.backend)
    runner = engine.runner(report.plan.steps, cards, grey=_neutral(report))
    context = runner.halo if page.layout.bits <= 8 else 2 * runner.halo  # the halo leaves less than 1/255
    lines, columns = _row_spans(page.layout, runner), runner.spans(page.layout.width)
    top, bottom = tiling.around(y, y + height, lines, context, runner.multiple)
    left, right = tiling.around(x, x + width, columns, context, runner.multiple)
    seen = page.part((top, bottom), (left, right))
    meter = _Meter("the picture", seen.layout.pixels, 1, progress, cancel)
    done = top - y  # rows of the result
    for band in _restored_bands(seen, seen.layout, runner, meter):
        kept = band[max(-done, 0) : max(height - done, 0), x - left : x - left + width]
        rows[max(done, 0) : max(done, 0) + len(kept)] = kept
        done += len(band)
    return report


def measure_pixels(pixels: Array, *, alpha: Alpha = "none", transfer: Transfer = "display") -> Facts:
    """What a picture in memory says about itself; arguments as `render_pixels` takes them.

    Raises:
        UsageError: the array is no picture.
    """
    return measure.measure(_ArrayPage(pixels, alpha, transfer))


def target_for(
    source: Path, out: Path | None, profile: Profile, *, root: Path | None = None, index: int = 1
) -> Path:
    """Where a scan's result goes.

    Args:
        source: the scan.
        out: a file, a folder (existing, or named without a suffix), or None for the scan's own folder.
        profile: gives the name and the format.
        root: the folder that was asked for; sub-folders below it are mirrored under `out`.
        index: the scan's number in the run, from 1.
    """
    wanted = profile.output.format
    ext = source.suffix if wanted == "same" else _EXTENSIONS[wanted]
    name = profile.output.file_name(stem=source.stem, ext=ext, profile=profile.name, index=index)
    if out is None:
        return source.with_name(name)
    if root is None and out.suffix and not out.is_dir():
        return out
    below = source.parent.relative_to(root) if root else Path()
    return out / below / name


@functools.cache
def shared_engine(device: str, backend: str) -> Engine:
    """The engine that all calls of this process share, with its networks kept warm."""
    from scanmend.engine import Engine  # noqa: PLC0415 - torch is loaded only where there is work

    return Engine(device, backend=backend)


# --- deciding ------------------------------------------------------------------------------


def _examine(scan: ScanFile, profile: Profile, cancel: CancelCall | None = None) -> tuple[PageReport, ...]:
    """Measures and plans each page.

    Raises:
        Cancelled: asked to stop between two pages.
        UnsupportedFormat: something is wished, and no page of the file can be restored. Bilevel
            pages need nothing, so a fax is kept as it is, without a complaint.
    """
    cards = installed_cards.installed()
    reports = tuple(_examine_page(page, profile, cards) for page in _until(scan, cancel))
    refused = [page for page in scan.pages if page.refusal and not page.bilevel]
    if wishes(profile) and refused and all(page.refusal for page in scan.pages):
        raise UnsupportedFormat(f"{scan.path} is {refused[0].refusal}")
    return reports


def wishes(profile: Profile) -> bool:
    """Whether a profile asks for anything, whatever is measured."""
    return any(stage.strength != 0 for stage in profile.stages().values())


def _examine_page(page: Page, profile: Profile, cards: tuple[Card, ...]) -> PageReport:
    if page.refusal:
        return PageReport(page.index, None, Plan(), page.refusal)
    facts = measure.measure(page)
    return PageReport(page.index, facts, planning.make(profile, facts, cards))


def _until(scan: ScanFile, cancel: CancelCall | None) -> Iterator[Page]:
    for page in scan.pages:
        if cancel and cancel():
            raise _stopped(scan.path)
        yield page


def _stopped(what: object) -> Cancelled:
    return Cancelled(f"{what} was not restored: stopped on request")


def _neutral(report: PageReport) -> bool:
    """Whether the page has no colour, in one channel or in three equal ones."""
    return report.facts is not None and report.facts.grey


# --- doing ---------------------------------------------------------------------------------


@contextmanager
def _opened(
    source: Path,
    target: Path,
    profile: Profile,
    options: Options,
    *,
    opened: OpenedCall | None = None,
    progress: ProgressCall | None,
    cancel: CancelCall | None,
) -> Iterator[_Job]:
    """Opens, hashes and measures a scan: all that comes before a result is written."""
    started = time.monotonic()
    before = _stamp(source) if source.exists() else None
    with formats.open_scan(source, options.limits) as scan:
        if opened:
            opened(len(scan.pages), sum(page.layout.pixels for page in scan.pages) / 1e6)
        digest = sha256_of(source)
        pages = _examine(scan, profile, cancel)
        total = sum(scan.pages[page.index].layout.pixels for page in pages if page.plan.steps)
        meter = _Meter(scan.path, total, len(pages), progress, cancel)
        source_now = _Source(digest, before, started)
        yield _Job(scan, target, profile, options, pages=pages, meter=meter, source=source_now)


@dataclass(frozen=True)
class _Source:
    """The scan's bytes: their hash, the file's size and time before it was opened, and when that was."""

    digest: str
    before: tuple[int, int] | None
    started: float


class _Meter:
    """Counts pixels as they are finished; tells who wants to know, and stops when asked to."""

    def __init__(
        self, what: object, total: int, pages: int, progress: ProgressCall | None, cancel: CancelCall | None
    ) -> None:
        self.what, self.total, self.pages = what, total, pages
        self.progress, self.cancel = progress, cancel
        self.done = 0.0

    def check(self) -> None:
        if self.cancel and self.cancel():
            raise _stopped(self.what)

    def add(self, page: int, kept: float, pixels: float) -> None:
        """Counts so many pixels, of which so large a share stays."""
        self.check()
        self.done += pixels * kept
        if self.progress:
            done, total = min(self.done, self.total) / 1e6, self.total / 1e6
            self.progress(Progress("restore", page + 1, self.pages, done, total))


class _Job:
    """One file on its way from scan to staged result."""

    def __init__(
        self,
        scan: ScanFile,
        target: Path,
        profile: Profile,
        options: Options,
        *,
        pages: tuple[PageReport, ...],
        meter: _Meter,
        source: _Source,
    ) -> None:
        self.scan, self.target, self.profile, self.options = scan, target, profile, options
        self.pages, self.meter, self.source = pages, meter, source
        self.cards = installed_cards.installed()
        self.format: FormatName = scan.format if profile.output.format == "same" else profile.output.format
        self.total = meter.total

    def render(self, staged: Path) -> Report:
        """Writes the result to a staged path and tells what was done.

        Raises:
            PublishError: the scan is no longer what was opened.
        """
        report = self._write(staged)
        if self.source.before is None or _stamp(self.scan.path) != self.source.before:
            raise PublishError(
                f"{self.scan.path} changed while it was being restored",
                hint="restore it again when it is complete",
            )
        return report

    def _write(self, staged: Path) -> Report:
        layouts = {page.index: self._layout(page) for page in self.scan.pages if not page.refusal}
        changes = {page.index for page in self.pages if page.plan.steps}
        changes |= {index for index, layout in layouts.items() if layout != self.scan.pages[index].layout}
        engine = shared_engine(self.options.device, self.options.backend) if self.total else None
        if engine:
            for card in self._used_cards():
                engine.network(card)  # backend auto is decided by the first, and the report names it
        report = self._report(engine)
        notes: tuple[str, ...] = ()
        if not changes and self.format == self.scan.format:
            publish.copy_verbatim(self.scan.path, staged)
        else:
            notes = self._write_pages(staged, layouts, changes, engine, report)
        return self._finished(report, notes)

    def _write_pages(
        self,
        staged: Path,
        layouts: Mapping[int, Layout],
        changes: set[int],
        engine: Engine | None,
        report: Report,
    ) -> tuple[str, ...]:
        output = self.profile.output
        encoding = OutputOptions(quality=output.quality, compression=output.compression)
        packet, notes = self._packet(report) if self.total else (self.scan.xmp, ())
        converting = self.format != self.scan.format
        if converting and any(page.refusal for page in self.pages):
            refused = next(page for page in self.pages if page.refusal)
            raise FormatError(
                f"{self.scan.path}, page {refused.index + 1} is {refused.refusal}",
                hint="output.format same keeps such pages as they are",
            )
        wanted = layouts if converting else {index: layouts[index] for index in sorted(changes)}
        data = {index: self._page_data(index, layout, engine) for index, layout in wanted.items()}
        if converting:
            return notes + formats.convert(self.scan, staged, self.format, data, xmp=packet, options=encoding)
        return notes + self.scan.rewrite(staged, data, xmp=packet, options=encoding)

    def _packet(self, report: Report) -> tuple[bytes | None, tuple[str, ...]]:
        """The scan's XMP with what was done added; the scan's own, with a note, where it is malformed."""
        try:
            return xmp.merge(self.scan.xmp, report.xmp_properties()), ()
        except FormatError as error:
            return None, (str(error),)

    def _layout(self, page: Page) -> Layout:
        """The result's layout: the page's own but for the depth that the profile or the format asks for.

        Raises:
            ProfileError: the profile asks for 16 bits in a format that has 8.
        """
        depth = self.profile.output.depth
        if self.format in _EIGHT_BIT_ONLY:
            if depth == 16:
                raise ProfileError(
                    f"output.depth 16 does not fit {self.format}, which has 8 bits",
                    hint="choose output.format tiff or png",
                )
            depth = 8
        if depth in ("same", page.layout.bits):
            return page.layout
        return page.layout.replace(dtype=np.dtype(f"uint{depth}"), bits=depth)

    def _page_data(self, index: int, layout: Layout, engine: Engine | None) -> PageData:
        report, page = self.pages[index], self.scan.pages[index]
        if engine is None or not report.plan.steps:
            return PageData(layout, _plain_bands(page, layout))
        runner = engine.runner(report.plan.steps, self.cards, grey=_neutral(report))
        return PageData(layout, _restored_bands(page, layout, runner, self.meter))

    def _used_cards(self) -> list[Card]:
        used = {step.model for page in self.pages for step in page.plan.steps}
        return [card for card in self.cards if card.name in used]

    def _report(self, engine: Engine | None) -> Report:
        return Report(
            source=self.scan.path,
            target=self.target,
            source_sha256=self.source.digest,
            unchanged=not self.total,
            pages=self.pages,
            megapixels=self.total / 1e6,
            seconds=0.0,
            device=f"{engine.device} ({engine.backend})" if engine else "",
            models={card.name: card.sha256 for card in self._used_cards()},
            profile={"name": self.profile.name} | profiles.to_dict(self.profile),
            notes=self.scan.notes,
        )

    def _finished(self, report: Report, notes: tuple[str, ...]) -> Report:
        restorable = [page for page in self.scan.pages if not page.refusal]
        lowered = [page for page in restorable if self._layout(page).bits < page.layout.bits]
        if lowered:
            notes += (
                f"{lowered[0].layout.bits}-bit samples were reduced to 8 bits in the {self.format} result",
            )
        return replace(
            report,
            unchanged=report.unchanged and all(self._layout(page) == page.layout for page in restorable),
            notes=report.notes + notes,
            seconds=time.monotonic() - self.source.started,
        )


def _plain_bands(page: Page, layout: Layout) -> Iterator[Array]:
    rows = max(1, _BAND_BYTES // (page.layout.width * page.layout.channels * 4))
    for top in range(0, page.layout.height, rows):
        band = page.read(top, min(top + rows, page.layout.height))
        yield change_depth(band, page.layout, layout)


def _restored_bands(page: Page, layout: Layout, runner: Runner, meter: _Meter) -> Iterator[Array]:
    """Restores a page from top to bottom, in bands of the target layout.

    Neighbouring bands fade into each other as tiles do. Rows below a cut are held back until
    the next band has added its share.
    """
    height, half = page.layout.height, runner.overlap // 2
    held: FloatArray | None = None
    rows = _Rows(page)
    for span in _row_spans(page.layout, runner):
        native = rows.window(span.start, span.stop)
        before = to_float(native, page.layout)
        kept = (span.keep_to - span.keep_from) / span.size
        after = runner.band(before, done=functools.partial(meter.add, page.index, kept), check=meter.check)
        after *= tiling.weights(span, height, runner.overlap)[:, None, None]
        top = max(span.keep_from - half, 0) if span.keep_from else 0
        if held is not None:
            after[top - span.start : top - span.start + len(held)] += held
        bottom = span.keep_to - half if span.keep_to < height else height
        final = slice(top - span.start, bottom - span.start)
        yield apply_change(native[final], page.layout, layout, before[final], after[final])
        held = after[bottom - span.start : bottom - span.start + 2 * half].copy()


def _row_spans(layout: Layout, runner: Runner) -> tuple[tiling.Span, ...]:
    """Bands of a tile's rows, of fewer where the page is so wide that memory would grow."""
    fits = _BAND_BYTES // (layout.width * layout.color_channels * 4)
    least = 2 * (-(-runner.halo // runner.multiple) * runner.multiple) + 8 * runner.multiple
    return tiling.spans(layout.height, max(min(runner.tile, fits), least), runner.halo, runner.multiple)


class _Rows:
    """Rows of a page for windows that only move down: what the next one shares is not decoded twice."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._top = 0
        self._held: Array | None = None

    def window(self, top: int, bottom: int) -> Array:
        if self._held is None or top >= self._top + len(self._held):
            self._top, self._held = top, self._page.read(top, bottom)
            return self._held
        end = self._top + len(self._held)
        shared = self._held[top - self._top :]
        fresh = [self._page.read(end, bottom)] if bottom > end else []
        self._top, self._held = top, np.concatenate([shared, *fresh])[: bottom - top]
        return self._held


class _ArrayPage(Page):
    """A picture in memory as a page."""

    def __init__(self, pixels: Array, alpha: Alpha = "none", transfer: Transfer = "display") -> None:
        colors = (1, 3) if alpha == "none" else (2, 4)
        if (
            pixels.ndim not in (2, 3)
            or (pixels.ndim == 3 and pixels.shape[2] not in colors)
            or (pixels.ndim == 2 and alpha != "none")
            or not pixels.size
        ):
            raise UsageError(
                f"an array of shape {pixels.shape} is no picture",
                hint="(H, W), (H, W, 1) or (H, W, 3)" if alpha == "none" else "(H, W, 2) or (H, W, 4)",
            )
        if pixels.dtype not in (np.uint8, np.uint16, np.float16, np.float32, np.float64):
            raise UsageError(
                f"samples of type {pixels.dtype} are not understood", hint="uint8, uint16 or float"
            )
        self._pixels = pixels if pixels.ndim == 3 else pixels[..., None]
        height, width, channels = self._pixels.shape
        self.index = 0
        self.layout = Layout(
            height,
            width,
            channels,
            "grey" if channels < 3 else "rgb",
            pixels.dtype,
            bits=pixels.dtype.itemsize * 8,
            alpha=alpha,
            transfer=transfer,
        )

    def read(self, top: int, bottom: int) -> Array:
        return self._pixels[top:bottom]

    def part(self, rows: tuple[int, int], columns: tuple[int, int]) -> _ArrayPage:
        pixels = self._pixels[rows[0] : rows[1], columns[0] : columns[1]]
        return _ArrayPage(pixels, self.layout.alpha, self.layout.transfer)


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
