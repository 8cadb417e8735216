"""What is to be restored: a layer, a place in it, or an earlier restoration that is done anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gi

gi.require_version("Gegl", "0.4")
gi.require_version("Gimp", "3.0")
from gi.repository import Gegl, Gimp  # noqa: E402 - versions come first
from scanmend_front import memory  # noqa: E402
from scanmend_front.faults import Trouble  # noqa: E402
from scanmend_front.words import gettext as _  # noqa: E402

from scanmend_gimp3.pixels import Box, Subject, copied, samples_of, whole  # noqa: E402

_DRAWN_ANEW = ("is_text_layer", "is_vector_layer", "is_link_layer")  # the last two since GIMP 3.2


@dataclass(frozen=True)
class Former:
    """An earlier restoration, which the new one replaces.

    Attributes:
        group: its layers.
        layer: the restored one; None where it was taken away.
        arguments: what it was made with.
        hides: whether its source was hidden for it.
        others: what the person has put into the group.
    """

    group: Gimp.Layer
    layer: Gimp.Layer | None
    arguments: Mapping[str, Any]
    hides: bool
    others: Sequence[Gimp.Item]


@dataclass(frozen=True)
class Target:
    """What is to be restored.

    Attributes:
        layer: the source of the samples.
        box: the part that is restored, in the layer's pixels.
        mask: how much of each pixel of the box is restored; None for all of it.
        former: what the result replaces.
    """

    layer: Gimp.Layer
    box: Box
    mask: Gegl.Buffer | None
    former: Former | None = None


def find(image: Gimp.Image, drawables: Sequence[Gimp.Item]) -> Target:
    """The target that the chosen drawables name.

    Raises:
        Trouble: they name none; the sentence says what to choose instead.
    """
    chosen = _one_layer(image, drawables)
    former = _former(chosen)
    if former is not None:
        return _again(image, *former)
    if chosen.is_group():
        raise Trouble(_("A layer group has no pixels of its own; choose a layer inside it."))
    hit, *sides = chosen.mask_intersect()
    box = Box(*sides)
    if not hit or not box.width or not box.height:
        raise Trouble(_("The selection does not touch the layer; move it, or choose Select > None."))
    return Target(chosen, box, _selected(image, chosen, box))


def check_for_layers(target: Target) -> None:
    """Refuses where new layers would not look as the layer does.

    Raises:
        Trouble: it has filters, which new layers cannot be given.
    """
    if any(one.get_visible() for one in target.layer.get_filters()):
        raise Trouble(
            _("%s has filters (fx), which new layers would lack; merge them into it, or choose In place.")
            % target.layer.get_name()
        )


def check_in_place(target: Target) -> None:
    """Refuses where a layer's own pixels must not change.

    Raises:
        Trouble: they are locked, or GIMP draws them itself.
    """
    item: Gimp.Item | None = target.layer
    while item is not None:
        if item.get_lock_content():
            raise Trouble(
                _("The pixels of %s are locked; unlock them in the Layers dialog, or choose New layers.")
                % item.get_name()
            )
        item = item.get_parent()
    if any(getattr(target.layer, asked, bool)() for asked in _DRAWN_ANEW):
        raise Trouble(
            _("GIMP draws %s anew from its text or source; choose New layers, or rasterize it first.")
            % target.layer.get_name()
        )


def check_still_there(subject: Subject, *, unpainted: bool) -> None:
    """Refuses where somebody has changed the layer so far meanwhile that the result does not fit.

    Args:
        subject: the layer.
        unpainted: whether its samples have to be those that were sent: the result takes their place.

    Raises:
        Trouble: it is gone, or of another size or kind, or was painted on.
    """
    layer = subject.drawable
    there = layer.is_valid() and whole(layer) == subject.layer and samples_of(layer) == subject.samples
    if not there or (unpainted and not subject.is_as_sent()):
        raise Trouble(_("The layer was removed or changed meanwhile; nothing was done to it. Start again."))


def _one_layer(image: Gimp.Image, drawables: Sequence[Gimp.Item]) -> Gimp.Layer:
    if len(drawables) != 1:
        raise Trouble(_("Only one layer is restored at a time; choose a single layer."))
    drawable = drawables[0]
    if drawable.is_layer_mask():
        raise Trouble(
            _("The mask of the layer is chosen, not its picture; click on the picture in the Layers dialog.")
        )
    if not isinstance(drawable, Gimp.Layer):
        raise Trouble(_("Only layers are restored, not channels or selections; choose a layer."))
    if drawable.is_indexed():
        raise Trouble(
            _("Indexed images have too few colours to be restored; choose Image > Mode > RGB first.")
        )
    if image.get_floating_sel() is not None:
        raise Trouble(_("There is a floating selection; anchor it first with Layer > Anchor Layer."))
    return drawable


def _former(chosen: Gimp.Layer) -> tuple[Gimp.Layer, Mapping[str, Any]] | None:
    """The group around or at a layer that remembers a restoration, and what it remembers."""
    item: Gimp.Item | None = chosen
    while item is not None:
        parasite = item.get_parasite(memory.PARASITE)
        remembered = memory.load(bytes(parasite.get_data())) if parasite else None
        if remembered is not None and isinstance(item, Gimp.Layer) and item.is_group():
            made = [one.get_id() for one in _made(item, remembered) if one is not None]
            return (item, remembered) if chosen.get_id() in {item.get_id(), *made} else None
        item = item.get_parent()
    return None


def _again(image: Gimp.Image, group: Gimp.Layer, remembered: Mapping[str, Any]) -> Target:
    """The target of an earlier restoration: the same place of the same layer, whatever is selected now."""
    source = _source(image, group, remembered)
    if source is None or source.is_group():
        raise Trouble(
            _("The layer that %s was made from is no longer there; choose another layer.") % group.get_name()
        )
    box = _remembered_box(remembered.get("box"), whole(source))
    layer, removed = _made(group, remembered)
    mask = layer.get_mask() if layer is not None else None
    scratch = None
    if mask is not None:
        scratch = copied(mask, box.moved(*_offset_between(source, mask)))
    made = [one.get_id() for one in (layer, removed) if one is not None]
    others = [child for child in group.get_children() if child.get_id() not in made]
    arguments = remembered.get("arguments")
    known = arguments if isinstance(arguments, dict) else {}
    return Target(source, box, scratch, Former(group, layer, known, bool(remembered.get("hides")), others))


def _made(group: Gimp.Layer, remembered: Mapping[str, Any]) -> tuple[Gimp.Layer | None, Gimp.Layer | None]:
    """The restored layer of a group, and the one with what was removed, as far as they are still there."""
    children = [child for child in reversed(group.get_children()) if isinstance(child, Gimp.Layer)]
    marks = "name" in remembered  # the plug-in of GIMP 2.10 has none
    return (
        _marked(children, memory.PART, marks and memory.RESTORED, remembered.get("layer")),
        _marked(children, memory.PART, marks and memory.REMOVED, remembered.get("removed")),
    )


def _source(image: Gimp.Image, group: Gimp.Layer, remembered: Mapping[str, Any]) -> Gimp.Layer | None:
    layers = list(_all_layers(image.get_layers()))
    at = [layer.get_id() for layer in layers].index(group.get_id())
    below_first = layers[at:] + layers[:at]
    return _marked(below_first, memory.SOURCE, remembered.get("name"), remembered.get("source"))


def _marked(layers: Sequence[Gimp.Layer], parasite: str, word: Any, tattoo: Any) -> Gimp.Layer | None:
    """The layer that a parasite marks with a word; without a word one that has no such mark.

    Of several, which are copies, it is the one of the tattoo; in a copy of the image, where tattoos are
    others, the first.
    """
    marked = [layer for layer in layers if mark(layer, parasite) == (word or "")]
    first = marked[0] if word and marked else None
    return next((layer for layer in marked if layer.get_tattoo() == tattoo), first)


def mark(layer: Gimp.Layer, parasite: str) -> str:
    """The word that a parasite of a layer holds; nothing where it has none."""
    found = layer.get_parasite(parasite)
    return memory.word(bytes(found.get_data())) if found else ""


def _all_layers(items: Sequence[Gimp.Item]) -> Iterator[Gimp.Layer]:
    """From top to bottom, those in groups too."""
    for item in items:
        if isinstance(item, Gimp.Layer):
            yield item
        if item.is_group():
            yield from _all_layers(item.get_children())


def _remembered_box(sides: Any, layer: Box) -> Box:
    if isinstance(sides, list) and len(sides) == 4 and all(isinstance(side, int) for side in sides):
        box = Box(*sides).within(layer)
        if box.width and box.height:
            return box
    return layer


def _selected(image: Gimp.Image, layer: Gimp.Layer, box: Box) -> Gegl.Buffer | None:
    """What is selected of a layer's box, kept: the person may select something else meanwhile."""
    if Gimp.Selection.is_empty(image):
        return None
    _ok, x, y = layer.get_offsets()
    return copied(image.get_selection(), box.moved(x, y))


def _offset_between(layer: Gimp.Drawable, other: Gimp.Drawable) -> tuple[int, int]:
    """What is added to a layer's pixels to get the other's."""
    _ok, x, y = layer.get_offsets()
    _ok, other_x, other_y = other.get_offsets()
    return x - other_x, y - other_y
