"""Runs first in the fast command: modules come from one image instead of a hundred files.

Executed with these names: `image`, a buffer (tools/image.py says how it is laid out), `directory`,
where the package's own files lie, `extensions`, where the few extension modules of the hot path
were found at build time, and `complete`, which does the half of the interpreter's start that was
left out. It is called for whatever the image does not hold; then everything is as ever.
"""

import builtins
import marshal
import sys
from _frozen_importlib import ModuleSpec
from _imp import create_dynamic, exec_dynamic, is_builtin


class Extension:
    """Loads an extension module from the file that its spec names."""

    @staticmethod
    def create_module(spec):
        return create_dynamic(spec)

    @staticmethod
    def exec_module(module):
        exec_dynamic(module)


class Image:
    """A finder and loader: find_spec answers for what it has, exec_module runs the code."""

    def __init__(self):
        self.view = memoryview(image)  # noqa: F821
        size = int.from_bytes(self.view[:4], "little")
        self.index = marshal.loads(self.view[4 : 4 + size])

    def find_spec(self, name, path=None, target=None):
        entry = self.index.get(name)
        if entry is not None:
            spec = ModuleSpec(name, self, origin=directory + "/" + entry[2])  # noqa: F821
            if entry[3]:
                spec.submodule_search_locations = [spec.origin.rpartition("/")[0]]
            return spec
        file = extensions.get(name)  # noqa: F821
        if file:
            return ModuleSpec(name, Extension, origin=file)
        # _signal is built in, and wants the handlers that belong to the other half.
        if name == "_signal" or not is_builtin(name):
            complete()  # noqa: F821
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        start, end, _, _ = self.index[module.__name__]
        module.__file__ = module.__spec__.origin
        exec(marshal.loads(self.view[start:end]), module.__dict__)


def opened(*args, **kwargs):
    """open() belongs to the other half, too."""
    del builtins.open
    complete()  # noqa: F821
    return builtins.open(*args, **kwargs)


builtins.open = opened
sys.meta_path.insert(0, Image())
