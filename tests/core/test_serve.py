"""The engine process as front ends see it: a real server, real workers, real pictures."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image
from scanmend import pipeline, profile, sidecar
from scanmend.pipeline import Options
from scanmend.serve.client import EngineFault

from .serving import STRONG, Server, noisy, scan_file, serving, until


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


# --- restoring files -----------------------------------------------------------------------


def test_a_file_is_restored_as_the_command_restores_it(server: Server, tmp_path: Path) -> None:
    scan = scan_file(tmp_path / "a.png")
    direct = pipeline.restore_file(
        scan, tmp_path / "direct.png", profile.load("strong"), options=Options(device="cpu", backend="torch")
    )

    end = server.end(server.restore(scan, tmp_path / "part", profile_name="strong"))

    assert end["state"] == "done"
    ours, theirs = (np.asarray(Image.open(tmp_path / name)) for name in ("part", "direct.png"))
    assert np.array_equal(ours, theirs)
    told, known = end["report"], direct.to_dict()
    assert told | {"seconds": 0, "target": ""} == known | {"seconds": 0, "target": ""}


def test_the_report_speaks_of_the_names_it_was_given_and_makes_the_sidecar(
    server: Server, tmp_path: Path
) -> None:
    scan = scan_file(tmp_path / "0f3a.png")
    job = server.engine.submit(
        {
            "source": {"path": str(scan), "name": "Album/a\udcff.png"},
            "target": {"path": str(tmp_path / "p"), "name": "a_restored.png"},
            "profile": STRONG,
        }
    )

    report = server.end(job)["report"]

    assert (report["source"], report["target"]) == ("Album/a\udcff.png", "a_restored.png")
    slip = json.loads(sidecar.encode(report, source="a.png", target="a_restored.png"))
    assert slip == {**report, "source": "a.png", "target": "a_restored.png"}


def test_events_tell_of_queue_tiles_and_the_end(server: Server, tmp_path: Path) -> None:
    scan = scan_file(tmp_path / "a.png", 200)
    first = server.restore(scan, tmp_path / "1")
    second = server.restore(scan, tmp_path / "2")

    waiting = next(server.engine.events(second))
    events = list(server.engine.events(second))

    assert waiting == {"state": "queued", "position": 1}
    running = [event for event in events if event["state"] == "running"]
    assert running[-1] | {"eta_s": 0} == {
        "state": "running", "stage": "restore", "page": 1, "pages": 1, "done": 0.04, "total": 0.04,
        "eta_s": 0,
    }  # fmt: skip
    assert [event["state"] for event in events].index("done") == len(events) - 1
    assert server.end(first)["state"] == "done"


def test_a_picture_from_a_window_does_not_wait_behind_the_files_of_a_hot_folder(
    server: Server, tmp_path: Path
) -> None:
    scan = scan_file(tmp_path / "a.png", 500)
    files = [server.restore(scan, tmp_path / str(number)) for number in range(4)]
    shape = {"shape": [64, 64, 3], "dtype": "uint8"}
    picture = server.engine.submit({"source": {"pixels": shape}, "profile": STRONG})
    server.engine.put_pixels(picture, bytes(64 * 64 * 3))

    waiting = next(server.engine.events(picture))

    assert (waiting["state"], waiting.get("position", 1)) in {("queued", 1), ("running", 1)}
    assert server.end(picture)["state"] == "done"
    assert next(server.engine.events(files[-1]))["state"] == "queued"
    assert [server.end(name)["state"] for name in files] == ["done"] * 4


def test_a_job_that_has_ended_can_be_asked_again_until_it_is_dropped(server: Server, tmp_path: Path) -> None:
    job = server.restore(scan_file(tmp_path / "a.png", 64), tmp_path / "part")
    ended = server.end(job)

    assert server.end(job) == ended
    server.engine.cancel(job)
    with pytest.raises(EngineFault, match="no such job"):
        server.end(job)


def test_previews_are_crops_of_the_scan_and_of_the_result(server: Server, tmp_path: Path) -> None:
    scan = scan_file(tmp_path / "a.png", 200, width=300)
    before, after = tmp_path / "before.jpg", tmp_path / "after.jpg"

    job = server.restore(
        scan, tmp_path / "part", previews={"before": str(before), "after": str(after), "side": 64}
    )
    server.end(job)

    crops = [np.asarray(Image.open(file)).astype(float) for file in (before, after)]
    assert [crop.shape for crop in crops] == [(64, 64, 3)] * 2
    middle = np.asarray(Image.open(scan)).astype(float)[68:132, 118:182]
    assert np.abs(crops[0] - middle).mean() < np.abs(crops[1] - middle).mean() / 1.5
    assert crops[1].std() < crops[0].std()
    assert not list(tmp_path.glob("*.jpg.part"))


def test_a_preview_that_cannot_be_written_spoils_nothing(server: Server, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "missing" / "a.jpg")

    job = server.restore(
        scan_file(tmp_path / "a.png", 64), tmp_path / "part", previews={"before": nowhere, "after": nowhere}
    )

    assert server.end(job)["state"] == "done"


def test_many_jobs_go_through_in_order_and_cost_milliseconds(server: Server, tmp_path: Path) -> None:
    scan = tmp_path / "clean.png"
    Image.new("RGB", (64, 64), (120, 90, 60)).save(scan)
    jobs = [server.restore(scan, tmp_path / f"part{number}") for number in range(40)]

    ends = [server.end(job) for job in jobs]

    assert {end["state"] for end in ends} == {"done"}
    assert all((tmp_path / f"part{number}").read_bytes() == scan.read_bytes() for number in range(40))


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_what_the_page_about_the_engine_types_works(server: Server, tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "engine.md").read_text(encoding="utf-8")
    typed = re.search(r"(?:^    .*\n)+", page, re.MULTILINE)
    assert typed is not None
    lines = typed[0].replace("$XDG_RUNTIME_DIR/scanmend", str(server.address.parent))
    lines = lines.replace("/scans", str(tmp_path)).replace("0123456789abcdef", "$(echo $JOB)")
    tifffile.imwrite(tmp_path / "scan0001.tif", noisy(64, 64), photometric="rgb", metadata=None)
    health, job, events = re.split(r"\n    (?=curl)", lines)[1:]
    setting = lines.splitlines()[0]
    named = f"""JOB=$({job} | sed 's/.*"job":"\\([0-9a-f]*\\)".*/\\1/')"""

    script = f"{setting}\n{health}\n{named}\n{events}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)

    assert '"protocol":"1"' in done.stdout
    assert '"state": "done"' in done.stdout.splitlines()[-1]
    assert (tmp_path / ".part").exists()


def test_a_job_without_a_profile_takes_the_default_one(server: Server, tmp_path: Path) -> None:
    scan = scan_file(tmp_path / "a.png", 64)
    paths = {"source": {"path": str(scan)}, "target": {"path": str(tmp_path / "part")}}

    report = server.end(server.engine.submit(paths))["report"]

    assert report["profile"]["name"] == "gentle"


# --- what a job may not do -----------------------------------------------------------------


def refused(server: Server, job: dict[str, Any]) -> EngineFault:
    with pytest.raises(EngineFault) as caught:
        server.engine.submit(job)
    assert caught.value.kind == "refused"
    return caught.value


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"kind": "paint"}, "kind 'paint' is not known"),
        ({"source": {"path": "a.tif"}}, "must be absolute"),
        ({"source": {}}, "either a path or pixels"),
        ({"source": None}, "source must be a JSON object"),
        ({"source": {"path": "/a\0b"}}, "must be text"),
        ({"source": {"path": "/a\ud800"}}, "cannot be the name of a file"),
        ({"target": None}, "target must be a JSON object"),
        ({"profile": []}, "profile must be a JSON object"),
        ({"limits": {"pages": -1}}, "limits.pages"),
        ({"limits": {"megapixels": True}}, "limits.megapixels"),
        ({"limits": {"colours": 1}}, "limits has no colours"),
        ({"previews": {"before": "/a", "after": "/b", "side": 9}}, "previews.side"),
        ({"want": ["removed"]}, "where pixels are sent"),
        ({"wants": []}, "the job has no wants"),
        ({"kind": "probe"}, "target has no meaning"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused_in_a_sentence(
    server: Server, change: dict[str, Any], words: str
) -> None:
    fault = refused(server, {"source": {"path": "/a"}, "target": {"path": "/b"}, **change})

    assert words in fault.sentence
    assert (fault.status, fault.error["class"], fault.error["exit_code"]) == (400, "UsageError", 2)


def test_what_stands_at_the_target_is_never_touched(server: Server, tmp_path: Path) -> None:
    scan, standing = scan_file(tmp_path / "a.png", 64), tmp_path / "part"
    standing.write_bytes(b"foreign")

    end = server.end(server.restore(scan, standing))

    assert end["error"]["class"] == "TargetExists"
    assert standing.read_bytes() == b"foreign"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder", "missing", "garbage", "empty"])
def test_what_is_no_picture_fails_in_a_sentence_under_its_own_name(
    server: Server, tmp_path: Path, kind: str
) -> None:
    source = tmp_path / "f00"
    scan_file(tmp_path / "real.png", 64)
    make: dict[str, Callable[[], object]] = {
        "link": lambda: source.symlink_to(tmp_path / "real.png"),
        "pipe": lambda: os.mkfifo(source),
        "folder": source.mkdir,
        "missing": lambda: None,
        "garbage": lambda: source.write_bytes(b"no picture at all, only words" * 9),
        "empty": source.touch,
    }
    make[kind]()
    for wanted in ({"kind": "probe"}, {"target": {"path": str(tmp_path / "part")}, "profile": STRONG}):
        job = server.engine.submit({"source": {"path": str(source), "name": "scan.tif"}, **wanted})

        end = server.end(job)

        assert (end["state"], end["error"]["exit_code"], end["crash"]) == ("failed", 4, None)
        assert "scan.tif" in end["error"]["message"]
        assert "f00" not in end["error"]["message"]
    assert not (tmp_path / "part").exists()


def test_limits_hold_for_the_job_that_names_them(server: Server, tmp_path: Path) -> None:
    scan = scan_file(tmp_path / "a.png", 100)

    ends = [
        server.end(server.restore(scan, tmp_path / f"part{most}", limits={"megapixels": most}))
        for most in (0.005, 0.02)
    ]

    assert ends[0]["error"]["class"] == "LimitExceeded"
    assert ends[1]["state"] == "done"


def test_a_profile_that_is_not_valid_fails_the_job_with_its_key(server: Server, tmp_path: Path) -> None:
    scan = scan_file(tmp_path / "a.png", 64)

    end = server.end(server.restore(scan, tmp_path / "part", profile={"scanmend": 1, "nois": {}}))

    assert end["error"]["class"] == "ProfileError"
    assert "noise" in end["error"]["message"]


def test_two_jobs_never_write_the_same_target(server: Server, tmp_path: Path) -> None:
    scan = scan_file(tmp_path / "a.png", 300)
    first = server.restore(scan, tmp_path / "part")

    with pytest.raises(EngineFault, match="written by another job"):
        server.restore(scan, tmp_path / "part")
    server.engine.cancel(first)
    server.end(first)


def test_a_cancelled_job_leaves_nothing_and_the_next_one_runs(server: Server, tmp_path: Path) -> None:
    running = server.restore(scan_file(tmp_path / "a.png", 900), tmp_path / "1")
    waiting = server.restore(tmp_path / "a.png", tmp_path / "2")
    until(lambda: next(server.engine.events(running))["state"] == "running")

    server.engine.cancel(waiting)
    server.engine.cancel(running)
    ends = [server.end(job) for job in (waiting, running)]
    after = server.end(server.restore(scan_file(tmp_path / "b.png", 64), tmp_path / "3"))

    assert [end["state"] for end in ends] == ["cancelled", "cancelled"]
    assert ends[1]["error"]["class"] == "Cancelled"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "a.png", "b.png"]
    assert after["state"] == "done"


def test_an_attached_job_ends_with_its_listener(server: Server, tmp_path: Path) -> None:
    job = server.restore(scan_file(tmp_path / "a.png", 900), tmp_path / "part", attached=True)
    events = server.engine.events(job)
    next(events)

    events.close()

    assert server.end(job)["state"] == "cancelled"
    assert not (tmp_path / "part").exists()


# --- probing -------------------------------------------------------------------------------


def probed(server: Server, path: Path) -> dict[str, Any]:
    end = server.end(server.engine.submit({"kind": "probe", "source": {"path": str(path)}}))
    assert end["state"] == "done", end
    return dict(end["report"])


def test_a_probe_tells_what_a_file_is(server: Server, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([noisy(50, 40)] * 3), photometric="rgb", metadata=None)

    found = probed(server, tmp_path / "a.tif")

    assert found == {
        "format": "tiff", "pages": 3, "megapixels": 0.006, "zero_tail": False, "restored_by_scanmend": False,
        "restored_from": "", "unchanged": True, "notes": found["notes"],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["a.tif", "a.bmp", "a.png", "a.jpg"])
@pytest.mark.parametrize("share", [0.4, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_no_whole_picture(
    server: Server, tmp_path: Path, name: str, share: float
) -> None:
    path = scan_file(tmp_path / name, 120)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])

    end = server.end(server.engine.submit({"kind": "probe", "source": {"path": str(path)}}))

    assert (end["state"], end["error"]["exit_code"]) == ("failed", 4)


@pytest.mark.parametrize("name", ["a.tif", "a.bmp"])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_size_set_before_the_content_came_shows_as_a_tail_of_zeros(
    server: Server, tmp_path: Path, name: str, share: float
) -> None:
    path = tmp_path / name
    if name == "a.tif":
        tifffile.imwrite(path, noisy(200, 200), photometric="rgb", metadata=None)
    else:
        scan_file(path, 200)
    content = path.read_bytes()
    kept = int(len(content) * share)
    path.write_bytes(content[:kept] + bytes(len(content) - kept))

    assert probed(server, path)["zero_tail"]
    path.write_bytes(content)
    assert not probed(server, path)["zero_tail"]


def test_a_black_picture_is_no_tail_of_zeros(server: Server, tmp_path: Path) -> None:
    Image.new("RGB", (200, 200)).save(tmp_path / "a.bmp")

    assert not probed(server, tmp_path / "a.bmp")["zero_tail"]


def test_a_result_is_known_by_its_own_mark(server: Server, tmp_path: Path) -> None:
    scan = scan_file(tmp_path / "a.png")
    report = server.end(server.restore(scan, tmp_path / "part.png"))["report"]

    found = probed(server, tmp_path / "part.png")

    assert (found["restored_by_scanmend"], found["restored_from"]) == (True, report["source_sha256"])


def test_a_probe_does_not_wait_behind_a_restoration(server: Server, tmp_path: Path) -> None:
    long = server.restore(scan_file(tmp_path / "a.png", 900), tmp_path / "part")
    until(lambda: next(server.engine.events(long))["state"] == "running")

    probed(server, tmp_path / "a.png")
    still = next(server.engine.events(long))["state"]
    server.engine.cancel(long)
    server.end(long)

    assert still == "running"


# --- pixels --------------------------------------------------------------------------------


def sent(server: Server, pixels: np.ndarray[Any, Any], *, alpha: str = "none", **more: Any) -> str:
    """A job for pixels, which are sent; its id."""
    shape = {"shape": list(pixels.shape), "dtype": str(pixels.dtype), "alpha": alpha}
    job = server.engine.submit({"source": {"pixels": shape}, "profile": STRONG, **more})
    server.engine.put_pixels(job, pixels.tobytes())
    return job


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_come_back_restored_in_their_own_type(server: Server, dtype: str, channels: int) -> None:
    pixels = noisy(80, 96, channels=channels)
    scaled: np.ndarray[Any, Any] = {
        "uint8": pixels,
        "uint16": pixels.astype(np.uint16) * 257,
        "float32": (pixels / 255).astype(np.float32),
    }[dtype]
    direct, _ = pipeline.restore(scaled, "strong", options=Options(device="cpu", backend="torch"))

    job = sent(server, scaled, want=["removed"])
    end = server.end(job)
    result = np.frombuffer(server.engine.get_pixels(job), dtype).reshape(scaled.shape)
    removed = np.frombuffer(server.engine.get_pixels(job, "removed"), "<f4").reshape(scaled.shape)

    assert end["state"] == "done"
    assert not end["report"]["unchanged"]
    assert np.array_equal(result, direct)
    white = 1.0 if dtype == "float32" else float(np.iinfo(dtype).max)
    assert np.allclose(removed, (result.astype(float) - scaled.astype(float)) / white, atol=1e-6)
    assert np.abs(removed).max() > 0.01


def test_alpha_travels_and_stays(server: Server) -> None:
    pixels = noisy(64, 64, channels=4)
    pixels[..., 3] = 255
    pixels[:20, :20, 3] = 0

    job = sent(server, pixels, alpha="straight")
    server.end(job)
    result = np.frombuffer(server.engine.get_pixels(job), np.uint8).reshape(pixels.shape)

    assert np.array_equal(result[..., 3], pixels[..., 3])
    assert np.array_equal(result[:20, :20], pixels[:20, :20])
    assert not np.array_equal(result, pixels)


def test_a_picture_that_needs_nothing_comes_back_bit_for_bit(server: Server) -> None:
    pixels = np.full((64, 64, 3), 130, np.uint8)

    job = sent(server, pixels)

    assert server.end(job)["report"]["unchanged"]
    assert server.engine.get_pixels(job) == pixels.tobytes()


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ({"shape": [4, 4], "dtype": "uint8"}, "shape must be"),
        ({"shape": [4, 0, 3], "dtype": "uint8"}, "shape must be"),
        ({"shape": [4, 4.5, 3], "dtype": "uint8"}, "shape must be"),
        ({"shape": [4, True, 3], "dtype": "uint8"}, "shape must be"),
        ({"shape": [4, 4, 3], "dtype": "int8"}, "samples of type 'int8'"),
        ({"shape": [4, 4, 4], "dtype": "uint8"}, "1 or 3 channels"),
        ({"shape": [4, 4, 3], "dtype": "uint8", "alpha": "straight"}, "2 or 4 channels"),
        ({"shape": [4, 4, 3], "dtype": "uint8", "transfer": "log"}, "display or linear"),
        ({"shape": [2**20, 2**20, 3], "dtype": "uint8"}, "larger than 1000 MP"),
    ],
)
def test_a_shape_that_is_none_is_refused(server: Server, shape: dict[str, Any], words: str) -> None:
    assert words in refused(server, {"source": {"pixels": shape}, "profile": STRONG}).sentence


def test_a_body_has_to_be_as_long_as_the_shape_says(server: Server) -> None:
    job = server.engine.submit(
        {"source": {"pixels": {"shape": [10, 10, 3], "dtype": "uint8"}}, "profile": STRONG}
    )
    path = f"/v1/jobs/{job}/pixels"

    statuses = {
        "short": server.ask("PUT", path, bytes(299))[0],
        "long": server.ask("PUT", path, bytes(301))[0],
        "unknown": server.ask("PUT", path, headers={"Content-Length": "", "Transfer-Encoding": "chunked"})[0],
        "exact": server.ask("PUT", path, bytes(300))[0],
        "again": server.ask("PUT", path, bytes(300))[0],
    }

    assert statuses == {"short": 400, "long": 413, "unknown": 411, "exact": 200, "again": 409}
    assert server.end(job)["state"] == "done"


def test_an_upload_that_breaks_off_can_be_given_again(server: Server) -> None:
    job = server.engine.submit(
        {"source": {"pixels": {"shape": [10, 10, 3], "dtype": "uint8"}}, "profile": STRONG}
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.connect(str(server.address))
        line.sendall(
            f"PUT /v1/jobs/{job}/pixels HTTP/1.1\r\nHost: localhost\r\nScanmend-Protocol: 1\r\n"
            "Content-Length: 300\r\n\r\n".encode()
            + bytes(100)
        )

    def taken() -> bool:
        return server.ask("PUT", f"/v1/jobs/{job}/pixels", bytes(300))[0] == 200

    until(taken)
    assert server.end(job)["state"] == "done"


@pytest.mark.parametrize("plane", ["evidence", "mask", "removed", "nonsense"])
def test_a_plane_that_there_is_not_is_answered_in_a_sentence(server: Server, plane: str) -> None:
    job = sent(server, noisy(32, 32))
    server.end(job)

    with pytest.raises(EngineFault) as caught:
        server.engine.get_pixels(job, plane)

    assert (caught.value.status, caught.value.kind) == (404, "refused")
    assert plane in caught.value.sentence


def test_a_result_is_not_there_before_its_job_is_done(server: Server) -> None:
    job = server.engine.submit(
        {"source": {"pixels": {"shape": [10, 10, 3], "dtype": "uint8"}}, "profile": STRONG}
    )

    with pytest.raises(EngineFault, match="the job is waiting"):
        server.engine.get_pixels(job)
    server.engine.cancel(job)


# --- the door ------------------------------------------------------------------------------


def test_the_socket_is_this_users_alone(server: Server) -> None:
    assert stat.S_IMODE(server.address.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.address.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Origin": "http://localhost"}, 403),
        ({"Origin": "null"}, 403),
        ({"Scanmend-Protocol": "2"}, 426),
        ({"Scanmend-Protocol": ""}, 426),
        ({}, 404),
    ],
)
def test_only_front_ends_of_this_protocol_are_let_in(
    server: Server, headers: dict[str, str], status: int
) -> None:
    got, answer = server.ask("GET", "/v1/jobs/0123456789abcdef", headers=headers)

    assert got == status
    assert b"\r\nscanmend-protocol: 1\r\n" in answer
    assert set(json.loads(answer.split(b"\r\n\r\n", 1)[1])) == {"class", "message", "hint", "exit_code"}


def test_curl_may_ask_for_health_without_a_header(server: Server) -> None:
    status, answer = server.ask("GET", "/v1/health", headers={"Scanmend-Protocol": ""})

    values = json.loads(answer.split(b"\r\n\r\n", 1)[1])
    assert (status, values["protocol"], values["pid"]) == (200, "1", server.process.pid)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"", 400),
        (b"\xff\xfe", 400),
        (b"[" * 200_000, 400),
        (b"null", 400),
        (b'{"source": {"path": "/a"}, "target": {"path": "/b"}, "x": "' + b"x" * 2**21 + b'"}', 413),
    ],
)
def test_bodies_that_are_no_job_are_refused(server: Server, body: bytes, status: int) -> None:
    assert server.ask("POST", "/v1/jobs", body)[0] == status


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/jobs", 405),
        ("PUT", "/v1/health", 405),
        ("GET", "/v1/jobs/../health", 404),
        ("DELETE", "/v1/jobs/nobody", 404),
        ("GET", "/v1/jobs/%2e%2e/events", 404),
    ],
)
def test_what_is_no_address_is_answered_as_such(server: Server, method: str, path: str, status: int) -> None:
    assert server.ask(method, path)[0] == status


def test_garbage_on_the_line_harms_nobody(server: Server) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.connect(str(server.address))
        line.sendall(b"\x16\x03\x01\x02\x00" + os.urandom(4096))
        line.shutdown(socket.SHUT_WR)

    assert server.engine.health()["pid"] == server.process.pid


# --- where it runs -------------------------------------------------------------------------


def test_health_names_device_networks_and_workers(server: Server, tmp_path: Path) -> None:
    server.end(server.restore(scan_file(tmp_path / "a.png", 64), tmp_path / "part"))

    health = server.engine.health()

    assert health["device"].startswith("cpu")
    assert health["networks"]
    assert [worker["kind"] for worker in health["workers"]] == ["render", "probe"]
    assert health["workers"][0]["state"] == "ready"
    assert health["queue"] == 0


def test_the_server_itself_is_light(server: Server) -> None:
    maps = Path(f"/proc/{server.process.pid}/maps").read_text(encoding="utf-8")

    assert "torch" not in maps
    assert "numpy" not in maps


def test_the_probe_worker_does_without_torch(server: Server, tmp_path: Path) -> None:
    probed(server, scan_file(tmp_path / "a.png", 64))

    maps = Path(f"/proc/{server.worker('probe')['pid']}/maps").read_text(encoding="utf-8")

    assert "torch" not in maps


def test_a_keeper_warms_the_workers_up(tmp_path: Path) -> None:
    with serving() as server:
        assert server.worker("render")["state"] == "down"

        keeper = server.engine.keep()
        until(lambda: server.worker("render")["state"] == "ready")

        assert server.engine.health()["networks"]
        assert keeper.alive()
        keeper.close()
        until(lambda: server.engine.health()["keepers"] == 0)


def test_jobs_of_two_workers_run_at_once(tmp_path: Path) -> None:
    with serving("--jobs", "2") as server:
        scan = scan_file(tmp_path / "a.png", 600)
        jobs = [server.restore(scan, tmp_path / f"part{number}") for number in range(2)]

        until(lambda: len(server.engine.health()["running"]) == 2)
        ends = [server.end(job) for job in jobs]

    assert {end["state"] for end in ends} == {"done"}
    assert (tmp_path / "part0").read_bytes()[:8] == (tmp_path / "part1").read_bytes()[:8]


def test_over_tcp_a_token_opens_the_door(tmp_path: Path) -> None:
    with serving("--tcp", "0", name="engine.json") as server:
        scan = scan_file(tmp_path / "a.png", 64)
        job = server.engine.submit({"kind": "probe", "source": {"path": str(scan)}})
        ended = server.end(job)
        mode = stat.S_IMODE(server.address.stat().st_mode)
        door = json.loads(server.address.read_text(encoding="ascii"))
        server.address.write_text(json.dumps({**door, "token": "guessed"}), encoding="ascii")

        with pytest.raises(EngineFault) as caught:
            server.engine.health()

    assert (ended["state"], mode, caught.value.status) == ("done", 0o600, 401)
