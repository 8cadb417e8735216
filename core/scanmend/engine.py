"""Runs the steps of a plan on tiles: the module of the core that runs networks, on torch.

A tile goes through all steps of a plan at once, so a page is read once and written once
whatever the plan holds. bf16 with channels_last is used where the processor or GPU has
bf16 arithmetic (AVX-512 BF16 or AMX; CUDA from Ampere on), float32 elsewhere. A tile that
does not fit into memory is cut into four and tried again.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import importlib.util
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from scanmend import psf, tiling
from scanmend.cards import Card, verify
from scanmend.deconvolve import ITERATIONS, deconvolve
from scanmend.errors import EngineError, ModelError, OutOfMemory
from scanmend.image import FloatArray
from scanmend.plan import Step, Told

TILE = 768
"""Side of a tile in pixels, halo included: smaller ones repeat the halo, larger ones gain nothing more."""
OVERLAP = 16
"""Pixels over which neighbouring tiles fade into each other."""
_SMALLEST_TILE = 96
_REMEMBERED = 32
"""Networks of which it is kept in mind on which backend they run faster: those timed last."""
_HALO_OF_RADIUS = 6
"""Pixels more around a window that deconvolution needs for each pixel of the blur's radius.

With the model's own they keep tiles within 1/255 of the whole picture, as the tests try it.
"""
_CHECK: ContextVar[Callable[[], None]] = ContextVar("_CHECK", default=lambda: None)
"""Called between the layers of whatever runs now; may raise to stop it: a tile takes seconds at times."""


class Network(Protocol):
    """What a backend offers: (1, 3 or 5, h, w) float32 in, (1, 3, h, w) float32 out."""

    def __call__(self, inputs: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Device:
    """Where inference runs, and in what arithmetic."""

    name: str
    dtype: torch.dtype
    why: str

    def __str__(self) -> str:
        return f"{self.name} in {str(self.dtype).removeprefix('torch.')}"


def choose_device(wanted: str = "auto") -> Device:
    """The device for a wish: auto, cpu, mps, cuda or cuda:N.

    Raises:
        EngineError: the device is not there.
    """
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    if wanted == "cpu":
        return _cpu()
    if wanted == "mps" and _has_mps():
        return Device("mps", torch.float32, "Apple GPU")
    kind, _, number = wanted.partition(":")
    if kind == "cuda" and (number.isdecimal() or not number):
        if torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count():
            return _cuda(wanted)
        raise EngineError(f"there is no CUDA device {wanted}", hint="--device auto takes what there is")
    raise EngineError(f"{wanted} is not a device", hint="choose auto, cpu, mps, cuda or cuda:N")


def _cpu() -> Device:
    if any(torch.backends.cpu.get_cpu_capability().startswith(level) for level in ("AVX512", "AMX")):
        fast = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
        if fast:
            return Device("cpu", torch.bfloat16, "the processor computes in bfloat16")
    return Device("cpu", torch.float32, "the processor has no bfloat16 arithmetic")


def _cuda(name: str) -> Device:
    title = torch.cuda.get_device_name(name)
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return Device(name, torch.bfloat16, title)
    return Device(name, torch.float32, f"{title}, which has no bfloat16 arithmetic")


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def describe_device(wanted: str = "auto") -> str:
    """One sentence for people about where inference would run."""
    device = choose_device(wanted)
    threads = f", {torch.get_num_threads()} threads" if device.name == "cpu" else ""
    return f"{device}{threads}: {device.why}"


class Engine:
    """Networks, loaded once and kept warm, on one device.

    Args:
        device: as `choose_device` takes it.
        backend: auto, torch or openvino (CPU only, where installed).
        tile: side of a tile in pixels, halo included.

    Raises:
        EngineError: the device or the backend is not there.
    """

    def __init__(self, device: str = "auto", *, backend: str = "auto", tile: int = TILE) -> None:
        self.device = choose_device(device)
        self.tile = tile
        self.backend = _choose_backend(backend, self.device)  # auto until the first network is loaded
        self._networks: dict[Path, Network] = {}
        if self.device.name == "cpu":
            keep_freed_memory()

    def network(self, card: Card) -> Network:
        """The card's network, ready to run.

        Raises:
            ModelError: weights are missing, altered or do not fit the network.
        """
        if not self.holds(card):
            self._networks[_key(card)] = self._load(card)
        return self._networks[_key(card)]

    def holds(self, card: Card) -> bool:
        """Whether the card's network is loaded."""
        return _key(card) in self._networks

    def _load(self, card: Card) -> Network:
        if self.backend == "auto":
            self.backend = faster_backend(card, self.device)
        return _network(card, self.device, self.backend)

    def runner(self, steps: Sequence[Step], cards: Sequence[Card], *, grey: bool) -> Runner:
        """Prepares steps for one page.

        Args:
            steps: of a plan, in its order.
            cards: those of the installed models.
            grey: whatever is taken out is grey: it is taken alike from all channels, so that a
                neutral page stays neutral.
        """
        by_name = {card.name: card for card in cards}
        return Runner(self, [(step, by_name[step.model]) for step in steps], grey=grey)


