"""Throughput and memory of the networks, against eager float32 of the same network.

    python benchmarks/speed/inference.py [--model grain-fast] [--tiles 256 512 768 1024] [--rounds 7]

All variants take turns in one process on the same tile, so that a noisy machine disturbs them
alike; the ratio to float32 is taken round by round and its median is printed. Megapixels per second
count the kept part of a tile, its halo taken off, as that is what a user gets. PSNR is between a
variant's output and that of float32.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time

import torch
from scanmend import cards, engine


def main() -> None:
    parser = argparse.ArgumentParser(description="Throughput of the networks against eager float32.")
    parser.add_argument("--model", default="grain-fast")
    parser.add_argument("--tiles", type=int, nargs="+", default=[256, 512, 768, 1024])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args()
    card, device = cards.find(options.model), engine.choose_device(options.device)
    print(engine.describe_device(options.device))
    if device.name == "cpu":
        engine.keep_freed_memory()
    variants = _variants(card, device)
    for tile in options.tiles:
        _compare(card, variants, tile, options.rounds)


def _variants(card: cards.Card, device: engine.Device) -> dict[str, engine.Network]:
    """Eager float32 NCHW first: what everything else is measured against."""
    exact = engine.Device(device.name, torch.float32, "")
    plain = engine.load_network(card).to(device.name)
    found: dict[str, engine.Network] = {
        "float32 eager": lambda x: plain(x.to(device.name)).float().cpu(),
        "float32 channels_last": engine.TorchNetwork(engine.load_network(card), exact),
    }
    if device.dtype != torch.float32:
        found[f"{device.dtype} channels_last".removeprefix("torch.")] = engine.TorchNetwork(
            engine.load_network(card), device
        )
    if device.name == "cpu" and importlib.util.find_spec("openvino") is not None:
        from scanmend.engine_openvino import OpenVinoNetwork  # noqa: PLC0415 - optional extra

        reduced = device.dtype != torch.float32
        found["openvino"] = OpenVinoNetwork(engine.load_network(card), card, reduced=reduced)
    return found


@torch.inference_mode()
def _compare(card: cards.Card, variants: dict[str, engine.Network], tile: int, rounds: int) -> None:
    inputs = torch.rand(1, card.inputs, tile, tile, generator=torch.Generator().manual_seed(0))
    inputs[:, 3:] = 0.1
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    outputs = {name: network(inputs) for name, network in variants.items()}  # warm
    for _ in range(rounds):
        for name, network in variants.items():
            started = time.perf_counter()
            network(inputs)
            seconds[name].append(time.perf_counter() - started)
    kept = (tile - 2 * card.halo) ** 2 / 1e6
    reference = next(iter(variants))
    for name, times in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds[reference], times, strict=True))
        error = float((outputs[name] - outputs[reference]).square().mean())
        psnr = f"{-10 * torch.log10(torch.tensor(error)):.1f} dB" if error else "exact"
        print(
            f"tile {tile:5}  {name:24} {kept / statistics.median(times):6.2f} MP/s"
            f"  {ratio:5.2f} x  {psnr} to float32"
        )


if __name__ == "__main__":
    main()
