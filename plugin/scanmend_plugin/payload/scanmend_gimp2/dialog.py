"""The dialog of Filters > Restore > Restore...: what was measured, what would be done, and how it looks."""

from __future__ import absolute_import, division, print_function, unicode_literals

import time

import gimpui
import gtk
from scanmend_front import controls
from scanmend_front.words import gettext as _
from scanmend_front.words import title

from scanmend_gimp2 import dialog_save
from scanmend_gimp2.dialog_follower import Follower, News
from scanmend_gimp2.dialog_rows import Chooser, Rows, dimmed, labelled, say
from scanmend_gimp2.native import native
from scanmend_gimp2.preview import Preview

MYPY = False
if MYPY:
    from typing import Any, Dict, List, Optional, Sequence  # noqa: F401 - type comments

    from scanmend_front.faults import Trouble  # noqa: F401 - type comments
    from scanmend_front.session import Profile, Session  # noqa: F401 - type comments
    from scanmend_front.setup import Installation  # noqa: F401 - type comments

    from scanmend_gimp2.pixels import Subject  # noqa: F401 - type comments

_TURN = 0.01  # seconds that the loop rests
_WIDTH = 400  # pixels of the column of settings


class Choice(object):
    """What a person has chosen.

    Attributes:
        values: the arguments.
        job: the engine's, which holds the samples already; None where nothing was measured.
    """

    def __init__(self, values, job):
        # type: (Dict[str, Any], Optional[str]) -> None
        self.values = values
        self.job = job


def ask(installation, session, subject, values):
    # type: (Installation, Session, Subject, Dict[str, Any]) -> Optional[Choice]
    """Asks how to restore a subject; None where the person has cancelled.

    Args:
        installation: whose controls are shown.
        session: open.
        subject: the pixels.
        values: the arguments as they are shown first.

    Raises:
        Trouble: the engine does not tell its profiles.
    """
    gimpui.gimp_ui_init()
    dialog = _Dialog(installation, session, subject, values)
    wanted = False
    try:
        wanted = dialog.run()
        return Choice(dialog.values(), dialog.follower.job) if wanted else None
    finally:
        dialog.end(keep=wanted)


