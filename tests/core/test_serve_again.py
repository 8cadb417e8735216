"""Samples that are sent once and used again: measured, restored in parts, each job with a life of its own."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scanmend import measure, pipeline, profile
from scanmend.image import decode_srgb, encode_srgb
from scanmend.pipeline import Options
from scanmend.serve import jobs, planes, wanted
from scanmend.serve.client import EngineFault
from scanmend.serve.jobs import Board, Job
from scanmend.serve.wanted import Pixels

from .serving import STRONG, Server, noisy, serving

OPTIONS = Options(device="cpu", backend="torch")
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as running:
        yield running


def sent(server: Server, pixels: Array, *, source: dict[str, Any] | None = None, **more: Any) -> str:
    """A job for pixels, which are sent; its id."""
    shape = {"shape": list(pixels.shape), "dtype": str(pixels.dtype)}
    job = server.engine.submit({"source": {"pixels": shape, **(source or {})}, "profile": STRONG, **more})
    server.engine.put_pixels(job, pixels.tobytes())
    return job


def again(server: Server, job: str, region: list[int] | None = None, **more: Any) -> str:
    """A job for the samples of another one; its id."""
    part = {} if region is None else {"region": region}
    return server.engine.submit({"source": {"job": job, **part}, "profile": STRONG, **more})


def result(
    server: Server, job: str, shape: tuple[int, ...], dtype: str = "uint8", plane: str = "pixels"
) -> Array:
    assert server.end(job)["state"] == "done"
    return np.frombuffer(server.engine.get_pixels(job, plane), dtype).reshape(shape)


# --- measuring -----------------------------------------------------------------------------


def test_a_job_that_measures_reports_facts_and_plan_in_values_and_in_words(server: Server) -> None:
    pixels = noisy(200, 240)

    report = server.end(sent(server, pixels, kind="measure"))["report"]

    facts = pipeline.measure_pixels(pixels)
    assert report["facts"] == facts.to_dict()
    assert report["plan"]["steps"][0]["stage"] == "noise"
    assert "noise" in report["described"][0]
    assert report["megapixels"] == 0.048
    assert report["seconds"] >= 0


def test_what_was_measured_serves_restorations_with_other_settings(server: Server) -> None:
    pixels = noisy(96, 96)
    measured = sent(server, pixels, kind="measure", attached=True)
    server.end(measured)

    gentle = result(server, again(server, measured, profile={"scanmend": 1}), pixels.shape)
    strong = result(server, again(server, measured), pixels.shape)

    for picture, name in ((gentle, "gentle"), (strong, "strong")):
        direct, _ = pipeline.restore(pixels, name, options=OPTIONS)
        assert np.array_equal(picture, direct)


def test_a_job_that_measures_has_no_pixels_to_fetch(server: Server) -> None:
    job = sent(server, noisy(32, 32), kind="measure")
    server.end(job)

    with pytest.raises(EngineFault, match="no result but its report") as caught:
        server.engine.get_pixels(job)

    assert caught.value.status == 404


# --- again and in parts --------------------------------------------------------------------


def test_samples_outlive_the_job_that_brought_them(server: Server) -> None:
    pixels = noisy(64, 80)
    first = sent(server, pixels)
    server.end(first)
    second = again(server, first)
    server.engine.cancel(first)  # drops it

    third = again(server, second)

    assert np.array_equal(result(server, third, pixels.shape), result(server, second, pixels.shape))
    with pytest.raises(EngineFault, match="are not held") as caught:
        again(server, first)
    assert (caught.value.status, caught.value.hint) == (410, "send the pixels once more")


def test_samples_that_have_not_come_cannot_be_used(server: Server) -> None:
    job = server.engine.submit({"source": {"pixels": {"shape": [8, 8, 3], "dtype": "uint8"}}})

    with pytest.raises(EngineFault, match="are not held"):
        again(server, job)
    server.engine.cancel(job)


def test_a_picture_that_others_use_is_kept_while_many_come_and_go(server: Server) -> None:
    first = sent(server, noisy(64, 64), kind="measure")
    server.end(first)

    for _ in range(20):
        server.end(again(server, first, [8, 8, 16, 16]))

    assert server.end(again(server, first, [0, 0, 64, 64]))["state"] == "done"


def test_samples_are_dropped_by_the_bytes_they_take_the_oldest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_KEPT_BYTES", 4 * 300)  # two pictures with their results
    values = {"source": {"pixels": {"shape": [10, 10, 3], "dtype": "uint8"}}}
    board = Board(tmp_path, lambda: None)

    def done(like: Job | None = None) -> Job:
        job = board.submit(wanted.read(values), values, like)
        assert job.folder
        if like is None:
            (job.folder / jobs.SCAN).write_bytes(bytes(300))
        job.end("done", report={})
        board.settle(job)
        return job

    async def come_and_go() -> list[Job]:
        first, second = done(), done()
        again = done(first)  # two results beside one scan, and the second picture: too much
        return [first, second, again, done()]

    kept = [job.folder is not None for job in asyncio.run(come_and_go())]

    assert kept == [False, False, True, True]


@pytest.mark.parametrize("region", [[0, 0, 120, 90], [49, 120, 151, 133], [199, 299, 1, 1], [0, 0, 200, 300]])
def test_a_part_comes_out_as_it_does_in_the_whole(server: Server, region: list[int]) -> None:
    pixels = noisy(300, 200).astype(np.uint16) * 257
    x, y, width, height = region
    whole = sent(server, pixels)

    part = result(server, again(server, whole, region), (height, width, 3), "uint16")

    expected = result(server, whole, pixels.shape, "uint16")[y : y + height, x : x + width]
    assert np.abs(part.astype(int) - expected).max() <= 1


def test_a_part_of_a_picture_larger_than_a_tile_comes_out_as_it_does_in_the_whole() -> None:
    pixels, strong = noisy(1000, 1000), profile.load("strong")
    facts = pipeline.measure_pixels(pixels)
    whole, part = np.empty_like(pixels), np.empty((160, 200, 3), np.uint8)
    fast = profile.apply_settings(strong, ["quality=fast"])

    for target, region in ((whole, None), (part, (650, 610, 200, 160))):
        pipeline.render_pixels(pixels, target, fast, facts=facts, region=region, options=OPTIONS)

    assert np.abs(part.astype(int) - whole[610:770, 650:850]).max() <= 1


def test_a_part_of_what_is_sent_is_measured_on_all_of_it(server: Server) -> None:
    pixels = noisy(200, 200)
    pixels[:64, :64] = 128  # by itself it would need nothing

    job = sent(server, pixels, source={"region": [0, 0, 72, 72]})
    end = server.end(job)

    assert end["report"]["pages"][0]["facts"] == pipeline.measure_pixels(pixels).to_dict()
    assert len(server.engine.get_pixels(job)) == 72 * 72 * 3
    assert end["report"]["megapixels"] == 0.005


OFF = {"scanmend": 1, "noise": {"strength": 0}, "jpeg": {"strength": 0}}


def test_a_profile_that_asks_for_nothing_gives_the_samples_back_unmeasured(server: Server) -> None:
    pixels = noisy(200, 200)

    whole = sent(server, pixels, profile=OFF, want=["difference"])
    part = again(server, whole, [10, 20, 30, 40], profile=OFF)

    reports = [server.end(job)["report"] for job in (whole, part)]
    assert [(report["unchanged"], report["pages"][0]["facts"]) for report in reports] == [(True, None)] * 2
    assert server.engine.get_pixels(whole) == pixels.tobytes()
    assert server.engine.get_pixels(part) == pixels[20:60, 10:40].tobytes()
    assert set(server.engine.get_pixels(whole, "difference")) == {128}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"region": [0, 0, 33, 32]}, "leaves the picture, which has 32 x 32 pixels"),
        ({"region": [0, 0, 0, 1]}, "leaves the picture"),
        ({"region": [-1, 0, 4, 4]}, "must be [x, y, width, height]"),
        ({"region": [0, 0, 4]}, "must be [x, y, width, height]"),
        ({"region": [0, False, 4, 4]}, "must be [x, y, width, height]"),
        ({"pixels": {"shape": [8, 8, 3], "dtype": "uint8"}}, "either a path, pixels or a job"),
        ({"path": "/a"}, "either a path, pixels or a job"),
    ],
)
def test_what_makes_no_sense_about_held_samples_is_refused(
    server: Server, source: dict[str, Any], words: str
) -> None:
    job = sent(server, noisy(32, 32), kind="measure")

    with pytest.raises(EngineFault) as caught:
        server.engine.submit({"source": {"job": job, **source}})

    assert (words in caught.value.sentence, caught.value.status) == (True, 400)


def test_a_part_of_a_file_is_refused(server: Server) -> None:
    with pytest.raises(EngineFault, match=r"source\.region is for pixels"):
        server.engine.submit(
            {"source": {"path": "/a", "region": [0, 0, 1, 1]}, "target": {"path": "/b"}, "profile": STRONG}
        )


# --- what was taken out --------------------------------------------------------------------


def test_the_difference_is_what_was_taken_out_around_mid_grey(server: Server) -> None:
    pixels, region = noisy(80, 96), [10, 20, 60, 50]

    job = sent(server, pixels, source={"region": region}, want=["difference"])
    restored = result(server, job, (50, 60, 3)).astype(int)
    shown = result(server, job, (50, 60, 3), plane="difference").astype(int)

    taken = pixels[20:70, 10:70] - restored
    assert np.array_equal(shown, np.clip(128 + taken, 0, 255))
    assert np.abs(shown - 128).max() > 10


def strip(plane: str, scan: Array, after: Array, shape: Pixels, tmp_path: Path) -> Array:
    planes.write(plane, tmp_path / plane, scan, after, shape)
    return np.frombuffer((tmp_path / plane).read_bytes(), scan.dtype).reshape(scan.shape)


def test_a_difference_in_linear_light_is_taken_as_it_is_seen(tmp_path: Path) -> None:
    scan = np.linspace(0, 1, 5 * 7 * 3, dtype=np.float32).reshape(5, 7, 3)
    after = np.clip(scan * np.float32(0.9), 0, 1)

    shown = strip("difference", scan, after, Pixels(5, 7, 3, "float32", "none", "linear"), tmp_path)

    expected = encode_srgb(scan) - encode_srgb(after) + np.float32(0.5)
    assert np.allclose(shown, decode_srgb(expected), atol=1e-6)


@pytest.mark.parametrize("alpha", ["straight", "premultiplied"])
def test_a_difference_has_the_alpha_of_the_scan(alpha: Any, tmp_path: Path) -> None:
    scan = np.full((4, 4, 2), 40000, np.uint16)
    scan[:2, :, 1], scan[2:, :, 1] = 0, 50000
    after = scan.copy()
    after[2:, :, 0] -= 5000

    shown = strip("difference", scan, after, Pixels(4, 4, 2, "uint16", alpha, "display"), tmp_path)

    change = 5000 if alpha == "straight" else 5000 / 50000 * 65535
    seen = 32768 + change if alpha == "straight" else (32768 + change) * 50000 / 65535
    assert np.array_equal(shown[..., 1], scan[..., 1])
    assert np.abs(shown[2:, :, 0] - seen).max() <= 1
    assert (shown[:2, :, 0] == (32768 if alpha == "straight" else 0)).all()


def test_facts_are_measured_once_for_all_jobs_on_the_same_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noisy(64, 64)
    asked: list[object] = []
    facts = pipeline.measure_pixels(pixels)
    monkeypatch.setattr(measure, "measure", asked.append)

    report = pipeline.render_pixels(
        pixels, np.empty_like(pixels), profile.load("strong"), facts=facts, options=OPTIONS
    )

    assert (report.facts, asked) == (facts, [])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a full disk is simulated by a small tmpfs, which only root may mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_where_samples_find_no_room_the_folder_and_what_to_do_are_told(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(small_disk))
    with serving() as server:
        with pytest.raises(EngineFault) as sending:
            sent(server, noisy(400, 400))
        restoring = server.end(sent(server, noisy(230, 230)))["error"]
        fits = server.end(sent(server, noisy(100, 100)))["state"]

    assert f"stored in {small_disk}: No space left" in sending.value.sentence
    assert f"stored in {small_disk}: No space left" in restoring["message"]
    assert "TMPDIR" in sending.value.hint
    assert "TMPDIR" in restoring["hint"]
    assert fits == "done"
