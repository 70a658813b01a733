"""features.md and features-linux.md."""

from __future__ import annotations

from . import MUST, SHOULD, section

_TRUE = "unit/cli/fields_features::"
_REFUSALS = "unit/seccomp/refusals::"
CLAUSES = [
    *section(
        "features.md",
        (
            SHOULD,
            "the document is about the build, not about the host",
            f"{_TRUE}what_is_said_has_an_operation",
        ),
        (MUST, "null is not an empty value", f"{_TRUE}all_members_of_the_specification"),
        (
            MUST,
            "ociVersionMin and ociVersionMax are accepted as ociVersion",
            "unit/spec/rules_general::semantic_version unit/spec/rules_general::accepted",
        ),
        (
            MUST,
            "nothing is in it that this version does not define",
            f"{_TRUE}all_members_of_the_specification"
            " unit/cli/cli_documents::features_has_runcs_layout",
        ),
        (
            MUST,
            "all hooks that it names are supported",
            "lifecycle/process/hooks::a_life_with_hooks",
        ),
        (
            MUST,
            "all mount options that it names are recognized",
            f"{_TRUE}mount_options_are_recognized",
        ),
        (
            SHOULD,
            "no option of a file system's own is named",
            "unit/cli/cli_documents::features_covers_what_runc_says",
        ),
        (
            MUST,
            "annotations are strings by strings",
            "unit/cli/cli_documents::features_has_runcs_layout",
        ),
    ),
    *section(
        "features-linux.md",
        (
            MUST,
            "namespaces that it names are recognized",
            "lifecycle/process/namespaces::new_ones"
            " lifecycle/fields/time::the_offsets_of_the_namespace",
        ),
        (MUST, "capabilities that it names are recognized", "unit/tables/numbers::capabilities"),
        (
            MUST,
            "actions, operators, architectures and flags of seccomp are recognized",
            "unit/seccomp/filter::each_action_in_a_rule unit/seccomp/filter::operators_on_64_bits"
            f" {_REFUSALS}every_architecture_of_the_spec_is_taken_or_refused_with_its_name"
            " unit/seccomp/filter::flags",
        ),
        (MUST, "supportedFlags are supported by this kernel", f"{_TRUE}flags_that_the_kernel_has"),
        (
            MUST,
            "modes and flags of memory policies are recognized",
            "lifecycle/fields/scheduling::memory_policy unit/plan/fields_scheduling::memory_policy",
        ),
        (
            MUST,
            "idmap, netDevices, intelRdt are true whatever the host has",
            f"{_TRUE}what_is_said_has_an_operation",
        ),
        (
            MUST,
            "cgroup managers are those that there are",
            f"{_TRUE}a_systemd_that_is_said_is_there",
        ),
    ),
]
