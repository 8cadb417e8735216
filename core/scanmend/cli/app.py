"""The commands and their options, and nothing else; each imports what it does when it runs.

rich's help pages would double the time that `--help` takes, so Typer's plain ones are used.
"""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

_HELP = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    help="Restores old scanned photographs: measures first, removes grain and noise, keeps everything else.",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_HELP,
)
profile_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Lists, shows and checks profiles."
)
models_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Lists, verifies and evaluates the models."
)
train_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Trains the models that ship.")
app.add_typer(profile_app, name="profile")
app.add_typer(models_app, name="models")
app.add_typer(train_app, name="train")
service_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Has the system start the hot folder."
)
app.add_typer(service_app, name="service")
plugin_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Brings Scanmend into other programs: GIMP."
)
app.add_typer(plugin_app, name="plugin")


class Quality(str, Enum):
    """Which models run."""

    fast = "fast"
    best = "best"


class Backend(str, Enum):
    """What runs the networks."""

    auto = "auto"
    torch = "torch"
    openvino = "openvino"


Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="IN",
        help="Scans, folders of scans, or patterns such as '*.tif'. After -- a name may begin with a dash.",
        show_default=False,
    ),
]
ProfileName = Annotated[
    str, typer.Option("-p", "--profile", metavar="NAME|FILE", help="A profile's name or file.")
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Changes one setting of the profile, such as noise.strength=0.6. May be repeated.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Prints JSON on standard output, for programs.")]
Device = Annotated[
    str, typer.Option("--device", metavar="DEVICE", help="What computes: auto, cpu, cuda, cuda:1 or mps.")
]
Recursive = Annotated[
    bool, typer.Option("--recursive/--no-recursive", help="Whether folders inside folders count.")
]


def _version(wanted: bool) -> None:  # noqa: FBT001 - Typer calls it
    if wanted:
        import scanmend  # noqa: PLC0415

        typer.echo(f"scanmend {scanmend.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Prints the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Shows where an error came from; may stand anywhere.")
    ] = False,
) -> None:
    del version, debug  # `failures.take_debug` has read --debug, so that it may stand after the command too


@app.command()
def restore(
    context: typer.Context,
    inputs: Inputs,
    *,
    out: Annotated[
        str | None,
        typer.Option(
            "-o", "--out", metavar="FILE|DIR", help="Where results go; beside their scans if not given."
        ),
    ] = None,
    profile: ProfileName = "gentle",
    settings: Settings = None,
    device: Device = "auto",
    quality: Annotated[
        Quality | None, typer.Option("--quality", help="Which models run; the profile says, if not given.")
    ] = None,
    backend: Annotated[Backend, typer.Option("--backend", help="What runs the networks.")] = Backend.auto,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replaces results that are there already; never the scan.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Measures, prints what would be done, writes nothing.")
    ] = False,
    json: Json = False,
    recursive: Recursive = True,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Prints errors only.")] = False,
) -> None:
    """Restores scans: one file, several, or whole folders."""
    from scanmend.cli import restore as command  # noqa: PLC0415

    chosen = [*(settings or []), *([f"quality={quality.value}"] if quality else [])]
    request = command.Request(
        inputs=tuple(inputs),
        out=out,
        profile=profile,
        settings=tuple(chosen),
        device=device,
        backend=backend.value,
        overwrite=overwrite,
        dry_run=dry_run,
        json=json,
        recursive=recursive,
        quiet=quiet,
        debug=bool(context.obj),
    )
    raise typer.Exit(command.run(request))


@app.command()
def inspect(
    context: typer.Context,
    inputs: Inputs,
    *,
    profile: ProfileName = "gentle",
    settings: Settings = None,
    json: Json = False,
    recursive: Recursive = True,
) -> None:
    """Says what a scan holds, what was measured on it, and what would be done."""
    from scanmend.cli import inspect as command  # noqa: PLC0415

    raise typer.Exit(
        command.run(
            inputs,
            profile=profile,
            settings=settings or (),
            json=json,
            recursive=recursive,
            debug=bool(context.obj),
        )
    )


