"""A result becomes layers, or takes a layer's place: in one undo step, and only once all of it is here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp  # noqa: E402 - versions come first
from scanmend_front import memory  # noqa: E402
from scanmend_front.faults import Trouble  # noqa: E402
from scanmend_front.session import Result  # noqa: E402
from scanmend_front.words import gettext as _  # noqa: E402
from scanmend_front.words import title  # noqa: E402

from scanmend_gimp3.pixels import Subject, copied, whole, write  # noqa: E402
from scanmend_gimp3.targets import Former, Target, mark  # noqa: E402

REMOVED = "difference"
"""The plane of which the layer "Removed" is made."""
_MOST_REPORT = 40_000  # characters: with the rest it stays below what is read back
_PLAIN = (Gimp.LayerMode.NORMAL, Gimp.LayerMode.NORMAL_LEGACY)


def insert(
    image: Gimp.Image, target: Target, subject: Subject, result: Result, arguments: Mapping[str, Any]
) -> None:
    """Puts the result into a group above its source, which stays as it is.

    Raises:
        Trouble: the result could not be fetched, or GIMP refuses; the image is as it was.
    """
    name = _("Restored: %s") % title(arguments["profile"])
    made: list[Gimp.Layer] = []
    try:
        # Outside the image as yet: whatever happens until all is here leaves no trace in it.
        made.append(Gimp.GroupLayer.new(image, name))
        for plane, part, words in (
            (REMOVED, memory.REMOVED, _("Removed")),
            ("pixels", memory.RESTORED, _("Restored")),
        ):
            made.append(_layer(image, words, subject))
            write(made[-1].get_buffer(), whole(made[-1]), subject.samples, result.pieces(plane))
            _attach(made[-1], memory.PART, part.encode("ascii"))
        group, removed, restored = made
        source = mark(target.layer, memory.SOURCE) or memory.new_name()
        remembered = {**_memory(target, restored, removed, result, arguments), "name": source}
        _attach(group, memory.PARASITE, memory.dump(remembered))
    except BaseException:
        for layer in made:
            layer.delete()
        raise
    with _one_step(image):
        _attach(target.layer, memory.SOURCE, source.encode("ascii"), Gimp.PARASITE_UNDOABLE)
        _arrange(image, target, group, (restored, removed))
        _show(target, group)
        image.set_selected_layers([restored])


def replace(image: Gimp.Image, target: Target, subject: Subject, result: Result) -> None:
    """Puts the result in place of the layer's own pixels, as far as they are selected.

    Raises:
        Trouble: as `insert`.
    """
    layer = target.layer
    shadow = layer.get_shadow_buffer()
    try:
        write(shadow, target.box, subject.samples, result.pieces())
        if target.former is None:
            _check_selection(target)
    except BaseException:
        layer.free_shadow()
        raise
    with _one_step(image):
        if target.former is None:
            _must(layer.merge_shadow(True))
        else:
            with _selection_of(image, target, target.former):
                _must(layer.merge_shadow(True))
            _leave(image, target.former)
            if target.former.hides:
                _must(layer.set_visible(True))
            image.set_selected_layers([layer])
        layer.update(*target.box)


def _layer(image: Gimp.Image, name: str, subject: Subject) -> Gimp.Layer:
    """A layer of the target's size, at its place, of the source's type; not in the image yet."""
    source, box = subject.drawable, subject.target
    layer = Gimp.Layer.new(image, name, box.width, box.height, source.type(), 100.0, Gimp.LayerMode.NORMAL)
    _ok, x, y = source.get_offsets()
    layer.set_offsets(x + box.x, y + box.y)
    return layer


def _memory(
    target: Target, restored: Gimp.Layer, removed: Gimp.Layer, result: Result, arguments: Mapping[str, Any]
) -> dict[str, Any]:
    """What the group remembers, so that it can be made anew."""
    hid = target.former.hides if target.former is not None else target.layer.get_visible()
    values = {
        "arguments": dict(arguments),
        "source": target.layer.get_tattoo(),
        "layer": restored.get_tattoo(),
        "removed": removed.get_tattoo(),
        "box": list(target.box),
        "hides": hid and _is_replaced(target),
    }
    return {**values, "report": result.report if len(str(result.report)) < _MOST_REPORT else {}}


def _attach(layer: Gimp.Layer, parasite: str, data: bytes, flags: int = 0) -> None:
    flags |= Gimp.PARASITE_PERSISTENT
    _must(layer.attach_parasite(Gimp.Parasite.new(parasite, flags, list(data))))


def _arrange(
    image: Gimp.Image, target: Target, group: Gimp.Layer, layers: tuple[Gimp.Layer, Gimp.Layer]
) -> None:
    """Puts the group above the source, or in the place of an earlier one, and the layers into it."""
    source, former = target.layer, target.former
    above: Gimp.Layer = former.group if former is not None else source
    parent, position = above.get_parent(), image.get_item_position(above)
    others = former.others if former is not None else ()
    if former is not None:
        _leave(image, former)
    _must(image.insert_layer(group, parent, position + len(others)))
    restored, removed = layers
    _must(image.insert_layer(restored, group, 0))
    removed.set_visible(False)
    _must(image.insert_layer(removed, group, 0))
    if target.mask is not None:
        _add_mask(restored, target.mask)
    own = source.get_mask()
    if own is not None and source.get_apply_mask():
        _add_mask(group, copied(own, target.box))  # before others come: the group has the box's size
    for other in reversed(others):
        _must(image.reorder_item(other, group, 0))


def _leave(image: Gimp.Image, former: Former) -> None:
    """Removes an earlier restoration; what the person has put into its group stays in its place."""
    parent, position = former.group.get_parent(), image.get_item_position(former.group)
    for other in reversed(former.others):
        _must(image.reorder_item(other, parent, position))
    _must(image.remove_layer(former.group))  # before others come, whose names would be numbered


def _add_mask(layer: Gimp.Layer, amounts: Gegl.Buffer) -> None:
    """Gives a layer a mask; it is filled before GIMP's undo sees it."""
    mask = layer.create_mask(Gimp.AddMaskType.WHITE)
    amounts.copy(amounts.get_extent(), Gegl.AbyssPolicy.NONE, mask.get_buffer(), amounts.get_extent())
    mask.get_buffer().flush()
    _must(layer.add_mask(mask))
    mask.update(*whole(mask))
    layer.set_edit_mask(False)  # GIMP would paint on the new mask from now on


