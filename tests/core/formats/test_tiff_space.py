"""Free room in a file is found, used once, and never taken from anything else."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from scanmend.formats.tiff.space import FreeList, merge, subtract

EXTENTS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 12)).map(lambda pair: (pair[0], pair[0] + pair[1])),
    max_size=8,
)


def covered(extents: list[tuple[int, int]]) -> set[int]:
    return {byte for start, end in extents for byte in range(start, end)}


@given(EXTENTS)
def test_merging_covers_the_same_bytes_once(extents: list[tuple[int, int]]) -> None:
    merged = merge(extents, 0)

    assert covered(merged) == covered(extents)
    assert all(a[1] < b[0] for a, b in itertools.pairwise(merged))


@given(EXTENTS, EXTENTS)
def test_what_is_used_is_not_free(extents: list[tuple[int, int]], used: list[tuple[int, int]]) -> None:
    left = subtract(merge(extents, 0), merge(used, 0))

    assert covered(left) == covered(extents) - covered(used)


@given(EXTENTS, st.lists(st.integers(1, 15), max_size=20))
def test_no_byte_is_handed_out_twice(extents: list[tuple[int, int]], sizes: list[int]) -> None:
    free = FreeList()
    free.add(extents)
    given_out: list[int] = []

    for size in sizes:
        start = free.take(size)
        if start is not None:
            given_out += range(start, start + size)

    assert len(set(given_out)) == len(given_out)
    assert set(given_out) <= covered(extents)


@given(EXTENTS, EXTENTS)
def test_a_wanted_place_is_given_only_while_it_is_free(
    extents: list[tuple[int, int]], wanted: list[tuple[int, int]]
) -> None:
    free = FreeList()
    free.add(extents)
    left = covered(extents)

    for start, end in wanted:
        place = set(range(start, end))
        assert free.take_at(start, end - start) == (place <= left)
        if place <= left:
            left -= place
