/* Mounts, from the outside: mapped ids (Linux 5.12), and away with them. Also read by cffi: only plain declarations here. All functions
 * return >= 0, or a negative errno. */
#ifndef SHIM_IDMAP_H
#define SHIM_IDMAP_H

/* A user namespace with these maps (lines of user_namespaces(7)) and no process in it, as an fd. */
int shim_user_namespace(const char *uids, const char *gids);

/* Map the ids of a mount that is attached nowhere, `recursive` with all below it. */
int shim_idmap(int tree, int user_namespace, int recursive);

/* Receive mounts from where the tree was copied, and send none there; with all that is below. */
int shim_slave(int tree);

/* Take a mount, and all below it, out of the tree (MNT_DETACH); symlinks are not followed. */
int shim_detach(const char *path);

#endif
