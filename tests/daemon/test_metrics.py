"""The numbers for Prometheus, read back by its own parser."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open
from prometheus_client.parser import text_string_to_metric_families as parse
from scanmend_daemon.metrics import Metrics

from tests.daemon import show


def numbers(snapshot: dict[str, Any]) -> dict[tuple[str, tuple[str, ...]], float]:
    text, _ = Metrics(lambda: snapshot).text()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in parse(text.decode())
        for sample in family.samples
    }


def test_every_number_of_the_snapshot_is_there() -> None:
    found = numbers(show.busy_snapshot())

    assert found["scanmend_jobs", (show.INBOX, "queued")] == 37
    assert found["scanmend_jobs", (show.INBOX, "failed")] == 2
    assert found["scanmend_oldest_pending_seconds", (show.INBOX,)] == 640
    assert found["scanmend_job_seconds_sum", ("noise",)] == 27_200.5
    assert found["scanmend_job_seconds_count", ("noise",)] == 1516
    assert found["scanmend_megapixels_total", ()] == 36_541.5
    assert found["scanmend_failures_total", ("DamagedFile",)] == 1
    assert found["scanmend_folder_up", (show.INBOX,)] == 1
    assert found["scanmend_folder_up", (show.NEGATIVES,)] == 0
    assert found["scanmend_events_missed_total", (show.INBOX,)] == 3
    assert found["scanmend_watcher_restarts_total", (show.NEGATIVES,)] == 2
    assert found["scanmend_last_scan_timestamp_seconds", (show.INBOX,)] == 1772359170
    assert found["scanmend_free_bytes", (show.INBOX,)] == 81_200_000_000
    assert found["scanmend_config_reloads_total", ("failed",)] == 1
    assert found["scanmend_config_ok", ()] == 1
    assert found["scanmend_info", ("cpu", "0.1.0")] == 1
    assert found["scanmend_engine_state", ("ready",)] == 1
    assert found["process_resident_memory_bytes", ()] > 2**20


def test_what_is_not_known_is_left_out() -> None:
    found = numbers(show.busy_snapshot())

    assert ("scanmend_free_bytes", (show.NEGATIVES,)) not in found
    assert ("scanmend_oldest_pending_seconds", (show.NEGATIVES,)) not in found


def test_an_invalid_configuration_is_seen() -> None:
    view = show.quiet_snapshot()
    view["config"]["error"] = "watch.yaml, line 7: folders[0].orignals is not a setting"

    assert numbers(view)["scanmend_config_ok", ()] == 0


@given(name=st.text(st.characters(codec="utf-8"), max_size=60))
def test_a_folder_of_any_name_cannot_forge_a_number(name: str) -> None:
    view = show.quiet_snapshot()
    view["folders"][0]["watch"] = name

    found = numbers(view)

    assert found["scanmend_folder_up", (name,)] == 1
    assert len(found) == len(numbers(show.quiet_snapshot()))


def test_openmetrics_is_spoken_to_whoever_prefers_it() -> None:
    text, kind = Metrics(show.busy_snapshot).text("application/openmetrics-text; version=1.0.0")

    names = {family.name for family in parse_open(text.decode())}

    assert kind.startswith("application/openmetrics-text")
    assert {"scanmend_jobs", "scanmend_megapixels", "scanmend"} <= names