def _key(card: Card) -> Path:
    """What a loaded network is known by: a person may import other weights under the same name."""
    return card.path.with_name(card.sha256) if card.own else card.path


class Runner:
    """A page's steps, applied to one window after another.

    Attributes:
        halo: pixels beyond what is kept that the steps need, added up.
        multiple: side rule of the networks.
    """

    def __init__(self, engine: Engine, steps: Sequence[tuple[Step, Card]], *, grey: bool) -> None:
        self.tile, self.grey = engine.tile, grey
        self._steps = [(step, card, engine.network(card)) for step, card in steps]
        self.halo = sum(_halo(step, card) for step, card in steps)
        self.multiple = math.lcm(*(card.multiple for _, card in steps))
        self.overlap = min(OVERLAP, self.halo) // 2 * 2

    def band(
        self,
        window: FloatArray,
        *,
        done: Callable[[float], None] = lambda _pixels: None,
        check: Callable[[], None] = lambda: None,
    ) -> FloatArray:
        """Restores a band of rows over the page's whole width, tile by tile.

        Args:
            window: (h, W, 1 or 3) float32 in [0, 1], the halo's rows included.
            done: called with pixels as they are finished: a tile's, shared out among the passes that it
                takes; may raise to stop.
            check: called much more often, within tiles; may raise to stop.

        Returns:
            As the window; rows within the halo of a cut are not final.
        """
        _height, width, _channels = window.shape
        result = np.zeros_like(window)
        passes = sum(_passes(step) for step, _card, _network in self._steps)
        before = _CHECK.set(check)
        try:
            for span in self.spans(width):
                part = window.shape[0] * (span.keep_to - span.keep_from) / passes
                tile = self._tile(window[:, span.start : span.stop], functools.partial(done, part))
                share = tiling.weights(span, width, self.overlap)[None, :, None]
                result[:, span.start : span.stop] += tile * share
        finally:
            _CHECK.reset(before)
        return result

    def spans(self, width: int) -> tuple[tiling.Span, ...]:
        """The tiles of a band, from left to right."""
        tile = max(self.tile, 2 * self.halo + 8 * self.multiple)
        return tiling.spans(width, tile, self.halo, self.multiple)

    def _tile(self, tile: FloatArray, passed: Callable[[], None]) -> FloatArray:
        planes = torch.from_numpy(np.ascontiguousarray(tile.transpose(2, 0, 1)))[None]
        picture = planes.expand(1, 3, *planes.shape[2:]).contiguous()
        with torch.inference_mode():
            restored = clean = picture
            for step, card, network in self._steps:
                run = _Run(step, card, network, passed)
                restored, clean = self._apply(restored, clean, step, run)
            if self.grey:
                restored = planes + (restored - picture).mean(dim=1, keepdim=True)
        return restored[0].permute(1, 2, 0).numpy()

    def _apply(self, restored: Tensor, clean: Tensor, step: Step, run: _Run) -> tuple[Tensor, Tensor]:
        """One step on both pictures: the one with all at its strength, and the one that later steps see.

        Noise and JPEG's residue are gone from the latter, whatever is to stay: a later step would raise it.
        """
        change = self._neutral(clean - run(clean, step))
        share = self._share(change, step)
        if step.stage not in ("noise", "jpeg"):
            return restored - share, clean - share
        whole = self._neutral(clean - run(clean, step.full)) if step.full else change
        return restored - share, clean - whole

    def _neutral(self, change: Tensor) -> Tensor:
        return _luma(change) if self.grey else change

    def _share(self, change: Tensor, step: Step) -> Tensor:
        """The part of a change that is grey and the part that is colour, each at its strength."""
        color = step.strength if step.color is None else step.color
        grey = step.strength * (1 - step.keep_grain)
        if self.grey:
            return grey * change
        return color * change + (grey - color) * _luma(change)


