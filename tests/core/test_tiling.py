from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scanmend import tiling

CUTS = st.tuples(
    st.integers(1, 3000), st.integers(96, 700), st.sampled_from([0, 8, 20, 32]), st.sampled_from([1, 8])
)


@given(CUTS)
def test_kept_parts_tile_the_length_without_gap_or_overlap(cut: tuple[int, int, int, int]) -> None:
    length, tile, halo, multiple = cut

    found = tiling.spans(length, tile, halo, multiple)

    assert found[0].keep_from == 0
    assert found[-1].keep_to == length
    assert all(a.keep_to == b.keep_from for a, b in pairwise(found))


@given(CUTS)
def test_every_span_reads_its_halo_where_the_picture_has_it_and_no_more_than_a_tile(
    cut: tuple[int, int, int, int],
) -> None:
    length, tile, halo, multiple = cut

    for span in tiling.spans(length, tile, halo, multiple):
        assert span.start <= max(span.keep_from - halo, 0)
        assert span.stop >= min(span.keep_to + halo, length)
        assert span.size <= tile
        assert span.start % multiple == 0


@given(CUTS)
def test_the_shares_of_all_spans_add_up_to_one(cut: tuple[int, int, int, int]) -> None:
    length, tile, halo, multiple = cut
    total = np.zeros(length)

    for span in tiling.spans(length, tile, halo, multiple):
        total[span.start : span.stop] += tiling.weights(span, length, min(16, halo))

    np.testing.assert_allclose(total, 1.0, atol=1e-6)


@given(CUTS, st.data())
def test_the_window_around_a_stretch_has_its_context_and_ends_as_the_spans_do(
    cut: tuple[int, int, int, int], data: st.DataObject
) -> None:
    length, _tile, halo, multiple = cut
    whole = tiling.spans(*cut)
    low = data.draw(st.integers(0, length - 1))
    high = data.draw(st.integers(low + 1, length))

    start, stop = tiling.around(low, high, whole, halo, multiple)

    assert max(low - halo - multiple, -1) < start <= max(low - halo, 0)
    assert min(high + halo, length) <= stop <= length
    beside = [span for span in whole if span.keep_from <= (low + high) / 2 <= span.keep_to]
    assert start % multiple == 0
    assert any((stop - span.stop) % multiple == 0 for span in beside) or stop == length


def test_a_tile_smaller_than_its_halo_is_refused() -> None:
    with pytest.raises(ValueError, match="too small for a halo of 64"):
        tiling.spans(1000, 128, 64, 8)
