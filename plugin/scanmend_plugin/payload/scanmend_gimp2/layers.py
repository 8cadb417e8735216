"""A result becomes layers, or takes a layer's place: in one undo step, and only once all of it is here."""

from __future__ import absolute_import, division, print_function, unicode_literals

from contextlib import contextmanager

import gimp
from gimpenums import (
    ADD_MASK_WHITE,
    CHANNEL_OP_INTERSECT,
    CHANNEL_OP_REPLACE,
    HISTOGRAM_ALPHA,
    LAYER_MODE_NORMAL,
    LAYER_MODE_NORMAL_LEGACY,
    PARASITE_PERSISTENT,
    PARASITE_UNDOABLE,
)
from scanmend_front import memory
from scanmend_front.faults import Trouble
from scanmend_front.words import gettext as _
from scanmend_front.words import title

from scanmend_gimp2.native import native
from scanmend_gimp2.pixels import Box, read, whole, write
from scanmend_gimp2.targets import mark

MYPY = False
if MYPY:
    from typing import Any, Dict, Iterator, List  # noqa: F401 - type comments

    from scanmend_front.session import Result  # noqa: F401 - type comments

    from scanmend_gimp2.pixels import Subject  # noqa: F401 - type comments
    from scanmend_gimp2.targets import Former, Target  # noqa: F401 - type comments

pdb = gimp.pdb

REMOVED = "difference"
"""The plane of which the layer "Removed" is made."""
_MOST_REPORT = 40000  # characters: with the rest it stays below what is read back
_PLAIN = (LAYER_MODE_NORMAL, LAYER_MODE_NORMAL_LEGACY)


def insert(image, target, subject, result, arguments):
    # type: (gimp.Image, Target, Subject, Result, Dict[str, Any]) -> None
    """Puts the result into a group above its source, which stays as it is.

    Raises:
        Trouble: the result could not be fetched; the image is as it was.
    """
    made = []  # type: List[gimp.Layer]
    try:
        # Outside the image as yet: whatever happens until all is here leaves no trace in it.
        made.append(subject.new_layer(_("Removed"), result.pieces(REMOVED)))
        made.append(subject.new_layer(_("Restored"), result.pieces()))
    except BaseException:
        for layer in made:
            pdb.gimp_item_delete(layer)
        raise
    removed, restored = made
    _attach(removed, memory.PART, memory.REMOVED.encode("ascii"))
    _attach(restored, memory.PART, memory.RESTORED.encode("ascii"))
    source = mark(target.layer, memory.SOURCE) or memory.new_name()
    group = pdb.gimp_layer_group_new(image)
    group.name = native(_("Restored: %s") % title(arguments["profile"]))
    remembered = dict(_memory(target, restored, removed, result, arguments), name=source)
    _attach(group, memory.PARASITE, memory.dump(remembered))  # later GIMP could not undo it
    with _one_step(image):
        _attach(target.layer, memory.SOURCE, source.encode("ascii"), PARASITE_UNDOABLE)
        _place(image, group, target)
        _put(image, group, restored, target)
        removed.visible = False
        _put(image, group, removed, target)
        _mask(group, restored, target)  # before others come: the group has the box's size
        for other in reversed(target.former.others if target.former is not None else ()):
            pdb.gimp_image_reorder_item(image, other, group, 0)
        _show(target, group)
        image.active_layer = restored


def replace(image, target, subject, result):
    # type: (gimp.Image, Target, Subject, Result) -> None
    """Puts the result in place of the layer's own pixels, as far as they are selected.

    Raises:
        Trouble: the result could not be fetched, or the selection has changed; the image is as it was.
    """
    layer, former = target.layer, target.former
    try:
        subject.fill_shadow(result.pieces())
        if former is None:
            _check_selection(target)
    except BaseException:
        layer.free_shadow()
        raise
    with _one_step(image):
        if former is None:
            layer.merge_shadow(True)
        else:
            with _selection_of(image, target, former):
                layer.merge_shadow(True)
            _leave(image, former)
            if former.hides:
                layer.visible = True
            image.active_layer = layer
        layer.update(*target.box)


def _place(image, group, target):
    # type: (gimp.Image, gimp.GroupLayer, Target) -> None
    """Puts the group above the source, or in the place of an earlier one."""
    former = target.former
    above = former.group if former is not None else target.layer
    parent, position = above.parent, pdb.gimp_image_get_item_position(image, above)
    others = former.others if former is not None else ()
    if former is not None:
        _leave(image, former)  # first, or the new names would be numbered
    pdb.gimp_image_insert_layer(image, group, parent, position + len(others))


def _leave(image, former):
    # type: (gimp.Image, Former) -> None
    """Removes an earlier restoration; what the person has put into its group stays in its place."""
    parent, position = former.group.parent, pdb.gimp_image_get_item_position(image, former.group)
    for other in reversed(former.others):
        pdb.gimp_image_reorder_item(image, other, parent, position)
    image.remove_layer(former.group)


