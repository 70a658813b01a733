"""config.md."""

from __future__ import annotations

from . import MUST, SHOULD, section

_OPTIONS = "lifecycle/mounts/mounts::options"
_TABLES = "unit/tables/mount_options::"
_HOOKS = "lifecycle/process/hooks::a_life_with_hooks"
_RULES = "unit/spec/rules_process::refused"
CLAUSES = [
    *section(
        "config.md#specification-version",
        (MUST, "ociVersion is a semantic version", "unit/spec/rules_general::semantic_version"),
    ),
    *section(
        "config.md#root",
        (MUST, "root is required on Linux", "unit/spec/rules_general::refused"),
        (MUST, "root.path names a directory that exists", "lifecycle/process/process::bad_configs"),
        (SHOULD, "root.path is rootfs by convention", "n/a: whoever writes the config decides"),
        (
            MUST,
            "readonly makes the root read-only",
            "lifecycle/process/process::changed_config[readonly root]",
        ),
    ),
    *section(
        "config.md#mounts",
        (MUST, "mounts are made in the listed order", "lifecycle/mounts/mounts::order_and_nesting"),
        (
            MUST,
            "a relative destination is relative to /",
            "unit/spec/rules_mounts::relative_destination_is_a_warning"
            " lifecycle/fields/clauses::relative_destination",
        ),
        (
            MUST,
            "every option of the table that is a MUST does what mount(8) says",
            f"{_OPTIONS} {_TABLES}every_option_of_the_spec_is_known",
        ),
        (
            SHOULD,
            "the recursive options (rro, rnosuid ...) hold for all mounts below",
            f"{_OPTIONS} {_TABLES}recursive",
        ),
        (SHOULD, "nosymfollow and symfollow", _OPTIONS),
        (
            SHOULD,
            "tmpcopyup fills the tmpfs with what it covers",
            "lifecycle/fields/tmpcopyup::everything_is_copied",
        ),
        (
            MUST,
            "idmap and ridmap map by the mount's own mappings",
            "lifecycle/fields/idmap::mappings_of_the_mount lifecycle/fields/idmap::below",
        ),
        (
            MUST,
            "idmap without mappings takes those of the user namespace, or is an error",
            "lifecycle/fields/idmap::in_a_user_namespace"
            " lifecycle/fields/idmap::in_a_joined_user_namespace"
            " unit/plan/fields_idmap::no_mappings_at_all",
        ),
        (
            MUST,
            "uidMappings and gidMappings come together",
            "unit/spec/rules_mounts::refused",
        ),
        (
            SHOULD,
            "mappings have idmap or ridmap beside them",
            "unit/spec/rules_mounts::mappings_without_idmap_are_a_warning",
        ),
        (
            SHOULD,
            "unknown options are the file system's own",
            f"{_TABLES}the_rest_is_the_filesystems lifecycle/mounts/mounts::types",
        ),
        (
            SHOULD,
            "options that only mount(8) understands follow mount(8)",
            f"{_TABLES}what_mount_8_keeps_to_itself_goes_nowhere",
        ),
    ),
    *section(
        "config.md#process",
        (MUST, "process is needed at start", "unit/spec/rules_general::process_is_needed_at_start"),
        (MUST, "a terminal is the program's stdio", "lifecycle/process/terminal::console_socket"),
        (
            MUST,
            "consoleSize is the terminal's, and ignored without one",
            "lifecycle/process/terminal::console_size"
            " lifecycle/fields/clauses::console_size_without_terminal",
        ),
        (MUST, "cwd is absolute", _RULES),
        (MUST, "the program starts in cwd", "lifecycle/process/process::changed_config[cwd]"),
        (
            MUST,
            "args has an entry, looked up as execvp does",
            f"{_RULES} lifecycle/process/exit_status::run_of_what_is_no_program",
        ),
        (
            MUST,
            "env is the program's environment",
            "lifecycle/process/process::changed_config[env]",
        ),
    ),
    *section(
        "config.md#posix-process",
        (MUST, "a limit that Linux does not have is an error", _RULES),
        (
            MUST,
            "soft and hard are what getrlimit answers",
            "lifecycle/process/process::changed_config[NOFILE]"
            " lifecycle/process/process::changed_config[STACK]",
        ),
        (MUST, "a type twice is an error", _RULES),
    ),
    *section(
        "config.md#linux-process",
        (
            MUST,
            "AppArmor's profile is applied at exec; an error without AppArmor",
            "unit/plan/fields_labels::written_to_the_process_itself"
            " lifecycle/fields/misc::apparmor_absent"
            " lifecycle/fields/apparmor::the_program_has_the_profile"
            " lifecycle/fields/apparmor::a_process_that_joins_has_it"
            " lifecycle/fields/apparmor::a_profile_that_nobody_has_loaded",
        ),
        (
            MUST,
            "the five sets of capabilities are the program's",
            "lifecycle/process/process::changed_config[ambient]"
            " lifecycle/process/process::changed_config[effective of a user]",
        ),
        (
            MUST,
            "capabilities that cannot be granted are a warning, not an error",
            "lifecycle/process/process::unknown_capabilities_are_a_warning",
        ),
        (
            MUST,
            "noNewPrivileges sets PR_SET_NO_NEW_PRIVS",
            "lifecycle/process/process::changed_config[no new privileges]",
        ),
        (MUST, "oomScoreAdj is set", "lifecycle/process/process::changed_config[oomScoreAdj]"),
        (
            MUST,
            "without oomScoreAdj the score stays as it was",
            "lifecycle/fields/clauses::oom_score_is_inherited",
        ),
        (
            MUST,
            "scheduler has its policy, its parameters and flags; what is left out is 0",
            "lifecycle/fields/scheduling::scheduler unit/plan/fields_scheduling::deadline",
        ),
        (
            MUST,
            "SELinux's label is applied at exec; an error without SELinux",
            "unit/plan/fields_labels::written_to_the_process_itself"
            " lifecycle/fields/misc::selinux_absent",
        ),
        (MUST, "ioPriority has its class and level", "lifecycle/fields/scheduling::io_priority"),
        (
            MUST,
            "execCPUAffinity is for exec only: initial before the cgroup, final after",
            "lifecycle/fields/scheduling::exec_affinity"
            " unit/plan/fields_scheduling::affinity_around_the_cgroup",
        ),
        (
            SHOULD,
            "without final, the affinity after the cgroup is the kernel's",
            "lifecycle/fields/scheduling::exec_affinity",
        ),
    ),
    *section(
        "config.md#user",
        (
            MUST,
            "uid, gid and additionalGids are the program's",
            "lifecycle/process/process::changed_config[groups]",
        ),
        (
            MUST,
            "umask is the program's",
            "lifecycle/fields/misc::umask lifecycle/process/process::changed_config[umask]",
        ),
    ),
    *section(
        "config.md#hostname",
        (
            MUST,
            "hostname is set in the uts namespace",
            "lifecycle/process/process::changed_config[hostname]",
        ),
        (MUST, "so is domainname", "lifecycle/process/process::changed_config[domainname]"),
    ),
    *section(
        "config.md#platform-specific-configuration",
        (
            MUST,
            "sections of other platforms are not for us",
            "unit/spec/rules_general::other_platforms_are_a_warning",
        ),
    ),
    *section(
        "config.md#posix-platform-hooks",
        (MUST, "path is absolute", "unit/spec/rules_general::refused"),
        (MUST, "timeout is greater than zero", "unit/spec/rules_general::refused"),
        (
            MUST,
            "a hook that takes longer than its timeout is an error",
            "lifecycle/process/hooks::a_hook_that_takes_too_long"
            " executor/hooks_inside::a_timeout_kills",
        ),
        (MUST, "prestart hooks run in the runtime namespace, before createRuntime hooks", _HOOKS),
        (MUST, "createRuntime hooks run in the runtime namespace, before the pivot", _HOOKS),
        (
            MUST,
            "createContainer hooks are found in the runtime namespace and run in the container's",
            _HOOKS,
        ),
        (MUST, "startContainer hooks are found and run in the container", _HOOKS),
        (
            MUST,
            "poststart hooks run in the runtime namespace, after the program has begun",
            "lifecycle/process/hooks::poststart_runs_after_the_program_has_begun",
        ),
        (MUST, "poststop hooks run in the runtime namespace, after the container is gone", _HOOKS),
        (
            MUST,
            "hooks run in the listed order",
            f"{_HOOKS} executor/hooks_inside::the_hooks_of_a_plan_run_in_order",
        ),
        (
            MUST,
            "a hook reads the state on stdin",
            f"{_HOOKS} executor/hooks_inside::a_hook_reads_the_state_and_has_its_own_environment",
        ),
    ),
    *section(
        "config.md#annotations",
        (
            MUST,
            "annotations are strings by strings, no key is empty",
            "unit/spec/rules_general::refused unit/spec/rules_general::accepted",
        ),
        (
            MUST,
            "unknown keys are no error, and all are in the state",
            "lifecycle/fields/clauses::annotations_are_in_the_state",
        ),
        (SHOULD, "keys are reversed domain names", "n/a: whoever writes the config decides"),
    ),
    *section(
        "config.md#extensibility",
        (
            MUST,
            "unknown properties are ignored",
            "lifecycle/process/process::unknown_properties_are_ignored"
            " lifecycle/fields/misc::unknown_properties",
        ),
    ),
    *section(
        "config.md#valid-values",
        (
            MUST,
            "invalid and unsupported values are errors",
            "fuzz/invalid::create unit/spec/rules_linux::refused"
            " lifecycle/process/process::bad_configs",
        ),
    ),
]
