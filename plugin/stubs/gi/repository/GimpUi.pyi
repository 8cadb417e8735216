from gi.repository import Gimp, GObject, Gtk

class Frame(Gtk.Frame):
    @classmethod
    def new(cls, label: str | None) -> Frame: ...

class ProcedureDialog(Gtk.Dialog):
    @classmethod
    def new(
        cls, procedure: Gimp.Procedure, config: Gimp.ProcedureConfig, title: str | None
    ) -> ProcedureDialog: ...
    def set_ok_label(self, ok_label: str | None) -> None: ...

class SpinScale(Gtk.Entry):
    def set_label(self, label: str | None) -> None: ...

def init(prog_name: str) -> None: ...
def prop_spin_scale_new(
    config: GObject.Object, property_name: str, step_increment: float, page_increment: float, digits: int
) -> SpinScale: ...
