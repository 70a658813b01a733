"""pycontainer: an OCI container runtime that shows its plan before it acts."""

__version__ = "0.1.0"
