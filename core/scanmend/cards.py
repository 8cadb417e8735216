"""The installed models, from their cards alone: no network is imported, no weights are read.

A model is a folder of `scanmend_models` with a `card.toml`, the only table of its facts; or a folder of
`own_folder`, where a person's imported weights lie, named as the model is. All keys are required but
`sigma` of a score and what is marked as own, and other keys are errors:

    name = "grain-fast"              # lower case, digits and hyphens; what profiles and reports say
    stage = "noise"                  # the stage of the profile that it serves, or "measure"
    tier = "fast"                    # fast | best
    title = "Fast grain and scanner noise removal"
    known_failures = ["Halftone screens are taken for noise."]

    [network]
    inputs = 5                       # channels: RGB, sigma, sigma times correlation; or numbers
    multiple = 8                     # height and width of a tile are multiples of it
    halo = 64                        # pixels around a tile that the result inside depends on
    dtypes = ["float32", "bfloat16"] # types it may run in; float32, bfloat16, float16
    parameters = 1234567
    macs_per_pixel = 54321           # multiply-accumulates for a pixel of input
    architecture = "mimo-unet"       # own: which of Scanmend's networks the weights are for
    blocks = 20                      # own: residual blocks of each of its stages

    [weights]
    file = "weights.safetensors"     # a file in the same folder
    sha256 = "64 hexadecimal digits"

    [training]
    data = "what it was trained on, and under which licences"
    compute = "hardware and hours"
    licence = "MIT"                  # of the weights

    [[scores]]                       # any number of them, each reproducible
    set = "CBSD68"
    metric = "PSNR dB"
    sigma = 15                       # of the noise, in 1/255; left out where it has no meaning
    value = 33.1
    command = "what reproduces the number"

    [source]                         # own: where the weights come from
    file = "MIMO-UNetPlus.pkl"
    sha256 = "64 hexadecimal digits"
    date = "2026-11-24"              # of the import
"""

from __future__ import annotations

import difflib
import hashlib
import itertools
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from scanmend import places
from scanmend.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # type: ignore[import-not-found,unused-ignore]

PACKAGE = "scanmend_models"
MAX_BYTES = 256 * 1024
Tier = Literal["fast", "best"]
_DTYPES = {"float32", "bfloat16", "float16"}
ARCHITECTURES = {"mimo-unet": "mimo_unet"}
"""What a card may name as its network, and the folder of the package that builds it."""
MOST_BLOCKS = 64
NAME = "[a-z0-9][a-z0-9-]*"
_DIGITS = "64 lower-case hexadecimal digits"
_REMOVE = "scanmend models remove"
_REINSTALL = "install Scanmend again"


@dataclass(frozen=True)
class Score:
    """One measured number; `sigma` is the noise it was measured at, in 1/255, or None."""

    set: str
    metric: str
    sigma: float | None
    value: float
    command: str


@dataclass(frozen=True)
class Source:
    """The file that a person has imported: its name, its SHA-256, and the day (YYYY-MM-DD)."""

    file: str
    sha256: str
    date: str


@dataclass(frozen=True)
class Card:
    """What a model says about itself; the module's head describes each key.

    Attributes:
        weights: the file with the weights; it need not exist until `verify`.
        path: the card's own file.
        architecture: of a person's own weights, one of `ARCHITECTURES`; empty for a model that ships.
        blocks: of that architecture; 0 for a model that ships.
        source: of a person's own weights; None for a model that ships.
    """

    name: str
    stage: str
    tier: Tier
    title: str
    inputs: int
    multiple: int
    halo: int
    dtypes: tuple[str, ...]
    parameters: int
    macs_per_pixel: int
    licence: str
    training_data: str
    training_compute: str
    scores: tuple[Score, ...]
    weights: Path
    sha256: str
    known_failures: tuple[str, ...]
    path: Path
    architecture: str = ""
    blocks: int = 0
    source: Source | None = None

    @property
    def own(self) -> bool:
        """Whether the weights are a person's own: such a model runs only where a profile names it."""
        return self.source is not None

    @property
    def repairs(self) -> bool:
        """Whether it works on pictures in the engine; the others measure, and take numbers."""
        return self.stage != "measure"

    @property
    def module(self) -> str:
        """The package that holds the network, for an import where there is work."""
        return f"{PACKAGE}.{ARCHITECTURES.get(self.architecture, self.path.parent.name)}"


# --- reading -----------------------------------------------------------------------------


