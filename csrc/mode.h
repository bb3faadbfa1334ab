/* `chmod`'s symbolic modes. */
#ifndef PB_MODE_H
#define PB_MODE_H

#include <stdint.h>

/* Apply "u=rwX,go=rX" to the permission bits of a file, with an empty umask (POSIX chmod). -EINVAL for what is no mode. */
int pb_mode_apply(const char *symbolic, uint32_t mode, int is_directory, uint32_t *ret);

#endif