@dataclass(frozen=True)
class _Run:
    """A step's model at work on one window."""

    step: Step
    card: Card
    network: Network
    passed: Callable[[], None]

    def __call__(self, picture: Tensor, told: Step | Told) -> Tensor:
        """The model's answer, (1, 3, h, w); models of three inputs get the picture alone."""
        if self.step.psf:
            return self._deconvolved(picture, *self.step.psf)
        inputs = picture if self.card.inputs == 3 else _condition(picture, told)
        return _mean_answer(inputs, self.card, self.network, self.step.passes, self.passed)

    def _deconvolved(self, picture: Tensor, kind: str, radius: float) -> Tensor:
        def denoised(answer: Tensor, level: float) -> Tensor:
            free = _in_pieces(_condition(answer, Told(level)), self.card, self.network)
            self.passed()
            return free

        kernel = psf.parametric(kind, radius)
        return deconvolve(picture, kernel, sigma=self.step.sigma, denoise=denoised, check=_CHECK.get())


def _halo(step: Step, card: Card) -> int:
    """Pixels around a window that a step looks at."""
    return card.halo + math.ceil(_HALO_OF_RADIUS * step.psf[1]) if step.psf else card.halo


def _passes(step: Step) -> int:
    """How often a step runs its network on a tile."""
    return ITERATIONS if step.psf else step.passes * (2 if step.full else 1)


class TorchNetwork:
    """A network on torch, in the device's arithmetic."""

    def __init__(self, network: nn.Module, device: Device) -> None:
        self.device = device
        self.network = network.to(device.name).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        for layer in network.modules():
            layer.register_forward_pre_hook(lambda _layer, _inputs: _CHECK.get()())

    def __call__(self, inputs: Tensor) -> Tensor:
        moved = inputs.to(self.device.name).contiguous(memory_format=torch.channels_last)
        reduced = self.device.dtype != torch.float32
        with torch.autocast(moved.device.type, self.device.dtype, enabled=reduced):
            restored: Tensor = self.network(moved)
        return restored.float().cpu()


def load_network(card: Card) -> nn.Module:
    """Builds a card's network and loads its weights, checked against the card.

    Raises:
        ModelError: weights are missing, altered or do not fit.
    """
    verify(card)
    network = _built(card)
    try:
        state = load_file(card.weights)
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except (OSError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"the weights of {card.name} do not fit its network: {error}", hint="install Scanmend again"
        ) from error
    return network.eval()


def _built(card: Card) -> nn.Module:
    """The card's network with fresh weights: its own, or the one of Scanmend's that its weights are for."""
    module = importlib.import_module(f"{card.module}.{'published' if card.architecture else 'arch'}")
    network: nn.Module = module.build(card.blocks) if card.architecture else module.build()
    return network