def _show(target: Target, group: Gimp.Layer) -> None:
    """Lets the group take part in the picture as its source did.

    A source that what lies below shines through would shine through itself: it is hidden, where all of
    it has been restored.
    """
    source = target.layer
    group.set_mode(source.get_mode())
    group.set_opacity(source.get_opacity())
    group.set_blend_space(source.get_blend_space())
    group.set_composite_space(source.get_composite_space())
    group.set_composite_mode(source.get_composite_mode())
    if _is_replaced(target):
        source.set_visible(False)


def _is_replaced(target: Target) -> bool:
    """Whether the source has to be hidden: all of it is restored, and it would shine through."""
    return target.mask is None and target.box == whole(target.layer) and not _covers(target.layer)


def _covers(layer: Gimp.Layer) -> bool:
    """Whether nothing of what lies below a layer is seen through it."""
    if layer.get_mode() not in _PLAIN or layer.get_opacity() < 100.0:
        return False
    if layer.get_mask() is not None and layer.get_apply_mask():
        return False
    if not layer.has_alpha():
        return True
    _ok, _mean, _deviation, _median, pixels, opaque, _share = layer.histogram(
        Gimp.HistogramChannel.ALPHA, 1.0, 1.0
    )
    return bool(opaque >= pixels)


def _check_selection(target: Target) -> None:
    """GIMP merges what is selected now, which has to be what was selected then."""
    hit, *sides = target.layer.mask_intersect()
    if not hit or tuple(sides) != tuple(target.box):
        raise Trouble(_("The selection was changed meanwhile; nothing was changed. Start again."))


@contextmanager
def _selection_of(image: Gimp.Image, target: Target, former: Former) -> Iterator[None]:
    """Selects what an earlier restoration had selected, for a while."""
    kept = None if Gimp.Selection.is_empty(image) else Gimp.Selection.save(image)
    mask = former.layer.get_mask() if former.layer is not None else None
    _ok, x, y = target.layer.get_offsets()
    try:
        Gimp.context_set_feather(False)  # a script that calls may have chosen otherwise for itself
        box = target.box.moved(x, y)
        _must(image.select_rectangle(Gimp.ChannelOps.REPLACE, *box))
        if mask is not None:
            _must(image.select_item(Gimp.ChannelOps.INTERSECT, mask))
        yield
    finally:
        if kept is None:
            Gimp.Selection.none(image)
        else:
            image.select_item(Gimp.ChannelOps.REPLACE, kept)
            image.remove_channel(kept)


@contextmanager
def _one_step(image: Gimp.Image) -> Iterator[None]:
    """All that happens inside is undone at once."""
    Gimp.context_push()
    image.undo_group_start()
    try:
        yield
    finally:
        image.undo_group_end()
        Gimp.context_pop()


def _must(done: object) -> None:
    """Turns GIMP's silent refusals into words.

    Raises:
        Trouble: it was not done.
    """
    if not done:
        raise Trouble(_("GIMP refuses: %s") % Gimp.get_pdb().get_last_error())
