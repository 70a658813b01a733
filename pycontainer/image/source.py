"""What an image is: an OCI layout, an archive of docker or podman save, a root directory or tar.

`open_image(PATH[:REF])` chooses by what is there, never by a file's name. What comes out is the
same for all: an Image with its config and its layers, the lowest first.
"""

from __future__ import annotations

import os
import re
from typing import IO, Any

from pycontainer.image import ImageError
from pycontainer.image.blobs import Archive, Directory, Files, document
from pycontainer.image.streams import check_digest

DEEPEST = 4  # indexes within indexes
REFERENCES = ("org.opencontainers.image.ref.name", "io.containerd.image.name")
ARCHITECTURES = {  # uname -m → Go's name and the variant
    "x86_64": ("amd64", ""),
    "aarch64": ("arm64", ""),
    "armv6l": ("arm", "v6"),
    "armv7l": ("arm", "v7"),
    "i686": ("386", ""),
    "ppc64le": ("ppc64le", ""),
    "riscv64": ("riscv64", ""),
    "s390x": ("s390x", ""),
}
# Variants of an architecture, the highest first, and the one that is meant when none is named.
VARIANTS = {
    "amd64": (("v4", "v3", "v2", "v1"), "v1"),
    "arm64": (("v8",), "v8"),
    "arm": (("v8", "v7", "v6", "v5"), "v7"),
}


class Layer:
    """One layer: its digest, that of its contents ("" unknown), and how to open it."""

    def __init__(self, files: Files, name: str, digest: str = "", diff_id: str = "") -> None:
        self._files = files
        self._name = name
        self.digest = digest
        self.diff_id = diff_id

    def open(self) -> IO[bytes]:
        """Its bytes as they are stored."""
        if isinstance(self._files, Archive) and not self._name:
            return self._files.whole()
        return self._files.open(self._name)


class Image:
    """`config` is the image's JSON config; `root` is set instead of layers for a root directory.

    `reference` is what the image is called where it was found, or else its file's name.
    """

    def __init__(self, name: str, config: dict[str, Any], layers: list[Layer], root: str = ""):
        self.name = name
        self.config = config
        self.layers = layers
        self.root = root
        self.reference = ""

    @property
    def settings(self) -> dict[str, Any]:
        """How its program runs: the member "config" of the config."""
        settings = self.config.get("config") or {}
        if not isinstance(settings, dict):
            raise ImageError("the image's config: config is not an object", "bad-image")
        return settings


def host_platform() -> str:
    """os/architecture[/variant] of this machine, as images name it."""
    machine = os.uname().machine
    architecture, variant = ARCHITECTURES.get(machine, (machine, ""))
    return platform_name("linux", architecture, variant)


def platform_name(*parts: Any) -> str:
    """OS/ARCHITECTURE[/VARIANT]."""
    return "/".join(str(part) for part in parts if part)


def acceptable(platform: str) -> list[str]:
    """The platforms whose images run on this one, the best first.

    A processor runs what is made for its own variant and for lower ones.
    """
    system, architecture, variant = (*platform.split("/"), "", "")[:3]
    ladder, usual = VARIANTS.get(architecture, ((variant,), variant))
    at = ladder.index(variant or usual) if (variant or usual) in ladder else len(ladder)
    found = list(ladder[at:])
    if usual in found:
        found.insert(found.index(usual) + bool(variant), "")  # images often do not say it
    return [platform_name(system, architecture, each) for each in found] or [platform]


def open_image(name: str, platform: str = "") -> Image:
    """The image at PATH or PATH:REF; ImageError when it is none, or has none for the platform."""
    try:
        image = _open(name, platform)
        image.reference = image.reference or os.path.basename(os.path.abspath(name))
        return image
    except (AttributeError, KeyError, TypeError) as error:
        raise ImageError(
            f"{name}: a document of the image has another form: {error}", "bad-image"
        ) from None


def _open(name: str, platform: str) -> Image:
    path, reference = _split(name)
    files: Files
    if os.path.isdir(path):
        files = Directory(path)
        if not files.has("index.json") and not files.has("manifest.json"):
            return Image(name, {}, [], root=os.path.abspath(path))
    else:
        files = Archive(path)
    chosen = _Chosen(files, reference, platform or host_platform())
    if files.has("oci-layout") or files.has("index.json"):
        return chosen.of_manifest(name, *chosen.of_index("index.json", ""))
    if not files.has("manifest.json"):
        return Image(name, {}, [Layer(files, "")])
    manifest = document(files, "manifest.json")
    if "archives" in manifest:
        return chosen.of_archive(name, manifest["archives"])
    return chosen.of_manifest(name, manifest, "manifest.json")


def _split(name: str) -> tuple[str, str]:
    path, reference = name, ""
    while not os.path.exists(path) and ":" in path:  # a reference may have a port: host:5000/app:1
        path, _, last = path.rpartition(":")
        reference = f"{last}:{reference}" if reference else last
    try:
        os.stat(path)
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        # "alpine:3" is what engines take; "./alpine.tar" is meant as a file.
        code = "remote-image" if missing and not name.startswith(("/", ".")) else "os-error"
        raise ImageError.of("open", name, error, code=code) from None
    return path, reference


