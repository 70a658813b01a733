"""config-linux.md, from namespaces to resource groups; cgroups and seccomp come last."""

from __future__ import annotations

from . import MUST, SHOULD, section

_NET = "lifecycle/fields/net_devices::"
_RDT = "unit/rdt/fields_intel_rdt::"
_CGROUP = "lifecycle/cgroups/drivers::"
_RULES = "unit/spec/rules_linux::refused"
_NOTIFY = "lifecycle/fields/seccomp_notify::"
_FILTER = "executor/seccomp_filter::"
_DEVICES = "lifecycle/fields/misc::"
_V2 = "unit/cgroups/resources::"
CLAUSES = [
    *section(
        "config-linux.md#default-filesystems",
        (
            SHOULD,
            "/proc, /sys, /dev/pts and /dev/shm are there",
            "n/a: the mounts of the config say so, and `spec` writes them, as with runc",
        ),
    ),
    *section(
        "config-linux.md#namespaces",
        (
            SHOULD,
            "pid, network, mount, ipc, uts, user, cgroup and time are supported",
            "lifecycle/process/namespaces::new_ones lifecycle/process/namespaces::user_namespace"
            " lifecycle/fields/time::boottime",
        ),
        (MUST, "a path is absolute", _RULES),
        (
            MUST,
            "the process is in the namespace of that path",
            "lifecycle/process/namespaces::joined lifecycle/process/namespaces::all_joined_at_once"
            " lifecycle/fields/time::joined_by_path",
        ),
        (
            MUST,
            "a path of another type is an error",
            "lifecycle/fields/clauses::namespace_of_another_type",
        ),
        (MUST, "without a path the namespace is new", "lifecycle/process/namespaces::new_ones"),
        (
            MUST,
            "a type that is not listed is the runtime's",
            "lifecycle/process/namespaces::none lifecycle/process/namespaces::no_mount_namespace",
        ),
        (MUST, "a type twice is an error", _RULES),
    ),
    *section(
        "config-linux.md#user-namespace-mappings",
        (MUST, "the mappings are the namespace's", "lifecycle/process/namespaces::user_namespace"),
        (
            SHOULD,
            "no file changes its owner for a mapping",
            "lifecycle/fields/clauses::mappings_change_no_owner",
        ),
    ),
    *section(
        "config-linux.md#offset-for-time-namespace",
        (
            MUST,
            "the clocks have their offsets",
            "lifecycle/fields/time::boottime lifecycle/fields/time::the_offsets_of_the_namespace",
        ),
    ),
    *section(
        "config-linux.md#devices",
        (
            MUST,
            "listed devices are there, with type, number, mode and owner",
            f"{_DEVICES}devices_of_every_type {_DEVICES}devices_as_runc",
        ),
        (MUST, "another file in the way is an error", f"{_DEVICES}a_device_in_the_way"),
        (MUST, "numbers are required but for a fifo", f"{_RULES} {_DEVICES}devices_of_every_type"),
        (SHOULD, "the same device twice is noticed", "unit/spec/rules_linux::warned"),
        (
            MUST,
            "null, zero, full, random, urandom, tty, console and ptmx are there",
            "lifecycle/process/inside::the_default_config[dev nodes]"
            " lifecycle/process/terminal::console_socket",
        ),
    ),
    *section(
        "config-linux.md#network-devices",
        (MUST, "listed network devices are moved inside", f"{_NET}moved_and_renamed"),
        (MUST, "a name that is taken is an error", f"{_NET}refused"),
        (MUST, "a name with %d is completed", f"{_NET}a_name_to_be_completed"),
        (
            MUST,
            "attributes and permanent global addresses stay",
            f"{_NET}addresses {_NET}moved_and_renamed",
        ),
        (MUST, "the device is up", f"{_NET}moved_and_renamed"),
        (
            MUST,
            "nobody manages it inside, nobody moves it back",
            f"{_NET}into_a_namespace_that_is_joined",
        ),
    ),
    *section(
        "config-linux.md#control-groups",
        (
            MUST,
            "a cgroup that is not fit (frozen, in use) is an error",
            f"{_CGROUP}existing_and_frozen_is_refused {_CGROUP}existing_with_processes_is_refused",
        ),
        (
            MUST,
            "an absolute path starts at the mount point, a relative one at our own cgroup",
            "unit/cgroups/path::absolute_starts_at_the_mount_point"
            " unit/cgroups/path::relative_starts_at_our_own_cgroup",
        ),
        (MUST, "the same path is the same place", f"{_CGROUP}same_directories_as_runc"),
        (MUST, "an invalid path is an error", "unit/cgroups/path::impossible_names_are_refused"),
        (
            SHOULD,
            "the cgroup changes its owner only if it is delegated, and only the listed files",
            f"{_CGROUP}delegation_changes_only_the_listed_files",
        ),
        (
            MUST,
            "device rules are applied in the listed order",
            "unit/cgroups/devices::order_and_wildcards lifecycle/mounts/mounts::device_rules",
        ),
        (
            MUST,
            "checkBeforeUpdate refuses a limit below the usage",
            f"{_CGROUP}a_memory_limit_below_the_usage_says_the_usage {_V2}v2_check_before_update",
        ),
        (MUST, "a cpu burst above the quota is an error", _RULES),
        (MUST, "an entry of weightDevice or rdma that limits nothing is an error", _RULES),
        (MUST, "pids.limit 0 is a limit, -1 is none", f"{_V2}pids"),
        (
            MUST,
            "limits of memory, cpu, blockIO, hugepages, network, pids and rdma are written",
            f"{_V2}v1_everything {_V2}v2_everything lifecycle/cgroups/limits::same_as_runc",
        ),
        (
            MUST,
            "unified is written line by line, with its controllers enabled",
            f"{_CGROUP}unified_line_by_line {_CGROUP}controllers_are_enabled_down_the_path",
        ),
        (
            MUST,
            "unified with a controller that is not there is an error",
            f"{_CGROUP}a_controller_that_does_not_exist",
        ),
        (
            MUST,
            "what v2 cannot express is an error",
            f"{_V2}swap_max_refuses {_V2}v1_refuses_unified",
        ),
    ),
    *section(
        "config-linux.md#intelrdt",
        (MUST, "the pid is in the group's tasks", f"{_RDT}a_group_of_its_own"),
        (
            MUST,
            "without a resctrl file system it is an error",
            f"{_RDT}no_file_system lifecycle/fields/intel_rdt::refused_without_the_hardware",
        ),
        (
            MUST,
            "without intelRdt nothing of resctrl is touched",
            "lifecycle/fields/clauses::no_resctrl_operation",
        ),
        (MUST, "closID / is the default group", f"{_RDT}the_default_group"),
        (MUST, "values are single lines", _RULES),
        (
            MUST,
            "l3CacheSchema, memBwSchema and schemata are written in that order",
            f"{_RDT}order_of_the_rules {_RDT}a_group_of_its_own",
        ),
        (MUST, "without them schemata is not written", f"{_RDT}without_rules_none_are_written"),
        (
            MUST,
            "without closID the group is named after the container",
            f"{_RDT}a_group_of_its_own",
        ),
        (
            MUST,
            "a named group with rules is made",
            f"{_RDT}a_named_group_with_rules_is_made_and_stays",
        ),
        (
            MUST,
            "one that exists must have the same rules",
            f"{_RDT}an_existing_group_that_matches {_RDT}an_existing_group_that_differs",
        ),
        (
            MUST,
            "a named group without rules must exist",
            f"{_RDT}a_named_group_without_rules_must_exist",
        ),
        (
            MUST,
            "the group is removed with the container only if it was made without closID",
            f"{_RDT}removing {_RDT}a_group_that_was_there_is_not_removed"
            " lifecycle/fields/intel_rdt::from_create_to_delete",
        ),
        (
            MUST,
            "enableMonitoring makes a group of counters named after the container",
            f"{_RDT}monitoring lifecycle/fields/intel_rdt::from_create_to_delete",
        ),
        (
            MUST,
            "a group of counters that cannot be made is an error",
            f"{_RDT}a_group_of_counters_that_cannot_be_made",
        ),
    ),
    *section(
        "config-linux.md#memory-policy",
        (
            MUST,
            "mode, nodes and flags are the kernel's policy",
            "lifecycle/fields/scheduling::memory_policy",
        ),
        (MUST, "nodes that the mode does not take are an error", _RULES),
    ),
    *section(
        "config-linux.md#sysctl",
        (
            MUST,
            "sysctls are set in the container's namespaces",
            "lifecycle/process/process::changed_config[sysctl]",
        ),
        (MUST, "those of the host are an error", "unit/spec/rules_linux::sysctl_of_the_host"),
    ),
    *section(
        "config-linux.md#seccomp",
        (
            MUST,
            "actions, operators, architectures and flags do what they say",
            f"{_FILTER}arguments {_FILTER}killed {_FILTER}answers_are_those_of_runc"
            f" {_FILTER}kernel_takes_every_combination_of_flags",
        ),
        (
            MUST,
            "errnoRet and defaultErrnoRet are the answers, EPERM without them",
            f"{_FILTER}errno_of_a_rule {_FILTER}default_errno_is_eperm",
        ),
        (MUST, "an errno for an action without one is an error", _RULES),
        (MUST, "listenerMetadata needs listenerPath", _RULES),
        (
            MUST,
            "the state goes to listenerPath, one for each connection, which is closed then",
            f"{_NOTIFY}run_hands_the_listener_over {_NOTIFY}create_and_start {_NOTIFY}exec",
        ),
        (MUST, "if that fails it is an error", f"{_NOTIFY}no_agent_is_an_error"),
        (
            MUST,
            "listenerPath is ignored where nothing is notified",
            f"{_NOTIFY}listener_without_notify_is_ignored",
        ),
        (
            MUST,
            "the filter holds for exec too",
            "lifecycle/process/process::seccomp_holds_for_exec",
        ),
    ),
    *section(
        "config-linux.md#containerprocessstate",
        (
            MUST,
            "ociVersion, fds, pid, metadata and state are in it, as JSON",
            f"{_NOTIFY}run_hands_the_listener_over",
        ),
        (MUST, "descriptors come with the first part only", f"{_NOTIFY}large_metadata"),
    ),
    *section(
        "config-linux.md#rootfs-mount-propagation",
        (
            MUST,
            "rootfsPropagation is the root's",
            "lifecycle/fields/misc::rootfs_propagation lifecycle/mounts/mounts::root_propagation",
        ),
    ),
    *section(
        "config-linux.md#masked-paths",
        (MUST, "paths are absolute", _RULES),
        (
            MUST,
            "masked paths cannot be read",
            "lifecycle/process/process::masked_and_readonly_paths",
        ),
    ),
    *section(
        "config-linux.md#readonly-paths",
        (MUST, "paths are absolute", _RULES),
        (
            MUST,
            "read-only paths cannot be written",
            "lifecycle/process/process::masked_and_readonly_paths",
        ),
    ),
    *section(
        "config-linux.md#mount-label",
        (
            MUST,
            "the label is an option of every mount that takes one; an error without SELinux",
            "unit/plan/fields_labels::label_of_mounts lifecycle/fields/misc::selinux_absent",
        ),
    ),
    *section(
        "config-linux.md#personality",
        (MUST, "LINUX and LINUX32, for exec too", "lifecycle/fields/misc::personality"),
    ),
]
