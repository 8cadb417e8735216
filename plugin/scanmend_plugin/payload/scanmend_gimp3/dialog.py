"""The dialog of Filters > Restore > Restore...: what was measured, what would be done, and how it looks."""

from __future__ import annotations

from typing import Any

import gi

gi.require_version("Gdk", "3.0")
gi.require_version("GimpUi", "3.0")
gi.require_version("Gtk", "3.0")
from gi.repository import Gdk, Gimp, GimpUi, Gtk  # noqa: E402 - versions come first
from scanmend_front import controls, setup  # noqa: E402
from scanmend_front.session import Profile, Session  # noqa: E402
from scanmend_front.words import gettext as _  # noqa: E402

from scanmend_gimp3.choice import Choice  # noqa: E402
from scanmend_gimp3.dialog_controls import Controls, chooser, labelled  # noqa: E402
from scanmend_gimp3.dialog_engine import Engine, News  # noqa: E402
from scanmend_gimp3.dialog_profiles import Profiles  # noqa: E402
from scanmend_gimp3.dialog_save import Saving  # noqa: E402
from scanmend_gimp3.dialog_status import Status  # noqa: E402
from scanmend_gimp3.pixels import Subject  # noqa: E402
from scanmend_gimp3.preview_panel import Panel  # noqa: E402

# The icon that GTK turns around in a spinner is missing where Adwaita no longer has it; GIMP brings this one.
_CSS = b"""
.scanmend-small { font-size: smaller; }
.scanmend-plan { padding: 4px; }
@keyframes scanmend-spin { to { -gtk-icon-transform: rotate(1turn); } }
spinner { opacity: 0; -gtk-icon-source: -gtk-icontheme("view-refresh-symbolic"); }
spinner:checked { opacity: 1; animation: scanmend-spin 1s linear infinite; }
"""


def ask(  # noqa: PLR0917 - the same for every front end
    procedure: Gimp.Procedure,
    config: Gimp.ProcedureConfig,
    image: Gimp.Image,  # noqa: ARG001
    drawable: Gimp.Drawable,  # noqa: ARG001
    session: Session,
    subject: Subject,
) -> Choice | None:
    """Asks how to restore a subject; the config holds the answer.

    Args:
        procedure: whose dialog it is.
        config: its arguments, shown and changed.
        image: the image that is restored.
        drawable: its layer.
        session: opened here, in the background; the caller closes it.
        subject: the pixels.

    Returns:
        The choice, or None where the person has cancelled.
    """
    GimpUi.init("scanmend")
    dialog = _Dialog(procedure, config, session, subject)
    wanted = False
    try:
        wanted = dialog.run()
        return Choice(job=dialog.engine.job) if wanted else None
    finally:
        dialog.end(keep=wanted)


