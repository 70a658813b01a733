"""From an image to a bundle: what an image is, how its layers are unpacked, what its config means.

    source      OCI layout, docker archive, root directory or root tar → Image: config and layers
    streams     a layer's bytes: decompressed, counted, verified
    layer       the entries of one layer, applied to a Root
    root        a directory that is written to as if it were /; nothing leaves it
    store       layers by digest, shared by containers; writable layers
    convert     the image's config as a config.json
    bundle      the commands: bundle, run --image, run --overlay

Nothing of this is on the hot path (docs/images.md, docs/decisions/images.md).
"""

from __future__ import annotations

from pycontainer.base.errors import ContainerError


class ImageError(ContainerError):
    """The image is not what it says, or asks for what is refused."""

    category = "image"