@profile_app.command("list")
def profile_list(*, json: Json = False) -> None:
    """Lists the profiles that have a name."""
    from scanmend.cli import profile as command  # noqa: PLC0415

    command.list_all(json=json)


@profile_app.command("show")
def profile_show(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A profile's name or file.")],
    *,
    settings: Settings = None,
    json: Json = False,
) -> None:
    """Prints a profile with every setting, also those that its file leaves out."""
    from scanmend.cli import profile as command  # noqa: PLC0415

    command.show(name, settings or (), json=json)


@profile_app.command("check")
def profile_check(
    files: Annotated[list[str], typer.Argument(metavar="FILE", help="Profiles to check.")],
    *,
    json: Json = False,
) -> None:
    """Says whether profiles are valid, and if not, which line to change."""
    from scanmend.cli import profile as command  # noqa: PLC0415

    raise typer.Exit(command.check(files, json=json))


@profile_app.command("schema")
def profile_schema() -> None:
    """Prints the JSON Schema of profiles, for editors."""
    from scanmend.cli import profile as command  # noqa: PLC0415

    command.schema()


@profile_app.command("new")
def profile_new(
    name: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="The new profile's name, or its file (.yaml).")
    ],
    *,
    source: Annotated[
        str, typer.Option("--from", metavar="NAME|FILE", help="The profile to start from.")
    ] = "gentle",
) -> None:
    """Writes a new profile, which you then edit."""
    from scanmend.cli import profile as command  # noqa: PLC0415

    command.new(name, source)


@models_app.command("list")
def models_list(*, json: Json = False) -> None:
    """Lists the installed models: stage, tier, size, licence, training data."""
    from scanmend.cli import models as command  # noqa: PLC0415

    command.list_all(json=json)


@models_app.command("verify")
def models_verify(*, json: Json = False) -> None:
    """Compares each model's weights with the hash on its card."""
    from scanmend.cli import models as command  # noqa: PLC0415

    raise typer.Exit(command.verify(json=json))


@models_app.command("import")
def models_import(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A checkpoint: .pkl, .pt, .pth or .safetensors.")
    ],
    *,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="What the model is to be called.", show_default=False),
    ] = None,
    json: Json = False,
) -> None:
    """Takes in weights of your own: those of MIMO-UNet or MIMO-UNet+ as their authors publish them."""
    from scanmend.cli import models as command  # noqa: PLC0415

    command.import_file(file, name, json=json)


@models_app.command("remove")
def models_remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="As `models list` shows it.")],
    *,
    json: Json = False,
) -> None:
    """Removes a model that you have imported."""
    from scanmend.cli import models as command  # noqa: PLC0415

    command.remove(name, json=json)


class Task(str, Enum):
    """What models are evaluated at."""

    denoise = "denoise"
    deblur = "deblur"


@models_app.command("evaluate")
def models_evaluate(
    task: Annotated[Task, typer.Argument(help="What the models are to take out.")] = Task.denoise,
    *,
    images: Annotated[
        list[str],
        typer.Option("--images", metavar="FOLDER", help="Clean pictures of your own. May be repeated."),
    ],
    model: Annotated[
        list[str] | None,
        typer.Option("--model", metavar="NAME", help="Only this model. May be repeated.", show_default=False),
    ] = None,
    most: Annotated[
        int, typer.Option("--most", min=1, max=500, help="Pictures at most, spread over those found.")
    ] = 40,
    unclipped: Annotated[
        bool, typer.Option("--unclipped", help="For denoise: leaves the noise as it is; scan files clip it.")
    ] = False,
    device: Device = "auto",
    backend: Annotated[Backend, typer.Option("--backend", help="What runs the networks.")] = Backend.auto,
    json: Json = False,
) -> None:
    """Adds noise or blur to your own pictures and tells how well the models take it out, and how fast."""
    from scanmend.cli import models as command  # noqa: PLC0415

    command.evaluate(
        task.value,
        images,
        model or [],
        most=most,
        clipped=not unclipped,
        device=device,
        backend=backend.value,
        json=json,
    )


