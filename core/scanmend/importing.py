"""Takes in weights of a person's own: checked by name and shape, tried, converted, and given a card.

Only networks that Scanmend has itself are known, so a file brings numbers and never code.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from scanmend_models.mimo_unet import published
from torch import Tensor, nn

from scanmend import cards, checkpoints, own
from scanmend.cards import Card
from scanmend.errors import ModelError

_ACCEPTED = (torch.float32, torch.float16, torch.bfloat16)
"""Kinds of numbers that float32 holds exactly."""
_LARGEST_HALO = 256
_LONGEST_NAME = 64
_MARGIN = 1.5
"""Cuts showed up to a third further in six photographs than in the drawn picture (early `deblur-fast`)."""
_AGREEMENT = 0.1 / 255
"""What a cut may change beyond the halo: a tenth of a grey level."""


def import_file(path: Path, name: str | None = None) -> tuple[Card, bool]:
    """Makes a model of a person's weights.

    Args:
        path: of a checkpoint, as `checkpoints.read` takes it.
        name: of the model; after its network if not given, with a number where that is taken.

    Returns:
        the model's card, and whether it is new: a file that was imported before is there already.

    Raises:
        UsageError: there is no such file.
        ModelError: the file is no checkpoint, its weights are not those of a network that is known,
            the name is taken, or the model cannot be stored. Nothing is left behind then.
    """
    shipped = cards.shipped()
    if name is not None:
        _check_name(name, shipped)
    weights = checkpoints.read(path)
    digest, mine = _sha256(path), cards.own(shipped)[0]
    for card in mine:
        if card.source and card.source.sha256 == digest:
            return _sound(card), False
    state = _checked(weights, path)
    blocks = published.count_blocks(state)
    facts = _facts(state, blocks, _tried(state, blocks, path))
    names = [name] if name else _names(published.short_name(blocks), {card.name for card in shipped})
    with own.staged() as folder:
        kept = _stored(state, folder)
        for card in mine:
            if card.sha256 == kept:  # the same weights in another file
                return _sound(card), False
        for chosen in names:
            text = "\n".join((f'name = "{chosen}"', facts, _weights(kept), _source(path, digest)))
            (folder / "card.toml").write_text(text, encoding="utf-8")
            if own.place(folder, chosen):
                return cards.read(cards.own_folder() / chosen / "card.toml"), True
    taken = f"the name {names[0]} is taken"
    raise ModelError(taken, hint=f"choose another with --name, or: scanmend models remove {names[0]}")


def _sound(card: Card) -> Card:
    cards.verify(card)
    return card


def _stored(state: dict[str, Tensor], folder: Path) -> str:
    """Writes the weights; their SHA-256."""
    file = folder / "weights.safetensors"
    try:
        save_file(state, file)
    except SafetensorError as error:
        raise OSError(" ".join(str(error).split())) from error
    return _sha256(file)


def _check_name(name: str, shipped: tuple[Card, ...]) -> None:
    if not re.fullmatch(cards.NAME, name) or len(name) > _LONGEST_NAME:
        raise ModelError(f"--name must be lower-case letters, digits and hyphens, not {name[:80]!r}")
    if name in {card.name for card in shipped}:
        raise ModelError(
            f"the name {name} is that of a model that ships with Scanmend", hint="choose another"
        )


def _names(usual: str, taken: set[str]) -> list[str]:
    """The names to try, in this order."""
    return [name for name in [usual, *(f"{usual}-{n}" for n in range(2, 100))] if name not in taken]


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()


def _checked(weights: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The weights in float32, each in memory of its own.

    Raises:
        ModelError: names or shapes are not those of a known network, or numbers are no weights.
    """
    if words := published.misfit({name: tuple(value.shape) for name, value in weights.items()}):
        hint = "weights of MIMO-UNet and MIMO-UNet+ can be imported, with the names as published"
        raise ModelError(f"{path}: {words}", hint=hint)
    for name, value in weights.items():
        if value.dtype not in _ACCEPTED:
            kind = str(value.dtype).removeprefix("torch.")
            raise ModelError(f"{path}: {name} holds {kind}, not float32", hint="save the weights in float32")
        if not value.isfinite().all():
            raise ModelError(f"{path}: {name} holds numbers that are infinite or not a number")
    return {name: value.to(torch.float32, copy=True).contiguous() for name, value in weights.items()}


def _tried(state: Mapping[str, Tensor], blocks: int, path: Path) -> int:
    """The halo, from a run of the network with these weights.

    Raises:
        ModelError: what comes out is no picture.
    """
    network = published.build(blocks)
    network.load_state_dict(dict(state))
    with torch.inference_mode():
        picture = _test_picture()
        whole = network(picture)
        if not whole.isfinite().all():
            raise ModelError(f"{path}: a network with these weights returns no numbers")
        return _halo(network, picture, whole)


def _halo(network: nn.Module, picture: Tensor, whole: Tensor) -> int:
    """How far a cut through the picture shows in the result, with a margin: a multiple of 8."""
    middle = picture.shape[3] // 2
    changed = (network(picture[..., middle:]) - whole[..., middle:]).abs().amax(dim=(0, 1, 2))
    seen = int((changed > _AGREEMENT).nonzero().max()) + 1 if (changed > _AGREEMENT).any() else 0
    return min(math.ceil(_MARGIN * seen / 8) * 8 + 8, _LARGEST_HALO)


def _test_picture() -> Tensor:
    """(1, 3, 128, 640): overlapping rectangles, blurred along the rows by 13 pixels, a little noise."""
    rng = torch.Generator().manual_seed(1)
    picture = torch.full((1, 3, 128, 640), 0.5)
    for _ in range(500):
        x, y, width, height = (
            int(torch.randint(low, high, (), generator=rng))
            for low, high in ((-40, 640), (-20, 128), (4, 90), (4, 50))
        )
        color = torch.rand(1, 3, 1, 1, generator=rng)
        picture[..., max(y, 0) : y + height, max(x, 0) : x + width] = color
    blurred = nn.functional.avg_pool2d(picture, (1, 13), 1, (0, 6), count_include_pad=False)
    return (blurred + 0.01 * torch.randn(blurred.shape, generator=rng)).clamp(0, 1)


def _source(path: Path, digest: str) -> str:
    """The card's table of where the weights come from; the file's name may hold anything."""
    date = dt.datetime.now(dt.timezone.utc).date().isoformat()
    return f'[source]\nfile = {_toml(path.name)}\nsha256 = "{digest}"\ndate = "{date}"\n'


def _weights(sha256: str) -> str:
    return f"""[weights]
file = "weights.safetensors"
sha256 = "{sha256}"

[training]
data = "as its author says"
compute = "as its author says"
licence = "unknown: the user's own file"
"""


def _facts(state: Mapping[str, Tensor], blocks: int, halo: int) -> str:
    return f"""stage = "blur"
tier = "best"
title = {_toml(f"{published.describe(blocks)}, imported")}
known_failures = ["Nobody has measured these weights on scans."]

[network]
inputs = {published.INPUTS}
multiple = {published.MULTIPLE}
halo = {halo}
dtypes = ["float32", "bfloat16"]
parameters = {sum(value.numel() for value in state.values())}
macs_per_pixel = {published.macs_per_pixel(blocks)}
architecture = "mimo-unet"
blocks = {blocks}
"""


def _toml(text: str) -> str:
    """A text as TOML writes it: as JSON, but for the one character that JSON leaves bare."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
