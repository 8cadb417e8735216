"""The daemon's numbers for Prometheus, made from its snapshot whenever somebody asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
    SummaryMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from scanmend_daemon.pages.say import moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Snapshot = Mapping[str, Any]

_JOB_STATES = {
    "settling": "settling",
    "held": "held",
    "queued": "queued",
    "running": "running",
    "done": "done",
    "failed": "failed_count",
    "skipped": "skipped",
}
_FOLDER_GAUGES = {
    "scanmend_oldest_pending_seconds": ("oldest_pending_s", "How long the oldest scan has waited."),
    "scanmend_free_bytes": ("free_bytes", "Free space where the folder's results go."),
}
_FOLDER_COUNTERS = {
    "scanmend_events_missed": (
        "missed_events",
        "Scans that a look through the folder found first.",
    ),
    "scanmend_watcher_restarts": ("restarts", "How often watching the folder had to begin again."),
}


class Metrics(Collector):
    """Answers scrapes from snapshots.

    Args:
        snapshot: gives the daemon's view of itself; called once a scrape.
    """

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        # A registry of our own: the shared one would add figures of the interpreter nobody asked for.
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def describe(self) -> list[Metric]:
        """Nothing beforehand, so that registering asks for no snapshot."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families, from one snapshot."""
        view = self._snapshot()
        yield _info(view)
        yield from _folders(view["folders"])
        yield from _totals(view)

    def text(self, accept: str = "") -> tuple[bytes, str]:
        """The answer to a scrape and its content type, in the format that `accept` prefers."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


def _info(view: Snapshot) -> Metric:
    about = {"version": str(view["version"]), "device": str(view["engine"]["device"])}
    return InfoMetricFamily("scanmend", "What runs here.", value=about)


def _folders(folders: list[Snapshot]) -> Iterator[Metric]:
    jobs = GaugeMetricFamily("scanmend_jobs", "Scans in each state.", labels=["folder", "state"])
    up = GaugeMetricFamily("scanmend_folder_up", "1 where the folder is watched.", labels=["folder"])
    paused = GaugeMetricFamily("scanmend_folder_paused", "1 where the folder is paused.", labels=["folder"])
    polling = GaugeMetricFamily("scanmend_folder_polling", "1 where no events are had.", labels=["folder"])
    looked = GaugeMetricFamily(
        "scanmend_last_scan_timestamp_seconds", "When the folder was last looked through.", labels=["folder"]
    )
    for folder in folders:
        name = [folder["watch"]]
        for state, key in _JOB_STATES.items():
            jobs.add_metric([*name, state], folder[key])
        up.add_metric(name, folder["state"] == "watching")
        paused.add_metric(name, folder["state"] == "paused")
        polling.add_metric(name, folder["by"] == "polling")
        if folder["last_scan"]:
            looked.add_metric(name, moment(folder["last_scan"]).timestamp())
    yield from (jobs, up, paused, polling, looked)
    for metric, (key, about) in _FOLDER_GAUGES.items():
        gauge = GaugeMetricFamily(metric, about, labels=["folder"])
        for folder in folders:
            if folder[key] is not None:
                gauge.add_metric([folder["watch"]], folder[key])
        yield gauge
    for metric, (key, about) in _FOLDER_COUNTERS.items():
        counter = CounterMetricFamily(metric, about, labels=["folder"])
        for folder in folders:
            counter.add_metric([folder["watch"]], folder[key])
        yield counter


def _totals(view: Snapshot) -> Iterator[Metric]:
    counters = view["counters"]
    yield CounterMetricFamily("scanmend_megapixels", "Restored so far.", value=counters["megapixels"])
    failures = CounterMetricFamily("scanmend_failures", "Scans that failed, by error.", labels=["class"])
    for name, count in counters["by_class"].items():
        failures.add_metric([name], count)
    seconds = SummaryMetricFamily("scanmend_job_seconds", "What a job's stages took.", labels=["stage"])
    for stage, (total, count) in counters["stage_seconds"].items():
        seconds.add_metric([stage], count_value=count, sum_value=total)
    reloads = CounterMetricFamily("scanmend_config_reloads", "Configurations read again.", labels=["result"])
    reloads.add_metric(["ok"], counters["config_reloads_ok"])
    reloads.add_metric(["failed"], counters["config_reloads_failed"])
    yield from (failures, seconds, reloads)
    yield GaugeMetricFamily(
        "scanmend_config_ok",
        "0 while the configuration file is not valid.",
        value=not view["config"]["error"],
    )
    engine = GaugeMetricFamily("scanmend_engine_state", "1 for the engine's state.", labels=["state"])
    for state in ("ready", "starting", "down", "idle"):
        engine.add_metric([state], view["engine"]["state"] == state)
    yield engine
