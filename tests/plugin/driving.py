"""What the tests' scripts do in GIMP, said once for both: `DRIVE[version] + script` is what is run.

load(path), layer(image), call(image, layer, name, **arguments) -> [status, message], samples(layer) -> bytes,
tree(image) -> [[name, visible, left, top, SHA-1 of the samples, layers in it], ...],
clean(image) forgets that it was changed, dirty(image) says whether it was: every step of undo does that.
"""

from __future__ import annotations

from scanmend import profile
from scanmend_front import controls

_ARGUMENTS = controls.defaults(list(profile.keys()))

_BOTH = """
import hashlib, json
def sha1(layer):
    return hashlib.sha1(samples(layer)).hexdigest()
def tree(image):
    return [_branch(layer) for layer in layers(image)]
def layer(image):
    return layers(image)[0]
"""

_THREE = (
    _BOTH
    + """
QUIETLY = Gimp.RunMode.NONINTERACTIVE
def load(path):
    return Gimp.file_load(QUIETLY, Gio.File.new_for_path(path))
def layers(image):
    return image.get_layers()
def samples(layer):
    buffer = layer.get_buffer()
    return buffer.get(buffer.get_extent(), 1.0, None, Gegl.AbyssPolicy.NONE)
def _branch(layer):
    below = [_branch(child) for child in layer.get_children()] if layer.is_group() else []
    _ok, x, y = layer.get_offsets()
    return [layer.get_name(), layer.get_visible(), x, y, sha1(layer), below]
def call(image, layer, name='plug-in-scanmend-restore', **arguments):
    procedure = Gimp.get_pdb().lookup_procedure(name)
    config = procedure.create_config()
    config.set_property('image', image)
    config.set_core_object_array('drawables', [layer])
    for key, value in arguments.items():
        config.set_property(key.replace('_', '-'), value)
    result = procedure.run(config)
    status = result.index(0)
    return [status.value_nick, '' if status.value_nick == 'success' else Gimp.get_pdb().get_last_error()]
def clean(image):
    image.clean_all()
def dirty(image):
    return image.is_dirty()
"""
)

_TWO = (
    _BOTH
    + f"""
_ARGUMENTS = {list(_ARGUMENTS.items())!r}
"""
    + """
pdb.gimp_plugin_enable_precision()
def load(path):
    return pdb.gimp_file_load(path, path)
def layers(image):
    return image.layers
def samples(layer):
    region = layer.get_pixel_rgn(0, 0, layer.width, layer.height, False, False)
    return region[0:layer.width, 0:layer.height]
def _branch(layer):
    below = [_branch(child) for child in getattr(layer, 'children', [])]
    x, y = layer.offsets
    return [layer.name.decode('utf-8'), bool(layer.visible), x, y, sha1(layer), below]
def call(image, layer, name='plug-in-scanmend-restore', **arguments):
    given = []
    for key, usual in (_ARGUMENTS if name == 'plug-in-scanmend-restore' else []):
        given.append(arguments.pop(str(key.replace('-', '_')), usual))
    assert not arguments, arguments
    try:
        pdb[name](image, layer, *given, run_mode=RUN_NONINTERACTIVE)
    except (RuntimeError, gimp.error) as error:
        return [str(error).replace(' ', '-'), '']  # all that a caller is told; the rest is on stderr
    return ['success', '']
def clean(image):
    pdb.gimp_image_clean_all(image)
def dirty(image):
    return bool(pdb.gimp_image_is_dirty(image))
"""
)

DRIVE = {3: _THREE, 2: _TWO}
