"""Throughput and memory of the deblurring networks, against the straightforward way to run them.

    python benchmarks/speed/deblur.py [--models deblur-fast mimo-unet-plus] [--tiles N ...] [--rounds N]

Straightforward is eager float32 in PyTorch's own memory layout, with the three scales stacked as the
paper draws them, and memory given back after every layer. The others are what the engine runs. All have
the same weights: the card's, or fresh ones where a network has no card, which the output says; then PSNR
says little. Every variant lives in a process of its own, so that its memory is its own: the peak of the
resident set over what it was with the network loaded. They take turns on the same tile, one at a time; a
ratio is taken round by round, and medians are printed, as Markdown. Megapixels per second count what is
kept of a tile, its halo taken off, as that is what a person gets. Needs Linux, whose kernel keeps the peak.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import multiprocessing
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from scanmend import cards, engine, psf
from scanmend.evaluate import deblur, psnr
from scanmend.image import FloatArray
from scanmend_models.mimo_unet.arch import mimo_unet, mimo_unet_plus
from torch import Tensor, nn

STRAIGHT = "float32, straightforward"
PUBLISHED = {"mimo-unet": mimo_unet, "mimo-unet-plus": mimo_unet_plus}
"""Networks that run without a card, with fresh weights."""
HALO = 64
"""Of those: with published weights the tiled result is within 0.3/255 of the whole."""
TILES = {"deblur-fast": (256, 384, 512, 768, 1024)}
ROUNDS = {"deblur-fast": 7}
FEW_TILES, FEW_ROUNDS = (256, 384, 512), 3
"""For networks that take seconds for a tile."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Throughput and memory of the deblurring networks.")
    parser.add_argument("--models", nargs="+", default=["deblur-fast", "mimo-unet-plus"])
    parser.add_argument("--tiles", type=int, nargs="+")
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    print(engine.describe_device("cpu"))
    for model in options.models:
        tiles = sorted(options.tiles or TILES.get(model, FEW_TILES))
        _compare(model, tiles, options.rounds or ROUNDS.get(model, FEW_ROUNDS))


def _compare(model: str, tiles: Sequence[int], rounds: int) -> None:
    card = _card(model)
    print(
        f"\n{model}{'' if model not in PUBLISHED else ', fresh weights'}; halo {card.halo}; {rounds} rounds\n"
    )
    print("| tile | | time | throughput | ratio | peak memory | to float32 |\n|---|---|---|---|---|---|---|")
    workers = {name: Worker(model, name) for name in _variants()}
    for tile in tiles:
        picture = _picture(tile)
        firsts = {name: worker.run(picture) for name, worker in workers.items()}
        seconds: dict[str, list[float]] = {name: [] for name in workers}
        for _ in range(rounds):
            for name, worker in workers.items():
                seconds[name].append(worker.run(picture).seconds)
        _print(card, tile, firsts, seconds)
    for worker in workers.values():
        worker.stop()


def _print(card: cards.Card, tile: int, firsts: dict[str, Run], seconds: dict[str, list[float]]) -> None:
    exact = firsts[STRAIGHT].result
    kept = max(tile - 2 * card.halo, 0) ** 2 / 1e6
    for name, times in seconds.items():
        middle, first = statistics.median(times), firsts[name]
        ratio = statistics.median(a / b for a, b in zip(seconds[STRAIGHT], times, strict=True))
        error = "" if name == STRAIGHT else f"{psnr(exact, first.result):.1f} dB"
        print(
            f"| {tile} | {name} | {middle:.3f} s | {kept / middle:.3f} MP/s | {ratio:.2f} x"
            f" | {first.peak / 2**20:.0f} MiB, {first.peak / tile**2:.0f} B a pixel | {error} |",
            flush=True,
        )


def _picture(side: int) -> FloatArray:
    """Edges, stripes and shades, out of focus by 3 pixels: (side, side, 3)."""
    down, across = np.mgrid[0:side, 0:side].astype(np.float32)
    scene = 0.4 + 0.2 * np.sin(across / 31) * np.cos(down / 43) + 0.3 * ((down // 40 + across // 56) % 2)
    return deblur.convolved(np.repeat(scene[..., None].astype(np.float32), 3, axis=2), psf.disk(3))


# --- processes ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One tile: the peak is in bytes."""

    seconds: float
    peak: int
    result: FloatArray


class Worker:
    """A variant of a network in a process of its own."""

    def __init__(self, model: str, variant: str) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, model, variant), daemon=True)
        self._process.start()
        self._pipe.recv()  # it is loaded

    def run(self, picture: FloatArray) -> Run:
        self._pipe.send(picture)
        found: Run = self._pipe.recv()
        return found

    def stop(self) -> None:
        self._pipe.send(None)
        self._process.join()


@torch.inference_mode()
def _work(pipe: Connection, model: str, variant: str) -> None:
    network = _variants()[variant](model)
    _give_back()
    loaded = _memory("VmRSS")
    pipe.send("ready")
    while (picture := pipe.recv()) is not None:
        inputs = torch.from_numpy(picture.transpose(2, 0, 1).copy())[None]
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        started = time.perf_counter()
        result = network(inputs)
        seconds = time.perf_counter() - started
        pipe.send(Run(seconds, _memory("VmHWM") - loaded, result[0].permute(1, 2, 0).numpy()))


def _memory(row: str) -> int:
    """A row of the kernel's account of this process, in bytes."""
    rows = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(rows[row].split()[0]) * 1024


def _give_back() -> None:
    ctypes.CDLL(None).malloc_trim(0)


# --- networks ----------------------------------------------------------------------------


class StackedAFF(nn.Module):
    """All scales enlarged, stacked, and convolved: as the paper draws it."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, *scales: Tensor, level: int) -> Tensor:
        size = scales[level].shape[2:]
        stacked = torch.cat([nn.functional.interpolate(x, size=size) for x in scales], dim=1)
        result: Tensor = self.conv(stacked)
        return result


def _straightforward(model: str) -> engine.Network:
    network = _network(model)
    fusions = network.get_submodule("AFFs").children()
    network.AFFs = nn.ModuleList(StackedAFF(fusion.get_submodule("conv")) for fusion in fusions)
    return network


def _torch(model: str) -> engine.Network:
    engine.keep_freed_memory()
    return engine.TorchNetwork(_network(model), engine.choose_device("cpu"))


def _openvino(model: str) -> engine.Network:
    from scanmend.engine_openvino import OpenVinoNetwork  # noqa: PLC0415 - optional extra

    engine.keep_freed_memory()
    reduced = engine.choose_device("cpu").dtype != torch.float32
    return OpenVinoNetwork(_network(model), _card(model), reduced=reduced)


def _variants() -> dict[str, Callable[[str], engine.Network]]:
    reduced = str(engine.choose_device("cpu").dtype).removeprefix("torch.")
    found: dict[str, Callable[[str], engine.Network]] = {STRAIGHT: _straightforward}
    found[f"{reduced} channels_last"] = _torch
    if importlib.util.find_spec("openvino") is not None:
        found[f"{reduced} OpenVINO"] = _openvino
    return found


def _network(model: str) -> nn.Module:
    if model not in PUBLISHED:
        return engine.load_network(_card(model))
    torch.manual_seed(0)
    return PUBLISHED[model]()


def _card(model: str) -> cards.Card:
    if model not in PUBLISHED:
        return cards.find(model)
    return replace(cards.shipped()[0], name=model, stage="blur", inputs=3, multiple=4, halo=HALO)


if __name__ == "__main__":
    main()