def _put(image, group, layer, target):
    # type: (gimp.Image, gimp.GroupLayer, gimp.Layer, Target) -> None
    """Puts a layer on top of the group's, where the target is."""
    x, y = target.layer.offsets
    layer.set_offsets(x + target.box.x, y + target.box.y)
    pdb.gimp_image_insert_layer(image, layer, group, 0)


def _mask(group, restored, target):
    # type: (gimp.GroupLayer, gimp.Layer, Target) -> None
    """The selection becomes the restored layer's mask, the source's own mask that of the group."""
    if target.amounts is not None:
        _add_mask(restored, target.amounts)
    own = target.layer.mask
    if own is not None and target.layer.apply_mask:
        _add_mask(group, b"".join(read(own, target.box)))


def _add_mask(layer, amounts):
    # type: (gimp.Layer, bytes) -> None
    """Gives a layer a mask; it is filled before GIMP's undo sees it."""
    mask = layer.create_mask(ADD_MASK_WHITE)
    write(mask, whole(mask), [amounts])
    layer.add_mask(mask)
    layer.edit_mask = False  # GIMP would paint on the new mask from now on


def _memory(target, restored, removed, result, arguments):
    # type: (Target, gimp.Layer, gimp.Layer, Result, Dict[str, Any]) -> Dict[str, Any]
    """What the group remembers, so that it can be made anew."""
    hid = target.former.hides if target.former is not None else target.layer.visible
    return {
        "arguments": dict(arguments),
        "source": target.layer.tattoo,
        "layer": restored.tattoo,
        "removed": removed.tattoo,
        "box": list(target.box),
        "hides": bool(hid and _is_replaced(target)),
        "report": result.report if len(repr(result.report)) < _MOST_REPORT else {},
    }


def _attach(layer, parasite, data, flags=0):
    # type: (gimp.Layer, str, bytes, int) -> None
    layer.attach_new_parasite(native(parasite), PARASITE_PERSISTENT | flags, data)


def _show(target, group):
    # type: (Target, gimp.GroupLayer) -> None
    """Lets the group take part in the picture as its source did.

    A source that what lies below shines through would shine through itself: it is hidden, where all of
    it has been restored.
    """
    source = target.layer
    group.mode = source.mode
    group.opacity = source.opacity
    pdb.gimp_layer_set_blend_space(group, pdb.gimp_layer_get_blend_space(source))
    pdb.gimp_layer_set_composite_space(group, pdb.gimp_layer_get_composite_space(source))
    pdb.gimp_layer_set_composite_mode(group, pdb.gimp_layer_get_composite_mode(source))
    if _is_replaced(target):
        source.visible = False


def _is_replaced(target):
    # type: (Target) -> bool
    """Whether the source has to be hidden: all of it is restored, and it would shine through."""
    return target.amounts is None and target.box == whole(target.layer) and not _covers(target.layer)


def _covers(layer):
    # type: (gimp.Layer) -> bool
    """Whether nothing of what lies below a layer is seen through it."""
    if layer.mode not in _PLAIN or layer.opacity < 100.0:
        return False
    if layer.mask is not None and layer.apply_mask:
        return False
    if not layer.has_alpha:
        return True
    _mean, _deviation, _median, pixels, opaque, _share = pdb.gimp_drawable_histogram(
        layer, HISTOGRAM_ALPHA, 1.0, 1.0
    )
    return bool(opaque >= pixels)


def _check_selection(target):
    # type: (Target) -> None
    """GIMP merges what is selected now, which has to be what was selected then."""
    hit, x, y, width, height = pdb.gimp_drawable_mask_intersect(target.layer)
    if not hit or Box(x, y, width, height) != target.box:
        raise Trouble(_("The selection was changed meanwhile; nothing was changed. Start again."))


@contextmanager
def _selection_of(image, target, former):
    # type: (gimp.Image, Target, Former) -> Iterator[None]
    """Selects what an earlier restoration had selected, for a while."""
    kept = None if pdb.gimp_selection_is_empty(image) else pdb.gimp_selection_save(image)
    x, y = target.layer.offsets
    box = target.box
    try:
        pdb.gimp_context_set_feather(False)  # a script that calls may have chosen otherwise for itself
        pdb.gimp_image_select_rectangle(
            image, CHANNEL_OP_REPLACE, box.x + x, box.y + y, box.width, box.height
        )
        if former.layer is not None and former.layer.mask is not None:
            pdb.gimp_image_select_item(image, CHANNEL_OP_INTERSECT, former.layer.mask)
        yield
    finally:
        if kept is None:
            pdb.gimp_selection_none(image)
        else:
            pdb.gimp_image_select_item(image, CHANNEL_OP_REPLACE, kept)
            image.remove_channel(kept)


@contextmanager
def _one_step(image):
    # type: (gimp.Image) -> Iterator[None]
    """All that happens inside is undone at once."""
    gimp.context_push()
    image.undo_group_start()
    try:
        yield
    finally:
        image.undo_group_end()
        gimp.context_pop()
