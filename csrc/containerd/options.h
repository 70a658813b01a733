/* What containerd's configuration says for a runtime: the options of runc's shim. */
#ifndef CONTAINERD_OPTIONS_H
#define CONTAINERD_OPTIONS_H

#include "wire.h"

struct options {
    char *binary, *root, *shim_cgroup, *criu_work;
    uint64_t no_pivot, no_keyring, systemd_cgroup, io_uid, io_gid;
};

/* containerd.runc.v1.Options, or runtimeoptions.v1.Options with TOML within or in a file. NULL, or
 * an error to be freed. All texts are copies. `any` is changed. */
char *options_read(struct any any, struct options *options);
void options_free(struct options *options);

/* The bundle keeps them, for `delete`. */
int options_save(const char *bundle, const struct options *options);
bool options_load(const char *bundle, struct options *options); /* false: there are none */
void options_forget(const char *bundle); /* nothing is left that `delete` would have to remove */

#endif
