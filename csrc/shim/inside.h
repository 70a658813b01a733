/* Mounts of the host as they are seen from a less privileged mount namespace: the kernel has locked
 * their flags there, and a copy keeps that. Also read by cffi: only plain declarations here. All
 * functions return >= 0, or a negative errno. */
#ifndef SHIM_INSIDE_H
#define SHIM_INSIDE_H

/* shim_open_tree in another mount namespace, below `root` there, with our own privileges. */
int shim_open_tree_in(int mount_namespace, int root, const char *path, int how);

/* A copy of our mount namespace that belongs to this user namespace; *root is our root in it. */
int shim_locked_mounts(int user_namespace, int *root);

/* Make the mount at a path there read-only, and private. */
int shim_seal_in(int mount_namespace, int root, const char *path);

#endif