def _network(card: Card, device: Device, backend: str) -> Network:
    network = load_network(card)
    if backend == "torch":
        return TorchNetwork(network, device)
    from scanmend.engine_openvino import OpenVinoNetwork  # noqa: PLC0415 - optional extra

    return OpenVinoNetwork(network, card, reduced=device.dtype == torch.bfloat16)


def _choose_backend(wanted: str, device: Device) -> str:
    """The wish where it can be met; auto stays open only where there is a choice to be measured."""
    if wanted not in ("auto", "torch", "openvino"):
        raise EngineError(f"{wanted} is not a backend", hint="choose auto, torch or openvino")
    installed = importlib.util.find_spec("openvino") is not None
    if wanted == "openvino" and not installed:
        raise EngineError("OpenVINO is not installed", hint="pip install 'scanmend[openvino]'")
    if wanted == "openvino" and device.name != "cpu":
        raise EngineError("the OpenVINO backend runs on the CPU", hint="add --device cpu")
    return "torch" if wanted == "auto" and not (installed and device.name == "cpu") else wanted


def faster_backend(card: Card, device: Device) -> str:
    """Which of torch and OpenVINO runs a card faster on this processor: timed once, then remembered.

    The answer is kept in the user's cache folder under everything that it depends on.
    """
    known = _cache_folder() / "backends.json"
    key = " ".join((card.name, card.sha256[:12], torch.__version__, version("openvino"), _processor()))
    remembered: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError, TypeError):  # unreadable, or not ours
        remembered = dict(json.loads(known.read_text(encoding="utf-8")))
    if remembered.get(key) in ("torch", "openvino"):
        return remembered[key]
    tile = torch.rand(1, card.inputs, 256, 256) / 8
    networks = {name: _network(card, device, name) for name in ("torch", "openvino")}
    seconds = {name: _shortest(network, tile) for name, network in networks.items()}
    fastest = min(seconds, key=lambda name: seconds[name])
    with contextlib.suppress(OSError):
        known.parent.mkdir(parents=True, exist_ok=True)
        latest = dict([*remembered.items(), (key, fastest)][-_REMEMBERED:])
        known.write_text(json.dumps(latest), encoding="utf-8")
    return fastest


def _shortest(network: Network, tile: Tensor) -> float:
    """Shortest of four runs: the one that other programs disturbed least."""
    seconds = []
    with torch.inference_mode():
        network(tile)
        for _ in range(4):
            started = time.perf_counter()
            network(tile)
            seconds.append(time.perf_counter() - started)
    return min(seconds)


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".cache") / "scanmend"


def _processor() -> str:
    kind = platform.processor() or platform.machine()
    return f"{torch.backends.cpu.get_cpu_capability()} {os.cpu_count()} {kind}"


def _condition(picture: Tensor, told: Step | Told) -> Tensor:
    """Stacks the picture with its sigma plane and sigma times correlation: (1, 5, h, w)."""
    tone = nn.functional.avg_pool2d(_luma(picture), 9, stride=1, padding=4, count_include_pad=False)
    table = torch.from_numpy(_sigma_table(told))
    sigma = table[(tone * (len(table) - 1)).round().long().clamp(0, len(table) - 1)]
    return torch.cat((picture, sigma, sigma * told.correlation), dim=1)


def _sigma_table(told: Step | Told) -> FloatArray:
    """Sigma at 256 tones from black to white, interpolated in the measured curve."""
    tones = np.linspace(0, 1, 256)
    if not told.curve:
        return np.full(256, told.sigma, np.float32)
    known, levels = zip(*told.curve, strict=True)
    return np.interp(tones, known, levels).astype(np.float32)


def _luma(picture: Tensor) -> Tensor:
    weights = picture.new_tensor((0.299, 0.587, 0.114)).reshape(1, 3, 1, 1)
    return (picture * weights).sum(dim=1, keepdim=True)