@train_app.callback()
def _train() -> None:
    """Trains the models that ship."""


TrainingData = Annotated[
    list[Path],
    typer.Option("--data", metavar="FOLDER", help="A folder of clean pictures. May be repeated."),
]


RunFolder = Annotated[
    Path,
    typer.Option("-o", "--out", metavar="RUN", help="The run's folder; a run that is there is continued."),
]
Minutes = Annotated[
    float, typer.Option("--minutes", min=0.01, help="Training time, over all parts of a continued run.")
]
Tier = Annotated[Quality, typer.Option("--tier", help="Which of the networks.")]
Init = Annotated[
    Path | None, typer.Option("--init", metavar="FILE", help="Weights to start from instead of fresh ones.")
]
Batch = Annotated[int, typer.Option("--batch", min=1, max=4096, help="Crops of one step.")]
Patch = Annotated[int, typer.Option("--patch", min=32, max=1024, help="A crop's side in pixels.")]
LatePatch = Annotated[
    int,
    typer.Option(
        "--late-patch",
        min=0,
        max=1024,
        help="Side in the last 30 % of the time, fewer crops; 0: --patch.",
    ),
]
Rate = Annotated[
    float, typer.Option("--rate", min=1e-6, max=1.0, help="Peak learning rate of hidden layers.")
]
TrainingSeed = Annotated[int, typer.Option("--seed", min=0, help="Of weights, pictures, crops and damage.")]
Compiled = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="Compiles the network; by default on CUDA, where it pays."),
]


@train_app.command("grain")
def train_grain(
    *,
    data: TrainingData,
    out: RunFolder,
    minutes: Minutes,
    tier: Tier = Quality.fast,
    init: Init = None,
    device: Device = "auto",
    batch: Batch = 8,
    patch: Patch = 128,
    late_patch: LatePatch = 0,
    rate: Rate = 0.02,
    seed: TrainingSeed = 1,
    compiled: Compiled = None,
) -> None:
    """Trains the network that removes grain and noise."""
    from scanmend.cli import train as command  # noqa: PLC0415

    sizes = {"batch": batch, "patch": patch, "late_patch": late_patch}
    numbers = {"minutes": minutes, "rate": rate, "seed": seed, "compile": compiled, **sizes}
    command.network(f"grain_{tier.value}", data, out, init=init, device=device, settings=numbers)


@train_app.command("deblur")
def train_deblur(
    *,
    data: TrainingData,
    out: RunFolder,
    minutes: Minutes,
    tier: Tier = Quality.fast,
    init: Init = None,
    device: Device = "auto",
    batch: Batch = 8,
    patch: Patch = 128,
    late_patch: LatePatch = 0,
    rate: Rate = 0.02,
    seed: TrainingSeed = 1,
    compiled: Compiled = None,
) -> None:
    """Trains the network that removes blur: shake, defocus, soft optics."""
    from scanmend.cli import train as command  # noqa: PLC0415

    sizes = {"batch": batch, "patch": patch, "late_patch": late_patch}
    numbers = {"minutes": minutes, "rate": rate, "seed": seed, "compile": compiled, **sizes}
    command.network(f"deblur_{tier.value}", data, out, init=init, device=device, settings=numbers)


@train_app.command("meter")
def train_meter(
    *,
    data: TrainingData,
    out: Annotated[
        Path,
        typer.Option(
            "-o", "--out", metavar="RUN", help="The run's folder; a run that is there is continued."
        ),
    ],
    count: Annotated[
        int, typer.Option("--count", min=100, max=1_000_000, help="Pictures with noise to be drawn.")
    ] = 12_000,
    steps: Annotated[
        int, typer.Option("--steps", min=200, max=1_000_000, help="Of training, 64 pictures each.")
    ] = 8000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of weights, pictures, crops and noise.")] = 1,
) -> None:
    """Trains the network that measures noise."""
    from scanmend.cli import train as command  # noqa: PLC0415

    command.meter("noise_meter", data, out, count=count, steps=steps, seed=seed)