class _Table:
    """A TOML table whose keys are taken one by one; what is left at the end is unknown."""

    def __init__(self, values: Mapping[str, Any], path: Path, name: str = "") -> None:
        self._left = dict(values)
        self._path = path
        self._prefix = f"{name}." if name else ""

    def take(self, key: str, allowed: str, fits: Callable[[Any], bool]) -> Any:
        """The value of a key that must be there and fit."""
        if key not in self._left:
            raise ModelError(f"{self._path}: {self._prefix}{key} is missing", hint=f"it must be {allowed}")
        value = self._left.pop(key)
        if not fits(value):
            raise ModelError(f"{self._path}: {self._prefix}{key} must be {allowed}, not {repr(value)[:60]}")
        return value

    def has(self, key: str) -> bool:
        return key in self._left

    def text(self, key: str, pattern: str = r"(?s).*\S.*", allowed: str = "a text") -> str:
        return str(self.take(key, allowed, lambda v: isinstance(v, str) and bool(re.fullmatch(pattern, v))))

    def whole(self, key: str, low: int, high: int) -> int:
        allowed = f"a whole number from {low} to {high}"
        return int(self.take(key, allowed, lambda v: type(v) is int and low <= v <= high))

    def number(self, key: str) -> float:
        return float(self.take(key, "a finite number", lambda v: type(v) in (int, float) and abs(v) < 1e300))

    def texts(
        self, key: str, allowed: str = "a list of texts", among: set[str] | None = None
    ) -> tuple[str, ...]:
        def fits(value: Any) -> bool:
            texts = isinstance(value, list) and all(isinstance(v, str) and v.strip() for v in value)
            return texts and (among is None or (bool(value) and among.issuperset(value)))

        return tuple(self.take(key, allowed, fits))

    def table(self, key: str) -> _Table:
        values = self.take(key, f"a table [{key}]", lambda v: isinstance(v, dict))
        return _Table(values, self._path, f"{self._prefix}{key}")

    def tables(self, key: str) -> tuple[_Table, ...]:
        if not self.has(key):
            return ()
        rows = self.take(
            key,
            f"tables [[{key}]]",
            lambda v: isinstance(v, list) and all(isinstance(row, dict) for row in v),
        )
        return tuple(_Table(row, self._path, f"{self._prefix}{key}[{n}]") for n, row in enumerate(rows))

    def close(self) -> None:
        """Refuses keys that nobody took."""
        for key in self._left:
            raise ModelError(f"{self._path}: {self._prefix}{key} is not a key of a card")


def read(path: Path) -> Card:
    """Reads one card.

    Raises:
        ModelError: it cannot be read, or a key is missing, unknown or does not fit; with file and key.
    """
    top = _Table(_toml(path), path)
    network, weights, training = top.table("network"), top.table("weights"), top.table("training")
    rows = top.tables("scores")
    architecture, blocks = _architecture(network) if network.has("architecture") else ("", 0)
    source = _source(top.table("source")) if top.has("source") else None
    card = Card(
        name=top.text("name", NAME, "lower-case letters, digits and hyphens"),
        stage=top.text("stage", "[a-z]+", "one lower-case word"),
        tier=cast("Tier", top.text("tier", "fast|best", "fast or best")),
        title=top.text("title"),
        known_failures=top.texts("known_failures"),
        inputs=network.whole("inputs", 1, 4096),
        multiple=network.whole("multiple", 1, 256),
        halo=network.whole("halo", 0, 4096),
        dtypes=network.texts("dtypes", f"a list of {', '.join(sorted(_DTYPES))}", _DTYPES),
        parameters=network.whole("parameters", 1, 10**12),
        macs_per_pixel=network.whole("macs_per_pixel", 1, 10**12),
        weights=path.parent / weights.text("file", r"\w[\w.-]*", "the name of a file beside the card"),
        sha256=weights.text("sha256", "[0-9a-f]{64}", _DIGITS),
        training_data=training.text("data"),
        training_compute=training.text("compute"),
        licence=training.text("licence"),
        scores=tuple(_score(row) for row in rows),
        path=path,
        architecture=architecture,
        blocks=blocks,
        source=source,
    )
    for table in (top, network, weights, training, *rows):
        table.close()
    return card


def _score(row: _Table) -> Score:
    return Score(
        set=row.text("set"),
        metric=row.text("metric"),
        sigma=row.number("sigma") if row.has("sigma") else None,
        value=row.number("value"),
        command=row.text("command"),
    )


def _architecture(network: _Table) -> tuple[str, int]:
    words = "|".join(ARCHITECTURES)
    return (
        network.text("architecture", words, f"one of {', '.join(ARCHITECTURES)}"),
        network.whole("blocks", 1, MOST_BLOCKS),
    )


def _source(table: _Table) -> Source:
    source = Source(
        file=table.text("file"),
        sha256=table.text("sha256", "[0-9a-f]{64}", _DIGITS),
        date=table.text("date", r"\d{4}-\d\d-\d\d", "a day as YYYY-MM-DD"),
    )
    table.close()
    return source


