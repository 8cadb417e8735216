"""What is to be restored: a layer, a place in it, or an earlier restoration that is done anew."""

from __future__ import absolute_import, division, print_function, unicode_literals

import gimp
from scanmend_front import memory
from scanmend_front.faults import Trouble
from scanmend_front.words import gettext as _

from scanmend_gimp2.native import native, text
from scanmend_gimp2.pixels import Box, read, whole

MYPY = False
if MYPY:
    from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple  # noqa: F401 - type comments

    from scanmend_gimp2.pixels import Subject  # noqa: F401 - type comments

pdb = gimp.pdb


class Former(object):
    """An earlier restoration, which the new one replaces.

    Attributes:
        group: its layers.
        layer: the restored one; None where it was taken away.
        arguments: what it was made with.
        hides: whether its source was hidden for it.
        others: what the person has put into the group.
    """

    def __init__(self, group, layer, arguments, hides, others):
        # type: (gimp.GroupLayer, Optional[gimp.Layer], Dict[str, Any], bool, Sequence[gimp.Layer]) -> None
        self.group = group
        self.layer = layer
        self.arguments = arguments
        self.hides = hides
        self.others = tuple(others)


class Target(object):
    """What is to be restored.

    Attributes:
        layer: the source of the samples.
        box: the part that is restored, in the layer's pixels.
        amounts: samples of a mask over the box: how much of each pixel is restored; None for all of it.
        former: what the result replaces.
    """

    def __init__(self, layer, box, amounts, former=None):
        # type: (gimp.Layer, Box, Optional[bytes], Optional[Former]) -> None
        self.layer = layer
        self.box = box
        self.amounts = amounts
        self.former = former


def find(image, drawable):
    # type: (gimp.Image, gimp.Drawable) -> Target
    """The target that the active drawable names.

    Raises:
        Trouble: it names none; the sentence says what to choose instead.
    """
    chosen = _checked(image, drawable)
    former = _former(chosen)
    if former is not None:
        return _again(image, *former)
    if isinstance(chosen, gimp.GroupLayer):
        raise Trouble(_("A layer group has no pixels of its own; choose a layer inside it."))
    hit, x, y, width, height = pdb.gimp_drawable_mask_intersect(chosen)
    if not hit or not width or not height:
        raise Trouble(_("The selection does not touch the layer; move it, or choose Select > None."))
    box = Box(x, y, width, height)
    return Target(chosen, box, _selected(image, chosen, box))


def check_in_place(target):
    # type: (Target) -> None
    """Refuses where a layer's own pixels must not change.

    Raises:
        Trouble: they are locked, or GIMP draws them itself.
    """
    item = target.layer  # type: Optional[gimp.Item]
    while item is not None:
        if pdb.gimp_item_get_lock_content(item):
            raise Trouble(
                _("The pixels of %s are locked; unlock them in the Layers dialog, or choose New layers.")
                % text(item.name)
            )
        item = item.parent
    if pdb.gimp_item_is_text_layer(target.layer):
        raise Trouble(
            _("GIMP draws %s anew from its text or source; choose New layers, or rasterize it first.")
            % text(target.layer.name)
        )


def check_still_there(subject, unpainted):
    # type: (Subject, bool) -> None
    """Refuses where somebody has changed the layer so far meanwhile that the result does not fit.

    Args:
        subject: the layer.
        unpainted: whether its samples have to be those that were sent: the result takes their place.

    Raises:
        Trouble: it is gone, or of another size, or was painted on.
    """
    there = pdb.gimp_item_is_valid(subject.layer) and whole(subject.layer) == subject.size
    if not there or (unpainted and not subject.is_as_sent()):
        raise Trouble(_("The layer was removed or changed meanwhile; nothing was done to it. Start again."))


def _checked(image, drawable):
    # type: (gimp.Image, gimp.Drawable) -> gimp.Layer
    """The layer that a drawable is, if such a one can be restored."""
    if drawable.is_layer_mask:
        raise Trouble(
            _("The mask of the layer is chosen, not its picture; click on the picture in the Layers dialog.")
        )
    if not isinstance(drawable, gimp.Layer):
        raise Trouble(_("Only layers are restored, not channels or selections; choose a layer."))
    if drawable.is_indexed:
        raise Trouble(
            _("Indexed images have too few colours to be restored; choose Image > Mode > RGB first.")
        )
    if image.floating_selection is not None:
        raise Trouble(_("There is a floating selection; anchor it first with Layer > Anchor Layer."))
    return drawable


