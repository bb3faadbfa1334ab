/* How functions of the core fail, and how they let go of what they hold. */
#ifndef PB_ERROR_H
#define PB_ERROR_H

#include "pybuild.h"

#include <stdlib.h>
#include <unistd.h>

/* Fill `error` (may be NULL) and return -code. The path is cut at its front if it is too long: its end says more. */
int pb_fail(pb_error *error, int code, const char *operation, const char *path_format, ...)
    __attribute__((format(printf, 4, 5)));
/* The same with a sentence of its own in place of the errno's text. */
int pb_fail_detail(pb_error *error, int code, const char *operation, const char *path, const char *detail_format, ...)
    __attribute__((format(printf, 5, 6)));

static inline void pb_cleanup_close(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static inline void pb_cleanup_free(void *pointer)
{
    free(*(void **)pointer);
}

#define PB_CLOSE __attribute__((cleanup(pb_cleanup_close)))
#define PB_FREE __attribute__((cleanup(pb_cleanup_free)))

/* Give a descriptor or pointer away: what the cleanup would let go of is now the caller's. */
static inline int pb_take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#endif
