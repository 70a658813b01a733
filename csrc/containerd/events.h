/* Events, told to containerd one after the other, in their order. */
#ifndef CONTAINERD_EVENTS_H
#define CONTAINERD_EVENTS_H

#include "base.h"

void events_init(const char *address, const char *name_space);
/* `topic` as in "/tasks/start", `type` as in "TaskStart". */
void event_send(const char *topic, const char *type, const struct buf *event);
bool events_idle(void); /* all have been taken, or there is no reader */

#endif