def _toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ModelError(f"{path} is larger than {MAX_BYTES // 1024} KiB, so it is no card")
        values: dict[str, Any] = tomllib.loads(data.decode())
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}", hint=_REINSTALL) from error
    # The TOML parser recurses once for each nested bracket.
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{path} is not a TOML file: {error}", hint=_REINSTALL) from error
    return values


# --- finding -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """A model of a person's own that is left out: the name of its folder, and what is wrong with it."""

    name: str
    error: ModelError


def installed() -> tuple[Card, ...]:
    """The cards of all installed models: those that ship, by name, then a person's own that are sound.

    Raises:
        ModelError: a card that ships is not valid, or two such models share a name.
    """
    ours = shipped()
    return (*ours, *own(ours)[0])


def shipped() -> tuple[Card, ...]:
    """The cards of the models that ship; none where their package is missing. Errors as `installed`."""
    spec = find_spec(PACKAGE)
    folders = (spec.submodule_search_locations or ()) if spec else ()
    return tuple(card for folder in folders for card in in_folder(Path(folder)))


def own_folder() -> Path:
    """Where a person's own models lie, a folder for each, named as the model; it need not exist."""
    return places.data_folder() / "models"


def own(ours: tuple[Card, ...] | None = None) -> tuple[tuple[Card, ...], tuple[Fault, ...]]:
    """A person's own models by name, and those that cannot be used: one bad card breaks nothing else.

    Args:
        ours: the models that ship, whose names are taken; read now if not given.
    """
    taken = {card.name for card in (shipped() if ours is None else ours)}
    cards, faults = [], []
    for folder in _own_folders():
        try:
            cards.append(_own_card(folder, taken))
        except ModelError as error:
            hint = f"remove it ({_REMOVE} {folder.name}) and import the file again"
            faults.append(Fault(folder.name, ModelError(error.message, hint=hint)))
    return tuple(cards), tuple(faults)


def _own_folders() -> list[Path]:
    """By name; hidden ones are what is just being written or removed."""
    try:
        return sorted(path for path in own_folder().iterdir() if path.name[0] != "." and path.is_dir())
    except OSError:
        return []  # most people have none


def _own_card(folder: Path, taken: set[str]) -> Card:
    card = read(folder / "card.toml")
    if not (card.architecture and card.own):
        raise ModelError(f"{card.path}: network.architecture and [source] must be there")
    if card.name != folder.name:
        raise ModelError(f"{card.path}: name must be {folder.name}, as the folder's, not {card.name}")
    if card.inputs != 3 or card.multiple % 4:
        raise ModelError(f"{card.path}: network.inputs must be 3, and network.multiple a multiple of 4")
    if card.name in taken:
        raise ModelError(f"{card.path}: the name {card.name} is that of a model that ships with Scanmend")
    return card


def in_folder(folder: Path) -> tuple[Card, ...]:
    """The cards of the models in one folder, by name; errors as `installed`."""
    cards = sorted((read(path) for path in folder.glob("*/card.toml")), key=lambda card: card.name)
    for first, second in itertools.pairwise(cards):
        if first.name == second.name:
            raise ModelError(f"{first.path} and {second.path} both carry the name {first.name}")
    return tuple(cards)


def find(name: str, cards: tuple[Card, ...] | None = None) -> Card:
    """The card of a model.

    Args:
        name: as the card says it.
        cards: where to look; the installed ones if not given.

    Raises:
        ModelError: there is none, with the nearest name; or it is a person's own, and damaged.
    """
    known = {card.name: card for card in (installed() if cards is None else cards)}
    if name in known:
        return known[name]
    for fault in own()[1]:
        if fault.name == name:
            raise fault.error
    near = difflib.get_close_matches(name, known, 1)
    guess = f"; did you mean {near[0]}?" if near else ""
    hint = f"there are {', '.join(known)}" if known else f"no model is installed at all: {_REINSTALL}"
    raise ModelError(f"there is no model {name!r}{guess}", hint=hint)


def verify(card: Card) -> None:
    """Checks that the weights are there and are those of the card.

    Raises:
        ModelError: they are missing, or their SHA-256 is another.
    """
    digest = hashlib.sha256()
    again = f"remove it ({_REMOVE} {card.name}) and import the file again" if card.own else _REINSTALL
    try:
        with card.weights.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise ModelError(
            f"the weights of {card.name} cannot be read: {card.weights}: {error.strerror}", hint=again
        ) from error
    if digest.hexdigest() != card.sha256:
        raise ModelError(
            f"the weights of {card.name} are not those of its card: {card.weights}",
            hint=f"the file was changed or cut short; {again}",
        )
