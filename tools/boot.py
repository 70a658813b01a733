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

EARLY = ("encodings", "encodings.aliases", "encodings.utf_8", "codecs", "_codecs")
Module = type(sys)
modules = sys.modules


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
        self.start = 4 + size
        self.index, self.spans, self.hot = marshal.loads(self.view[4 : self.start])

    def find_spec(self, name, path=None, target=None):
        number = self.index.get(name)
        if number is not None:
            self.load(number)
            return ModuleSpec(name, self)
        file = extensions.get(name)  # noqa: F821
        if file:
            return ModuleSpec(name, Extension, origin=file)
        # Frozen, and asked for by the codecs' own start, which the other half is not to interrupt.
        if name in EARLY:
            return None
        # _signal is built in, and wants the handlers that belong to the other half.
        if name == "_signal" or not is_builtin(name):
            complete()
            # It may have loaded just that. The import system would now do it again, and a second
            # _signal takes the first one's handlers for strange ones: SIGINT would do nothing.
            if name in modules:
                modules[name].__spec__ = ModuleSpec(name, self)
                return modules[name].__spec__
        return None

    def load(self, number):
        """Execute the modules of a group, in their order, without the import system's help."""
        start, end = self.spans[number]
        group = marshal.loads(self.view[self.start + start : self.start + end])
        for name, file, _ in group:  # all are there before the first one runs
            modules[name] = module = Module(name)
            module.__file__ = directory + "/" + file  # noqa: F821
            module.__package__ = name.rpartition(".")[0]
            if file.endswith("__init__.py"):
                module.__path__ = [module.__file__.rpartition("/")[0]]
                module.__package__ = name
        for name, _, code in group:
            package, _, own = name.rpartition(".")
            if package:
                setattr(modules[package], own, modules[name])
            exec(code, modules[name].__dict__)

    def create_module(self, spec):
        return modules[spec.name]

    def exec_module(self, module):
        """It has been executed, as one of its group."""


def opened(*args, **kwargs):
    """open() belongs to the other half, too."""
    complete()
    return builtins.open(*args, **kwargs)


def refuse():
    """In place of complete(), while a snapshot is made."""
    raise ImportError("it needs the other half of the interpreter")


def preload():
    """Load every module that is content with the half, for a snapshot; the hot ones have to be."""
    global complete
    rest, complete = complete, refuse
    for name, number in finder.index.items():
        before = set(modules)
        try:
            if name not in modules:
                finder.load(number)
        except ImportError:
            if number < finder.hot:
                raise
            for half in set(modules) - before:
                package, _, own = half.rpartition(".")
                vars(modules.get(package, sys)).pop(own, None)
            for half in set(modules) - before:
                del modules[half]
    complete = rest


builtins.open = opened
finder = Image()
sys.meta_path.insert(0, finder)