@train_app.command("blur-meter")
def train_blur_meter(
    *,
    data: TrainingData,
    out: RunFolder,
    count: Annotated[
        int, typer.Option("--count", min=100, max=1_000_000, help="Pictures to be drawn, most with blur.")
    ] = 12_000,
    steps: Annotated[
        int, typer.Option("--steps", min=200, max=1_000_000, help="Of training, 64 pictures each.")
    ] = 8000,
    seed: TrainingSeed = 1,
) -> None:
    """Trains the network that measures blur."""
    from scanmend.cli import train as command  # noqa: PLC0415

    command.meter("blur_meter", data, out, count=count, steps=steps, seed=seed)


@train_app.command("samples")
def train_samples(
    *,
    data: TrainingData,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="SHEET", help="The sheet to write, .png.")],
    scans: Annotated[
        list[Path] | None,
        typer.Option("--scans", metavar="FOLDER", help="Real scans to lay beside. May be repeated."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of crops and noise.")] = 1,
) -> None:
    """Draws what training shows the network: a row of samples for each kind of damage."""
    from scanmend.cli import train as command  # noqa: PLC0415

    command.samples(data, out, scans=scans or [], seed=seed)


@app.command()
def serve(
    *,
    socket: Annotated[
        str | None,
        typer.Option(
            "--socket",
            metavar="PATH",
            help="Where to listen, if not in the runtime folder.",
            show_default=False,
        ),
    ] = None,
    tcp: Annotated[
        int | None,
        typer.Option(
            "--tcp",
            metavar="PORT",
            min=0,
            max=65535,
            help="Listens on 127.0.0.1 instead, with a token; 0 takes any port.",
            show_default=False,
        ),
    ] = None,
    idle_exit: Annotated[
        float,
        typer.Option(
            "--idle-exit", metavar="SECONDS", min=0, help="Ends after so long without work; 0: never."
        ),
    ] = 600,
    device: Device = "auto",
    backend: Annotated[Backend, typer.Option("--backend", help="What runs the networks.")] = Backend.auto,
    jobs: Annotated[
        str, typer.Option("--jobs", metavar="auto|N", help="Scans at once, each in a process of its own.")
    ] = "auto",
    memory: Annotated[
        str, typer.Option("--memory", metavar="auto|SIZE", help="Most memory of a worker: 6GiB, or 50%.")
    ] = "auto",
    patience: Annotated[
        float,
        typer.Option(
            "--patience",
            metavar="SECONDS",
            min=0.1,
            help="Ends a worker that makes no progress for so long, and two more for each megapixel.",
        ),
    ] = 60,
) -> None:
    """Runs the engine for the hot folder and other programs, with the networks kept loaded."""
    from scanmend.cli import serve as command  # noqa: PLC0415

    raise typer.Exit(
        command.run(
            socket=socket,
            tcp=tcp,
            idle_exit=idle_exit,
            device=device,
            backend=backend.value,
            jobs=jobs,
            memory=memory,
            patience=patience,
        )
    )


@app.command()
def doctor(*, json: Json = False) -> None:
    """Checks the installation: each line is ok, or says what to do."""
    from scanmend.cli import doctor as command  # noqa: PLC0415

    raise typer.Exit(command.run(json=json))


State = Annotated[
    Path | None,
    typer.Option(
        "--state", metavar="FOLDER", help="The daemon's state folder, if it is not in its usual place."
    ),
]
HotFolders = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FOLDER]...", help="Hot folders; all of them if none is named."),
]
Jobs = Annotated[
    list[str] | None,
    typer.Argument(metavar="[FILE|JOB]...", help="Scans, or the job numbers that scanmend status prints."),
]


