/* The text of differences between two listings or folders of changes. */
#ifndef PB_DIFFTEXT_H
#define PB_DIFFTEXT_H

#include "tree.h"

typedef struct {
    char *text; /* malloc'ed */
    size_t size, capacity;
    size_t limit; /* lines that are written; `total` counts all */
    uint64_t total;
} pb_difftext;

/* Let the text be an empty one rather than none. -ENOMEM, as all of these. */
int pb_difftext_start(pb_difftext *out);
int pb_difftext_tell(pb_difftext *out, const char *kind, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What people call an entry's type. */
const char *pb_difftext_kind(const pb_node *node);
/* Tell how two entries of one path differ, but for what is in folders. */
int pb_difftext_compare(pb_difftext *out, const pb_node *old, const pb_node *new, const char *path);

#endif
