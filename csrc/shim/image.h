/* For unpacking images. Also read by cffi: only plain declarations here. All functions return >= 0,
 * or a negative errno. */
#ifndef SHIM_IMAGE_H
#define SHIM_IMAGE_H

/* Open a path as if `root` were the root directory: links and ".." cannot leave it, and neither
 * other mounts nor the magic links of procfs are followed (openat2, Linux 5.6). */
int shim_open_in_root(int root, const char *path, int flags, int mode);

/* Open again for reading what `look`, a descriptor of O_PATH, stands for: -EINVAL unless it is a
 * regular file, of no file system like procfs. */
int shim_open_image_file(int look);

/* Leave the calling process's namespaces for new ones (CLONE_NEW...). */
int shim_unshare(int flags);

/* mount(2); a text may be NULL. */
int shim_mount(const char *source, const char *target, const char *type, unsigned long flags,
               const char *options);

#endif