class _Dialog(object):
    def __init__(self, installation, session, subject, values):
        # type: (Installation, Session, Subject, Dict[str, Any]) -> None
        self._session = session
        self._profiles = {}  # type: Dict[str, Profile]
        self._answer = None  # type: Optional[bool]
        self._dialog = gimpui.Dialog(native(_("Restore")), native("scanmend"))
        self._dialog.add_button(gtk.STOCK_CANCEL, gtk.RESPONSE_CANCEL)
        self._restore = self._dialog.add_button(native(_("R_estore")), gtk.RESPONSE_OK)
        self._dialog.set_alternative_button_order((gtk.RESPONSE_OK, gtk.RESPONSE_CANCEL))
        self._dialog.set_default_response(gtk.RESPONSE_OK)
        self._dialog.connect(native("response"), self._on_response)
        self._profile = Chooser(self._on_profile)
        self._purpose = dimmed(width=_WIDTH)
        self._save = gtk.Button(native(_("_Save as Profile\u2026")))
        self._save.connect(native("clicked"), lambda _button: self._on_save())
        self._rows = Rows(controls.declared(installation.keys), values, self._on_settings)
        self._output = Chooser(self._on_settings)
        labels = (
            (controls.LAYERS, _("New layers")),
            (controls.IN_PLACE, _("In place of the layer's pixels")),
        )
        self._output.fill(labels, values["output"])
        self._preview = Preview(subject, self._on_moved)
        self._switch = gtk.CheckButton(native(_("Pre_view")))
        self._switch.set_active(True)
        self._switch.connect(native("toggled"), lambda _button: self._on_switch())
        self._wait = gtk.Label()
        self._plan = dimmed(width=460)
        self._status = dimmed(width=560)
        self._again = gtk.Button(native(_("Try _Again")))
        self._again.set_no_show_all(True)
        self._again.connect(native("clicked"), lambda _button: self._want(soon=True))
        self._device = dimmed()
        self._offer(session.profiles(), values["profile"])
        self._device_line()
        self.follower = Follower(
            session,
            subject,
            News(self._on_news, self._rows.hint, self._on_plan, self._preview.show, self._on_trouble),
        )
        self._place()

    def run(self):
        # type: () -> bool
        """Shows it until the person has decided; whether to restore."""
        self.show()
        while self._answer is None:
            self.turn()
        return self._answer

    def show(self):
        # type: () -> None
        """Brings it to the screen, and begins to measure."""
        self._dialog.show_all()
        self._dialog.set_transient()
        self._restore.grab_focus()  # on a list, which comes first, Return would open it
        self._preview.draw()
        self._want()

    def turn(self):
        # type: () -> None
        """One turn of a loop that stands for gtk.main: threads run on while it rests, in every PyGTK."""
        while gtk.events_pending():
            gtk.main_iteration(False)
        self.follower.turn()
        time.sleep(_TURN)

    def end(self, keep=False):
        # type: (bool) -> None
        """Takes it off the screen, and ends all that runs; the engine keeps the samples, or does not."""
        self._dialog.destroy()
        while gtk.events_pending():
            gtk.main_iteration(False)
        self.follower.close(keep)

    def values(self):
        # type: () -> Dict[str, Any]
        """The arguments as the dialog has them."""
        return dict(self._rows.values(), profile=self._profile.value, output=self._output.value)

    # --- what stands where ---------------------------------------------------------------

    def _place(self):
        # type: () -> None
        columns = gtk.HBox(False, 18)
        columns.pack_start(self._settings(), False, False)
        columns.pack_start(self._picture(), True, True)
        foot = gtk.HBox(False, 12)
        foot.pack_start(self._status, True, True)
        foot.pack_start(self._again, False, False)
        foot.pack_end(self._device, False, False)
        body = gtk.VBox(False, 12)
        body.set_border_width(12)
        body.pack_start(columns, True, True)
        body.pack_start(foot, False, False)
        self._dialog.vbox.pack_start(body, True, True)

    def _settings(self):
        # type: () -> gtk.Widget
        box = gtk.VBox(False, 12)
        head = gtk.Table(2, 3)
        head.set_col_spacings(6)
        head.set_row_spacings(2)
        head.attach(labelled(_("Profile"), self._profile.widget), 0, 1, 0, 1, gtk.FILL, 0)
        head.attach(self._profile.widget, 1, 2, 0, 1, gtk.EXPAND | gtk.FILL, 0)
        head.attach(self._save, 2, 3, 0, 1, gtk.FILL, 0)
        box.pack_start(head, False, False)
        box.pack_start(self._purpose, False, False)
        box.pack_start(_framed(_("Settings"), self._rows.widget), False, False)
        output = gtk.HBox(False, 6)
        output.pack_start(labelled(_("Result"), self._output.widget), False, False)
        output.pack_start(self._output.widget, True, True)
        box.pack_start(output, False, False)
        return box

    def _picture(self):
        # type: () -> gtk.Widget
        box = gtk.VBox(False, 6)
        head = gtk.HBox(False, 6)
        head.pack_start(gtk.Label(native(_("Before"))), False, False)
        head.pack_start(self._wait, True, True)
        head.pack_end(gtk.Label(native(_("After"))), False, False)
        frame = gtk.Frame()
        frame.add(self._preview.widget)
        for part in (head, frame, self._switch):
            box.pack_start(part, False, False)
        box.pack_start(_framed(_("What will be done"), self._plan), True, True)
        return box

    # --- what happens --------------------------------------------------------------------

    def _offer(self, profiles, chosen):
        # type: (Sequence[Profile], str) -> None
        self._profiles = {profile.name: profile for profile in profiles}
        self._profile.fill([(profile.name, title(profile.name)) for profile in profiles], chosen)
        self._show_profile()

    def _show_profile(self):
        # type: () -> None
        profile = self._profiles[self._profile.value]
        say(self._purpose, _(profile.purpose) if profile.purpose else "")
        self._rows.follow(profile.settings)

    def _device_line(self):
        # type: () -> None
        device = self._session.health.get("device") or self._session.health.get("wanted_device") or ""
        say(self._device, _("Runs on: %s") % device if device else "")

    def _want(self, soon=False):
        # type: (bool) -> None
        """Tells the follower what is to be measured and shown now."""
        profile = self._profiles[self._profile.value]
        box = self._preview.box if self._switch.get_active() else None
        self.follower.want(controls.settings(profile.settings, self.values()), profile.name, box, soon)

    def _on_profile(self):
        # type: () -> None
        self._show_profile()
        self._want()

    def _on_settings(self):
        # type: () -> None
        self._want()

    def _on_moved(self):
        # type: () -> None
        self._want(soon=True)

    def _on_switch(self):
        # type: () -> None
        if not self._switch.get_active():
            self._preview.forget()
        self._want(soon=True)

    def _on_news(self, text):
        # type: (str) -> None
        self._wait.set_text(native(text))
        say(self._status, "")
        self._again.hide()

    def _on_plan(self, sentences):
        # type: (List[str]) -> None
        say(self._plan, "\n".join(sentences))

    def _on_trouble(self, trouble):
        # type: (Trouble) -> None
        self._wait.set_text(native(""))
        say(self._status, trouble.text)
        self._again.show()

    def _on_response(self, _dialog, response):
        # type: (gtk.Dialog, int) -> None
        self._answer = response == gtk.RESPONSE_OK

    def _on_save(self):
        # type: () -> None
        profile = self._profiles[self._profile.value]
        settings = controls.settings(profile.settings, self.values())
        saved = dialog_save.save(self._dialog, self._session, settings, profile)
        if saved is None:
            return
        name, sentence = saved
        self._rows.reset()  # they are now what the new profile says
        self._offer(self._session.profiles(), name)
        self._want()
        say(self._status, sentence)


def _framed(text, widget):
    # type: (str, gtk.Widget) -> gtk.Widget
    frame = gtk.Frame()
    head = gtk.Label()
    head.set_markup(native("<b>%s</b>" % text))
    frame.set_label_widget(head)
    frame.set_shadow_type(gtk.SHADOW_NONE)
    inset = gtk.Alignment(0.0, 0.0, 1.0, 1.0)
    inset.set_padding(6, 0, 12, 0)
    inset.add(widget)
    frame.add(inset)
    return frame
