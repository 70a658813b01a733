/* As much of JSON as the shim reads: members of a config, texts of a log. Nothing is copied but the
 * text that is asked for. */
#ifndef CONTAINERD_JSON_H
#define CONTAINERD_JSON_H

#include "base.h"

/* The value of a member; size 0 when there is none, or this is no object. Of two the last counts. */
struct span json_member(struct span object, const char *name);
/* The next element of an array, which starts as the whole value; false at its end. */
bool json_element(struct span *array, struct span *element);
/* A string's text, to be freed; NULL if the value is no string. */
char *json_text(struct span value);
bool json_is(struct span value, const char *text); /* this string, or this word: true, null */

#endif
