"""runtime.md and runtime-linux.md."""

from __future__ import annotations

from . import MUST, section

CLAUSES = [
    *section(
        "runtime.md#scope-of-a-container",
        (
            MUST,
            "whoever creates a container can use every operation on it",
            "lifecycle/commands/life::a_life",
        ),
    ),
    *section(
        "runtime.md#state",
        (
            MUST,
            "ociVersion, id, status, pid and bundle are in the state; annotations if there are any",
            "lifecycle/commands/life::state_has_what_runc_says lifecycle/commands/life::a_life",
        ),
        (
            MUST,
            "an id is unique on this host",
            "lifecycle/commands/failures::a_failed_create_of_an_existing_id_harms_nothing"
            " lifecycle/commands/life::every_command_in_every_status",
        ),
        (
            MUST,
            "status is creating, created, running or stopped, and an added one (paused) is new",
            "lifecycle/commands/life::every_command_in_every_status"
            " lifecycle/commands/life::pause_and_resume"
            " lifecycle/process/hooks::create_runtime_hooks_may_look_at_the_state",
        ),
        (
            MUST,
            "pid is there while the container is created or running",
            "lifecycle/commands/life::a_life lifecycle/commands/life::state_has_what_runc_says",
        ),
        (
            MUST,
            "as JSON it satisfies the state schema",
            "lifecycle/fields/clauses::state_satisfies_the_schema",
        ),
    ),
    *section(
        "runtime.md#lifecycle",
        (
            MUST,
            "create makes the environment of config.json, or is an error",
            "lifecycle/process/inside::the_default_config"
            " lifecycle/commands/failures::nothing_is_left_of_a_failed_create",
        ),
        (
            MUST,
            "the user's program does not run before start",
            "lifecycle/commands/life::a_life lifecycle/process/hooks::a_life_with_hooks",
        ),
        (
            MUST,
            "changes of config.json after create have no effect",
            "lifecycle/commands/life::changes_of_the_bundle_after_create_have_no_effect",
        ),
        (
            MUST,
            "prestart, createRuntime, createContainer, startContainer, poststart and poststop hooks"
            " run at their places",
            "lifecycle/process/hooks::a_life_with_hooks",
        ),
        (
            MUST,
            "a failing hook of create is an error, the container ends, poststop hooks run",
            "lifecycle/process/hooks::a_failure_before_start_fails_create",
        ),
        (
            MUST,
            "a failing startContainer hook is an error, the container ends, poststop hooks run",
            "lifecycle/process/hooks::a_failing_start_container_hook_fails_start",
        ),
        (MUST, "start runs the program", "lifecycle/commands/life::a_life"),
        (
            MUST,
            "a failing poststart hook is an error, the container ends, poststop hooks run",
            "lifecycle/process/hooks::a_failing_poststart_hook_ends_the_container",
        ),
        (
            MUST,
            "delete undoes what create did",
            "lifecycle/commands/life::a_life lifecycle/commands/life::delete_force_leaves_nothing"
            " lifecycle/commands/life::delete_ends_what_init_has_left_behind",
        ),
        (
            MUST,
            "a failing poststop hook is a warning, and the rest goes on",
            "lifecycle/process/hooks::a_failing_poststop_hook_is_a_warning",
        ),
    ),
    *section(
        "runtime.md#errors",
        (
            MUST,
            "an error leaves everything as if the operation had not been tried",
            "lifecycle/commands/failures::nothing_is_left_of_a_failed_create"
            " lifecycle/commands/failures::a_failed_create_leaves_the_id_free"
            " faults/sweep::sweep",
        ),
    ),
    *section(
        "runtime.md#warnings",
        (
            MUST,
            "a warning does not change what the operation does",
            "lifecycle/process/process::unknown_capabilities_are_a_warning"
            " lifecycle/process/hooks::a_failing_poststop_hook_is_a_warning",
        ),
    ),
    *section(
        "runtime.md#query-state",
        (MUST, "state without an id is an error", "lifecycle/fields/clauses::commands_need_an_id"),
        (
            MUST,
            "state of a container that does not exist is an error",
            "lifecycle/commands/life::refusals_say_what_clients_look_for",
        ),
        (
            MUST,
            "state returns the state",
            "lifecycle/commands/life::state_has_what_runc_says",
        ),
    ),
    *section(
        "runtime.md#create",
        (MUST, "create without id or bundle is an error", "lifecycle/process/process::no_bundle"),
        (
            MUST,
            "an id that is in use or invalid is an error, and nothing is made",
            "lifecycle/commands/life::invalid_ids"
            " lifecycle/commands/failures::a_failed_create_of_an_existing_id_harms_nothing",
        ),
        (
            MUST,
            "everything but process is applied at create, process.args at start",
            "lifecycle/commands/life::a_life"
            " executor/does_the_plan::create_and_start_do_what_the_plan_says",
        ),
        (
            MUST,
            "a property that cannot be applied is an error, and no container is made",
            "lifecycle/process/process::bad_configs"
            " lifecycle/commands/failures::nothing_is_left_of_a_failed_create"
            " fuzz/invalid::create",
        ),
    ),
    *section(
        "runtime.md#start",
        (MUST, "start without an id is an error", "lifecycle/fields/clauses::commands_need_an_id"),
        (
            MUST,
            "start of a container that is not created is an error without effect",
            "lifecycle/commands/life::every_command_in_every_status",
        ),
        (MUST, "start runs the program of process", "lifecycle/commands/life::a_life"),
        (
            MUST,
            "start is an error where there is no process",
            "unit/spec/rules_general::process_is_needed_at_start"
            " lifecycle/process/process::process_may_be_left_out_of_nothing",
        ),
    ),
    *section(
        "runtime.md#kill",
        (MUST, "kill without an id is an error", "lifecycle/fields/clauses::commands_need_an_id"),
        (
            MUST,
            "kill of a container that is neither created nor running is an error without effect",
            "lifecycle/commands/life::every_command_in_every_status",
        ),
        (
            MUST,
            "the signal reaches the container's process",
            "lifecycle/commands/life::kill_by_name_and_number",
        ),
    ),
    *section(
        "runtime.md#delete",
        (MUST, "delete without an id is an error", "lifecycle/fields/clauses::commands_need_an_id"),
        (
            MUST,
            "delete of a running container is an error without effect",
            "lifecycle/commands/life::every_command_in_every_status",
        ),
        (
            MUST,
            "delete of a created container is an error without effect",
            "deviates: runc and crun end its init and delete it, and engines rely on that",
        ),
        (
            MUST,
            "delete removes what create made",
            "lifecycle/commands/life::delete_force_leaves_nothing",
        ),
        (
            MUST,
            "what the container did not create stays",
            "lifecycle/cgroups/drivers::undo_removes_only_what_was_made"
            " lifecycle/fields/net_devices::into_a_namespace_that_is_joined"
            " unit/rdt/fields_intel_rdt::a_group_that_was_there_is_not_removed",
        ),
    ),
    *section(
        "runtime-linux.md#file-descriptors",
        (
            MUST,
            "the program has stdin, stdout, stderr and what LISTEN_FDS announces, nothing else",
            "lifecycle/process/terminal::listen_fds"
            " lifecycle/process/terminal::no_descriptor_of_the_caller_or_ours_gets_in",
        ),
    ),
    *section(
        "runtime-linux.md#dev-symbolic-links",
        (
            MUST,
            "/dev/fd, stdin, stdout and stderr are symlinks into /proc",
            "lifecycle/process/inside::the_default_config[links]",
        ),
    ),
]