def _mean_answer(
    inputs: Tensor, card: Card, network: Network, passes: int, passed: Callable[[], None]
) -> Tensor:
    """The network's answer, averaged over 1, 4 (quarter turns) or 8 (mirrored as well) views of a window.

    The condition planes turn with the picture. What depends on the direction of view averages out, what
    is in the picture stays: the self-ensemble of Lim et al., doi:10.1109/CVPRW.2017.151.

    Raises:
        EngineError: there is no such number of views.
    """
    if passes not in (1, 4, 8):
        raise EngineError(f"a step takes 1, 4 or 8 passes, not {passes}")
    if passes == 1:
        answer = _in_pieces(inputs, card, network)
        passed()
        return answer
    total = torch.zeros(1, 3, *inputs.shape[2:])
    for view in range(passes):
        turns, mirrored = view % 4, view >= 4
        seen = torch.rot90(inputs.flip(3) if mirrored else inputs, turns, (2, 3)).contiguous()
        answer = torch.rot90(_in_pieces(seen, card, network), -turns, (2, 3))
        total += answer.flip(3) if mirrored else answer
        passed()
    return total / passes


def _in_pieces(inputs: Tensor, card: Card, network: Network) -> Tensor:
    """Runs a window, in four where it does not fit into memory.

    Raises:
        OutOfMemory: not even the smallest piece fits.
    """
    height, width = inputs.shape[2:]
    _CHECK.get()()
    try:
        return network(_padded(inputs, card.multiple))[..., :height, :width]
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise EngineError(f"{card.name} failed: {error}") from error
        if max(height, width) <= _smallest(card):
            raise OutOfMemory(
                "not even a small tile fits into memory",
                hint="close other programs, or choose --device cpu",
            ) from error
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    restored = torch.empty(1, 3, height, width)
    for rows in _halves(height, card):
        for columns in _halves(width, card):
            piece = inputs[..., rows.start : rows.stop, columns.start : columns.stop]
            kept = _in_pieces(piece, card, network)[
                ...,
                rows.keep_from - rows.start : rows.keep_to - rows.start,
                columns.keep_from - columns.start : columns.keep_to - columns.start,
            ]
            restored[..., rows.keep_from : rows.keep_to, columns.keep_from : columns.keep_to] = kept
    return restored


def _margin(card: Card) -> int:
    return -(-card.halo // card.multiple) * card.multiple


def _smallest(card: Card) -> int:
    """The side from which on halves with their margins are smaller than the whole, or a sensible tile."""
    return max(_SMALLEST_TILE + 2 * card.halo, 4 * _margin(card) + 2 * card.multiple)


def _halves(length: int, card: Card) -> tuple[tiling.Span, ...]:
    margin = _margin(card)
    half = -(-length // 2 // card.multiple) * card.multiple
    return tiling.spans(length, max(half + 2 * margin, 2 * margin + card.multiple), card.halo, card.multiple)


def _padded(inputs: Tensor, multiple: int) -> Tensor:
    """Extends right and bottom to the next multiple: mirrored, or repeated where too small to mirror."""
    height, width = inputs.shape[2:]
    down, right = -height % multiple, -width % multiple
    if not (down or right):
        return inputs
    mode = "reflect" if down < height and right < width else "replicate"
    return nn.functional.pad(inputs, (0, right, 0, down), mode=mode)


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    words = str(error).lower()
    return "out of memory" in words or "can't allocate memory" in words or "not enough memory" in words


def keep_freed_memory() -> None:
    """Tells glibc to keep what tiles free: giving it back and faulting it in again costs more than the tile.

    mallopt parameters from malloc.h: M_TRIM_THRESHOLD is -1, M_MMAP_MAX is -4.
    """
    if sys.platform != "linux" or os.environ.get("SCANMEND_MALLOC") == "default":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(-4, 0)
    mallopt(-1, 2**31 - 1)
