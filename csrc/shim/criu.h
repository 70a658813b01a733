/* What restoring a container takes besides CRIU. Also read by cffi: only plain declarations here.
 * All functions return >= 0, or a negative errno. */
#ifndef SHIM_CRIU_H
#define SHIM_CRIU_H

/* Bind a tree of mounts to another place (MS_BIND, MS_REC). */
int shim_bind(const char *source, const char *target);

#endif