class _Dialog:
    def __init__(
        self,
        procedure: Gimp.Procedure,
        config: Gimp.ProcedureConfig,
        session: Session,
        subject: Subject,
    ) -> None:
        installed = setup.installed()
        self._config = config
        self._declared = controls.declared(installed.keys)
        self._dialog = GimpUi.ProcedureDialog.new(procedure, config, _("Restore"))
        self._dialog.set_ok_label(_("R_estore"))
        self._profiles = Profiles(config, installed.profiles)
        self._controls = Controls(self._declared, config)
        self._save = Gtk.Button(label=_("Save as Pro_file\u2026"), use_underline=True, sensitive=False)
        self._save.connect("clicked", lambda _button: self._on_save())
        self._plan = Gtk.TextView(editable=False, cursor_visible=False, wrap_mode=Gtk.WrapMode.WORD_CHAR)
        self._panel = Panel(subject, self._on_moved)
        self._status = Status(self._on_again)
        self.engine = Engine(session, subject, self._panel, self._news(), self._values)
        self._place()
        config.connect("notify", lambda *_what: self._on_settings())

    def run(self) -> bool:
        """Shows it until the person has decided; whether to restore."""
        self.engine.start()
        return bool(self._dialog.run())

    def end(self, *, keep: bool) -> None:
        """Takes it off the screen and ends all that runs behind it; keeps the samples, or does not."""
        self._dialog.destroy()
        display = Gdk.Display.get_default()
        if display is not None:
            display.flush()  # nobody is to look at a dialog that no longer answers
        self.engine.close(keep=keep)

    # --- what stands where ---------------------------------------------------------------

    def _place(self) -> None:
        style = Gtk.CssProvider()
        style.load_from_data(_CSS)
        screen = Gdk.Screen.get_default()
        Gtk.StyleContext.add_provider_for_screen(screen, style, Gtk.STYLE_PROVIDER_PRIORITY_APPLICATION)
        columns = Gtk.Box(spacing=18)
        columns.pack_start(self._settings(), False, False, 0)
        columns.pack_start(self._panel.widget, True, True, 0)
        body = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=12, border_width=12)
        body.pack_start(columns, True, True, 0)
        body.pack_start(self._status.widget, False, False, 0)
        self._dialog.get_content_area().pack_start(body, True, True, 0)
        body.show_all()

    def _settings(self) -> Gtk.Box:
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=12)
        head = Gtk.Grid(row_spacing=2, column_spacing=6)
        head.attach(self._profiles.label, 0, 0, 1, 1)
        head.attach(self._profiles.combo, 1, 0, 1, 1)
        head.attach(self._save, 2, 0, 1, 1)
        head.attach(self._profiles.purpose, 1, 1, 2, 1)
        self._profiles.combo.set_hexpand(True)
        box.pack_start(head, False, False, 0)
        box.pack_start(_scrolled(_framed(_("Settings"), self._controls.widget)), False, False, 0)
        box.pack_start(self._output(), False, False, 0)
        box.pack_start(self._planned(), True, True, 0)
        return box

    def _output(self) -> Gtk.Box:
        choices = (
            (controls.LAYERS, _("New layers")),
            (controls.IN_PLACE, _("In place of the layer's pixels")),
        )
        combo = chooser(self._config, "output", choices)
        box = Gtk.Box(spacing=6)
        box.pack_start(labelled(_("Result"), combo), False, False, 0)
        box.pack_start(combo, True, True, 0)
        return box

    def _planned(self) -> GimpUi.Frame:
        self._plan.get_style_context().add_class("scanmend-plan")
        self._plan.get_accessible().set_name(_("What will be done"))
        scrolled = Gtk.ScrolledWindow(shadow_type=Gtk.ShadowType.IN, min_content_height=72)
        scrolled.set_policy(Gtk.PolicyType.NEVER, Gtk.PolicyType.AUTOMATIC)
        scrolled.add(self._plan)
        return _framed(_("What will be done"), scrolled)

    # --- what happens --------------------------------------------------------------------

    def _values(self) -> dict[str, Any]:
        """The arguments as the dialog has them."""
        names = ["profile", "output", *(control.name for control in self._declared)]
        names += [control.value_name for control in self._declared if control.kind != controls.CHOICE]
        return {name: self._config.get_property(name) for name in names}

    def _news(self) -> News:
        return News(
            wait=self._status.wait,
            fail=self._status.fail,
            warn=self._status.warn,
            device=self._on_device,
            profiles=self._on_profiles,
            settings=self._controls.follow,
            measuring=self._controls.wait,
            hints=self._controls.hint,
            plan=self._on_plan,
            ready=self._status.rest,
        )

    def _on_profiles(self, profiles: list[Profile]) -> None:
        self._profiles.offer(profiles)
        self._save.set_sensitive(True)

    def _on_device(self, device: str) -> None:
        self._status.device.set_text(_("Runs on: %s") % device if device else "")

    def _on_plan(self, sentences: list[str]) -> None:
        self._plan.get_buffer().set_text("\n".join(sentences))

    def _on_settings(self) -> None:
        self._status.forget()
        self.engine.settings_changed()

    def _on_moved(self) -> None:
        self.engine.place_changed()

    def _on_again(self) -> None:
        self.engine.start()

    def _on_save(self) -> None:
        Saving(self._dialog, self.engine, self._on_saved, self._status.warn).ask()

    def _on_saved(self, name: str, sentence: str) -> None:
        """The settings are now what the new profile says."""
        for control in self._declared:
            self._config.set_property(control.name, controls.PROFILE)
        self._config.set_property("profile", name)
        self._status.tell(sentence)


def _scrolled(widget: Gtk.Widget) -> Gtk.ScrolledWindow:
    """As high as what it shows, unless the screen is lower than that."""
    scrolled = Gtk.ScrolledWindow(propagate_natural_height=True, propagate_natural_width=True)
    scrolled.set_policy(Gtk.PolicyType.NEVER, Gtk.PolicyType.AUTOMATIC)
    scrolled.add(widget)
    return scrolled


def _framed(title: str, widget: Gtk.Widget) -> GimpUi.Frame:
    frame = GimpUi.Frame.new(title)
    frame.add(widget)
    return frame
