"""Runs first in a fast start: modules come from one image instead of a hundred files.

Executed with three names: `image`, a buffer (tools/image.py says how it is laid out), `directory`,
where the package's own files lie, and `extensions`, where the few extension modules of the hot
path were found at build time. What the image does not hold is imported as ever.
"""

import marshal
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import ExtensionFileLoader


class Image:
    """A finder and loader: find_spec answers for what it has, exec_module runs the code."""

    def __init__(self, image, directory, extensions):
        self.view = memoryview(image)
        size = int.from_bytes(self.view[:4], "little")
        self.index = marshal.loads(self.view[4 : 4 + size])
        self.directory = directory
        self.extensions = extensions

    def find_spec(self, name, path=None, target=None):
        entry = self.index.get(name)
        if entry is not None:
            spec = ModuleSpec(name, self, origin=self.directory + "/" + entry[2])
            spec.has_location = True
            if entry[3]:
                spec.submodule_search_locations = [spec.origin.rpartition("/")[0]]
            return spec
        file = self.extensions.get(name)
        if file:
            return ModuleSpec(name, ExtensionFileLoader(name, file), origin=file)
        return None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        start, end, _, _ = self.index[module.__name__]
        exec(marshal.loads(self.view[start:end]), module.__dict__)


sys.meta_path.insert(0, Image(image, directory, extensions))  # noqa: F821