class _Chosen:
    """The one of several images that is meant."""

    def __init__(self, files: Files, reference: str, platform: str) -> None:
        self.files = files
        self.reference = reference
        self.platform = platform
        self.names: list[str] = []  # of the chosen one

    def blob(self, digest: Any) -> str:
        """Where the blob of a digest is."""
        algorithm, _, hexadecimal = check_digest(digest).partition(":")
        path = f"blobs/{algorithm}/{hexadecimal}"
        return hexadecimal if not self.files.has(path) and self.files.has(hexadecimal) else path

    def of_index(self, name: str, digest: str, depth: int = 0) -> tuple[dict[str, Any], str]:
        """The manifest that an index leads to, and its name."""
        index = document(self.files, name, digest)
        if "layers" in index or "config" in index:
            return index, name
        if depth == DEEPEST:
            raise ImageError(f"more than {DEEPEST} indexes within each other", "bad-image")
        entries = [entry for entry in index.get("manifests") or () if isinstance(entry, dict)]
        if depth == 0:
            entries = self._referenced(entries)
        entry = self._for_platform(entries)
        self.names = self.names or _references(entry)
        return self.of_index(self.blob(entry.get("digest")), entry["digest"], depth + 1)

    def _referenced(self, entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        names = [_references(entry) for entry in entries]
        if self.reference:
            found = [e for e, known in zip(entries, names, strict=True) if self._is_meant(known)]
            if not found:
                raise self._unknown(names)
            return found
        distinct = {tuple(known) for known in names}
        if len(distinct) > 1:
            raise self._unknown(names)
        return entries

    def _is_meant(self, names: list[str]) -> bool:
        """The whole reference, or its end: "1.2" or "app:1.2" for docker.io/library/app:1.2."""
        return any(re.search(rf"(^|[/:]){re.escape(self.reference)}$", name) for name in names)

    def _unknown(self, names: list[list[str]]) -> ImageError:
        known = ", ".join(sorted({name for group in names for name in group})) or "none with a name"
        what = f"no image {self.reference} there" if self.reference else "several images there"
        return ImageError(f"{what}: {known}", "no-such-image")

    def _for_platform(self, entries: list[dict[str, Any]]) -> dict[str, Any]:
        with_platform = [entry for entry in entries if isinstance(entry.get("platform"), dict)]
        for name in acceptable(self.platform):
            for entry in with_platform:
                if _platform(entry["platform"]) == name:
                    return entry
        plain = [entry for entry in entries if entry not in with_platform]
        if len(plain) == 1:
            return plain[0]
        offered = ", ".join(_platform(entry["platform"]) for entry in with_platform) or "none"
        raise ImageError(f"no image for {self.platform} there: {offered}", "no-platform")

    def of_manifest(self, name: str, manifest: dict[str, Any], where: str) -> Image:
        """The image of an OCI manifest, or of docker's version 2, schema 2."""
        described = manifest.get("config")
        if not isinstance(described, dict) or not isinstance(manifest.get("layers"), list):
            raise ImageError(f"{where} is no image manifest", "bad-image")
        media = str(described.get("mediaType", ""))
        if "image.config" not in media and "container.image" not in media:
            raise ImageError(f"{where} is an artifact of type {media}, no image", "bad-image")
        config = document(self.files, self.blob(described.get("digest")), described["digest"])
        diff_ids = _diff_ids(config, len(manifest["layers"]))
        layers = [
            Layer(self.files, self.blob(layer.get("digest")), layer["digest"], diff_id)
            for layer, diff_id in zip(manifest["layers"], diff_ids, strict=True)
        ]
        return self._named(Image(name, config, layers))

    def _named(self, image: Image) -> Image:
        """With its longest name, which says most: "host/app:1.2" rather than "1.2"."""
        image.reference = max(self.names, key=len, default="")
        return image

    def of_archive(self, name: str, archives: list[Any]) -> Image:
        """The image of an archive of docker save: manifest.json is a list."""
        entries = [entry for entry in archives if isinstance(entry, dict)]
        names = [[str(tag) for tag in entry.get("RepoTags") or ()] for entry in entries]
        if self.reference:
            entries = [e for e, known in zip(entries, names, strict=True) if self._is_meant(known)]
        if len(entries) != 1:
            raise self._unknown(names)
        entry = entries[0]
        self.names = [str(tag) for tag in entry.get("RepoTags") or ()]
        path, paths = str(entry.get("Config")), entry.get("Layers") or []
        named = re.search(r"(?:^|/)([0-9a-f]{64})(?:\.json)?$", path)
        config = document(self.files, path, f"sha256:{named[1]}" if named else "")
        diff_ids = _diff_ids(config, len(paths))
        layers = [Layer(self.files, str(p), "", d) for p, d in zip(paths, diff_ids, strict=True)]
        return self._named(Image(name, config, layers))


def _references(entry: dict[str, Any]) -> list[str]:
    annotations = entry.get("annotations") or {}
    return [str(annotations[key]) for key in REFERENCES if key in annotations]


def _platform(platform: dict[str, Any]) -> str:
    return platform_name(*(platform.get(key) for key in ("os", "architecture", "variant")))


def _diff_ids(config: dict[str, Any], count: int) -> list[str]:
    listed = (config.get("rootfs") or {}).get("diff_ids") or []
    if len(listed) != count:
        raise ImageError(
            f"the image has {count} layers, its config names {len(listed)}", "bad-image"
        )
    return [check_digest(diff_id) for diff_id in listed]