@app.command()
def watch(
    place: Annotated[
        str | None,
        typer.Argument(
            metavar="[FOLDER|CONFIG]",
            help="A folder to watch, or a configuration; your watch.yaml if not given.",
            show_default=False,
        ),
    ] = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Says whether the configuration is in order, and ends.")
    ] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Ends when every scan that lies there is done.")
    ] = False,
) -> None:
    """Watches folders, and restores every scan dropped into them."""
    from scanmend.cli import watch as command  # noqa: PLC0415

    raise typer.Exit(command.run(place, check=check, once=once))


@app.command()
def status(
    file: Annotated[
        str | None, typer.Argument(metavar="[FILE]", help="A scan: why it is where it is, as explain says.")
    ] = None,
    *,
    json: Json = False,
    state: State = None,
) -> None:
    """Says how the hot folders are: queue, current scan, failures, the status page's address."""
    from scanmend.cli import hotfolder as command  # noqa: PLC0415

    raise typer.Exit(command.status(file, json=json, state=state))


@app.command()
def explain(
    file: Annotated[str, typer.Argument(metavar="FILE", help="A scan in a hot folder.")],
    *,
    json: Json = False,
    state: State = None,
) -> None:
    """Says why a scan in a hot folder waits, with which profile it is restored, and under which name."""
    from scanmend.cli import hotfolder as command  # noqa: PLC0415

    command.explain(file, json=json, state=state)


@app.command()
def pause(folders: HotFolders = None, *, json: Json = False, state: State = None) -> None:
    """Pauses hot folders: scans are still noticed, but none is restored."""
    from scanmend.cli import hotfolder as command  # noqa: PLC0415

    raise typer.Exit(command.of_folders("pause", folders or (), json=json, state=state))


@app.command()
def resume(folders: HotFolders = None, *, json: Json = False, state: State = None) -> None:
    """Goes on with hot folders that were paused."""
    from scanmend.cli import hotfolder as command  # noqa: PLC0415

    raise typer.Exit(command.of_folders("resume", folders or (), json=json, state=state))


@app.command()
def retry(
    chosen: Jobs = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Tries all scans again that failed.")] = False,
    json: Json = False,
    state: State = None,
) -> None:
    """Tries scans again that failed in a hot folder."""
    from scanmend.cli import hotfolder as command  # noqa: PLC0415

    raise typer.Exit(command.of_jobs("retry", chosen or (), everything=everything, json=json, state=state))


@app.command()
def cancel(chosen: Jobs = None, *, json: Json = False, state: State = None) -> None:
    """Takes scans out of the queue, also the one that is being restored; the files stay."""
    from scanmend.cli import hotfolder as command  # noqa: PLC0415

    raise typer.Exit(command.of_jobs("cancel", chosen or (), json=json, state=state))


@app.command()
def release(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Scans that are held.")],
    *,
    json: Json = False,
    state: State = None,
) -> None:
    """Lets scans go that a hot folder holds because they look unfinished."""
    from scanmend.cli import hotfolder as command  # noqa: PLC0415

    raise typer.Exit(command.release(files, json=json, state=state))


@app.command()
def reprocess(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[FILE]...", help="Scans that were restored before.")
    ] = None,
    *,
    folder: Annotated[
        str | None, typer.Option("--folder", metavar="FOLDER", help="All scans of this hot folder.")
    ] = None,
    json: Json = False,
    state: State = None,
) -> None:
    """Restores scans of a hot folder anew, with the settings as they are now, under new names."""
    from scanmend.cli import hotfolder as command  # noqa: PLC0415

    raise typer.Exit(command.reprocess(files or (), folder=folder, json=json, state=state))


@app.command()
def verify(folders: HotFolders = None, *, json: Json = False, state: State = None) -> None:
    """Compares originals and results of hot folders with what the ledger knows of them."""
    from scanmend.cli import hotfolder as command  # noqa: PLC0415

    raise typer.Exit(command.of_folders("verify", folders or (), json=json, state=state))


