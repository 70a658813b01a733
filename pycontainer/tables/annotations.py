"""Annotations of config.json that this runtime follows, and those that engines must filter."""

from __future__ import annotations

CRIU_CONFIG = "org.criu.config"  # a file of CRIU's options: programs that it executes, among others
# Engines filter them, and labels of images do not become them. A dot at the end makes one a prefix.
UNSAFE_ANNOTATIONS = ("bundle", "org.systemd.property.", CRIU_CONFIG, "run.oci.")

OCI = "run.oci."
# name without run.oci., whether it needs --trust-annotations, what it does ("": it is refused)
ROWS = (
    ("delegate-cgroup", False, "a cgroup below the container's, which its program owns (v2)"),
    ("handler", False, ""),
    ("hooks.stderr", True, "a file that gets the standard error of hooks, with mode 0600"),
    ("hooks.stdout", True, "a file that gets the standard output of hooks, with mode 0600"),
    ("keep_original_groups", False, "keep the additional groups of the caller"),
    ("mount_context_type", False, "the SELinux mount option for mountLabel (default: context)"),
    ("pidfd_receiver", True, "a unix socket that receives a pidfd of the container's init"),
    ("seccomp.plugins", False, ""),
    ("seccomp.receiver", True, "as linux.seccomp.listenerPath, which has precedence"),
    ("seccomp_bpf_data", True, "a compiled filter in base64, in place of linux.seccomp"),
    ("seccomp_fail_unknown_syscall", False, "an unknown name in linux.seccomp is an error"),
    ("systemd.force_cgroup_v1", True, "mount a v1 hierarchy named systemd at this path"),
    ("systemd.subgroup", False, "ignored: processes are in the systemd unit's own cgroup"),
)
KNOWN = tuple(OCI + name for name, _, _ in ROWS)
