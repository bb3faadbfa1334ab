/* Writing all of some bytes. */
#ifndef PB_WRITE_H
#define PB_WRITE_H

#include <errno.h>
#include <stddef.h>
#include <unistd.h>

/* Write `size` bytes to a file, however often the kernel takes only some of them. Gives back 0 or a negative errno. */
static inline int pb_write_all(int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size) {
        ssize_t count = write(fd, at, size);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return -errno;
        at += count;
        size -= (size_t)count;
    }
    return 0;
}

#endif
