"""Annotations of config.json that reach beyond the container."""

from __future__ import annotations

# Engines filter them, and labels of images do not become them. A dot at the end makes one a prefix.
UNSAFE_ANNOTATIONS = ("bundle", "org.systemd.property.", "org.criu.config", "run.oci.")
