/* Times of files. */
#ifndef PB_STAMP_H
#define PB_STAMP_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds since 1970, which may be before it, as the kernel takes them for both times of a file. */
static inline void pb_stamp(int64_t time, struct timespec times[2])
{
    struct timespec stamp = {.tv_sec = time / 1000000000, .tv_nsec = time % 1000000000};
    if (stamp.tv_nsec < 0) {
        stamp.tv_nsec += 1000000000;
        stamp.tv_sec--;
    }
    times[0] = times[1] = stamp;
}

#endif
