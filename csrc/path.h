/* Paths inside a root file system, resolved as a chroot would. */
#ifndef PB_PATH_H
#define PB_PATH_H

#include "pybuild.h"

#include <stdint.h>

typedef struct {
    uint32_t mode, uid, gid;
} pb_owner_mode;

/* openat2 with RESOLVE_IN_ROOT; a descriptor or a negative errno. An empty path is the root. */
int pb_path_open(int root_fd, const char *path, int flags, uint32_t mode);
/* Open something below a directory, never through a link; paths of any length. A descriptor or a negative errno. */
int pb_path_open_below(int dir_fd, const char *path, int flags);
/* Follow a path to where its last component would be created: the folder's descriptor, and the name in it (malloc'ed).
 * Links in the last place are followed, also those that lead nowhere yet. A name of "." means the folder itself. */
int pb_path_parent(int root_fd, const char *path, const pb_owner_mode *missing, int *ret_fd, char **ret_name);
/* `mkdir -p`: a descriptor of the directory, or a negative errno. */
int pb_path_make(int root_fd, const char *path, const pb_owner_mode *missing);

#endif