def _former(chosen):
    # type: (gimp.Layer) -> Optional[Tuple[gimp.GroupLayer, Dict[str, Any]]]
    """The group around or at a layer that remembers a restoration, and what it remembers."""
    item = chosen  # type: Optional[gimp.Layer]
    while item is not None:
        parasite = item.parasite_find(native(memory.PARASITE))
        remembered = memory.load(parasite.data) if parasite is not None else None
        if remembered is not None and isinstance(item, gimp.GroupLayer):
            # A layer that somebody has put into the group is the person's own.
            made = [one.ID for one in _made(item, remembered) if one is not None]
            return (item, remembered) if chosen.ID in [item.ID] + made else None
        item = item.parent
    return None


def _again(image, group, remembered):
    # type: (gimp.Image, gimp.GroupLayer, Dict[str, Any]) -> Target
    """The target of an earlier restoration: the same place of the same layer, whatever is selected now."""
    source = _source(image, group, remembered)
    if source is None or isinstance(source, gimp.GroupLayer):
        raise Trouble(
            _("The layer that %s was made from is no longer there; choose another layer.") % text(group.name)
        )
    box = _remembered_box(remembered.get("box"), whole(source))
    layer, removed = _made(group, remembered)
    amounts = None
    if layer is not None and layer.mask is not None:
        left, top = _offset_between(source, layer)
        place = Box(box.x + left, box.y + top, box.width, box.height)
        if _lies_in(place, whole(layer)):
            amounts = b"".join(read(layer.mask, place))
    made = [one.ID for one in (layer, removed) if one is not None]
    others = [child for child in group.layers if child.ID not in made]
    arguments = remembered.get("arguments")
    known = arguments if isinstance(arguments, dict) else {}
    return Target(source, box, amounts, Former(group, layer, known, bool(remembered.get("hides")), others))


def _made(group, remembered):
    # type: (gimp.GroupLayer, Dict[str, Any]) -> Tuple[Optional[gimp.Layer], Optional[gimp.Layer]]
    """The restored layer of a group, and the one with what was removed, as far as they are still there."""
    children = list(reversed(group.layers))
    return (
        _marked(children, memory.PART, memory.RESTORED, remembered.get("layer")),
        _marked(children, memory.PART, memory.REMOVED, remembered.get("removed")),
    )


def _source(image, group, remembered):
    # type: (gimp.Image, gimp.GroupLayer, Dict[str, Any]) -> Optional[gimp.Layer]
    layers = list(_all_layers(image.layers))
    at = [layer.ID for layer in layers].index(group.ID)
    below_first = layers[at:] + layers[:at]
    name = remembered.get("name")
    return _marked(below_first, memory.SOURCE, name, remembered.get("source")) if name else None


def _marked(layers, parasite, word, tattoo):
    # type: (List[gimp.Layer], str, Any, Any) -> Optional[gimp.Layer]
    """The layer that a parasite marks with a word.

    Of several, which are copies, it is the one of the tattoo; in a copy of the image, where tattoos are
    others, the first.
    """
    marked = [layer for layer in layers if mark(layer, parasite) == word]
    first = marked[0] if marked else None
    return next((layer for layer in marked if layer.tattoo == tattoo), first)


def mark(layer, parasite):
    # type: (gimp.Layer, str) -> str
    """The word that a parasite of a layer holds; nothing where it has none."""
    found = layer.parasite_find(native(parasite))
    return memory.word(found.data) if found is not None else ""


def _all_layers(layers):
    # type: (Sequence[gimp.Layer]) -> Iterator[gimp.Layer]
    """From top to bottom, those in groups too."""
    for layer in layers:
        yield layer
        if isinstance(layer, gimp.GroupLayer):
            for below in _all_layers(layer.layers):
                yield below


def _remembered_box(sides, layer):
    # type: (Any, Box) -> Box
    if isinstance(sides, list) and len(sides) == 4 and all(isinstance(side, int) for side in sides):
        box = Box(*sides)
        if box.width > 0 and box.height > 0 and _lies_in(box, layer):
            return box
    return layer


def _lies_in(box, other):
    # type: (Box, Box) -> bool
    return (
        box.x >= other.x
        and box.y >= other.y
        and box.x + box.width <= other.x + other.width
        and box.y + box.height <= other.y + other.height
    )


def _selected(image, layer, box):
    # type: (gimp.Image, gimp.Layer, Box) -> Optional[bytes]
    """What is selected of a layer's box, kept: the person may select something else meanwhile."""
    if pdb.gimp_selection_is_empty(image):
        return None
    x, y = layer.offsets
    return b"".join(read(image.selection, Box(box.x + x, box.y + y, box.width, box.height)))


def _offset_between(layer, other):
    # type: (gimp.Drawable, gimp.Drawable) -> Tuple[int, int]
    """What is added to a layer's pixels to get the other's."""
    x, y = layer.offsets
    other_x, other_y = other.offsets
    return x - other_x, y - other_y
