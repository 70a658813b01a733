"""The fast start: an executable that goes on in a Python which has started and imported us before.

`make.py` makes it, at installation; `preload.py` is what the interpreter does before and after.
"""
