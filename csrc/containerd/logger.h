/* Loggers: programs that containerd names by an URL, binary:///path?key=value. */
#ifndef CONTAINERD_LOGGER_H
#define CONTAINERD_LOGGER_H

#include "streams.h"

bool is_logger_url(const char *url);
char *url_path(const char *url); /* decoded, to be freed; "/" at least */

/* Starts the logger program; `ready` is called when that reports that it is ready. */
void logger_start(struct streams *s, const char *id, const char *name_space, ready_function *ready,
                  void *argument);
void logger_terminate(struct logger *logger);
void logger_abandon(struct logger *logger); /* its streams go away: it has some seconds to end */

#endif