ConfigFile = Annotated[
    str | None,
    typer.Argument(metavar="[CONFIG]", help="The hot folder's configuration; your watch.yaml if not given."),
]
System = Annotated[
    bool, typer.Option("--system", help="For the whole machine, started at boot, instead of for you.")
]
RunsAs = Annotated[
    str,
    typer.Option(
        "--as", metavar="USER", help="With --system, who runs it; the hot folders' owner if not given."
    ),
]


ForEngine = Annotated[
    bool,
    typer.Option(
        "--engine",
        help="Instead of the hot folder the engine, started when a program in a sandbox asks for it.",
    ),
]


@service_app.command("install")
def service_install(
    config: ConfigFile = None, *, system: System = False, user: RunsAs = "", engine: ForEngine = False
) -> None:
    """Has the system start the hot folder: a systemd unit, a launchd agent or a Windows task."""
    from scanmend.cli import service as command  # noqa: PLC0415

    if engine:
        raise typer.Exit(command.engine("install", config, system=system, user=user))
    command.install(config, system=system, user=user)


@service_app.command("uninstall")
def service_uninstall(
    config: ConfigFile = None, *, system: System = False, engine: ForEngine = False
) -> None:
    """Stops the service and takes it away; scans, results and the ledger stay."""
    from scanmend.cli import service as command  # noqa: PLC0415

    if engine:
        raise typer.Exit(command.engine("uninstall", config, system=system))
    command.uninstall(config, system=system)


@service_app.command("status")
def service_status(
    config: ConfigFile = None, *, system: System = False, engine: ForEngine = False, json: Json = False
) -> None:
    """Prints what the system says about the service."""
    from scanmend.cli import service as command  # noqa: PLC0415

    if engine:
        raise typer.Exit(command.engine("status", config, system=system, json=json))
    raise typer.Exit(command.status(config, system=system, json=json))


@service_app.command("show")
def service_show(
    config: ConfigFile = None, *, system: System = False, user: RunsAs = "", engine: ForEngine = False
) -> None:
    """Prints the file that install would write, and writes nothing."""
    from scanmend.cli import service as command  # noqa: PLC0415

    if engine:
        raise typer.Exit(command.engine("show", config, system=system, user=user))
    command.show(config, system=system, user=user)


class Host(str, Enum):
    """Which program a plug-in is for."""

    gimp = "gimp"


HostName = Annotated[Host, typer.Argument(metavar="gimp", help="The program: gimp.")]
WhichGimp = Annotated[
    str | None,
    typer.Option(
        "--gimp",
        metavar="VERSION|FOLDER",
        help="Only GIMPs of this version, such as 3.0, or the one that reads plug-ins from this folder.",
        show_default=False,
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Says what would be done, and changes nothing.")]


@plugin_app.command("install")
def plugin_install(
    host: HostName,
    *,
    gimp: WhichGimp = None,
    dry_run: DryRun = False,
    check: Annotated[
        bool, typer.Option("--check/--no-check", help="Whether each GIMP is started once to try it.")
    ] = True,
    json: Json = False,
) -> None:
    """Finds every GIMP 2.10 and 3 of yours, and puts Filters > Restore into it; replaces an older one."""
    from scanmend.cli import plugin as command  # noqa: PLC0415

    del host  # there is one so far
    raise typer.Exit(command.install(gimp, dry_run=dry_run, check=check, json=json))


@plugin_app.command("uninstall")
def plugin_uninstall(
    host: HostName, *, gimp: WhichGimp = None, dry_run: DryRun = False, json: Json = False
) -> None:
    """Removes what install has written, and nothing else."""
    from scanmend.cli import plugin as command  # noqa: PLC0415

    del host
    raise typer.Exit(command.uninstall(gimp, dry_run=dry_run, json=json))


@plugin_app.command("check")
def plugin_check(host: HostName, *, gimp: WhichGimp = None, json: Json = False) -> None:
    """Starts every GIMP without a window, and asks whether it knows the plug-in and reaches the engine."""
    from scanmend.cli import plugin as command  # noqa: PLC0415

    del host
    raise typer.Exit(command.check(gimp, json=json))
