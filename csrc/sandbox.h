/* What the parts of a launch share; not for callers.
 *
 * Everything that runs in the child (enter_rootfs, become_user and what they call) runs in the caller's memory while the
 * calling thread stands still: it may do system calls and write to its own stack and to `error`, nothing else. It takes no
 * lock and no memory, and uses raw system calls where the C library would tell the other threads (setresuid).
 */
#ifndef PB_SANDBOX_H
#define PB_SANDBOX_H

#include "pybuild.h"

#include <sys/types.h>

typedef struct {
    const pb_launch_spec *spec;
    pb_error *error;
    int root_copy;          /* a detached copy of an attached rootfs, or -1 */
    int *mount_copies;      /* for spec->mounts: a detached copy of source_fd, or -1 */
    int null_fd;            /* the child's: its own /dev/null */
    int parent_pidfd;       /* readable when the launching process is gone */
    char **programs;        /* where argv[0] may be, in order */
    size_t program_count;
    volatile int result;    /* the child's: a negative errno if it did not come to exec */
} pb_start;

/* Mount everything and make the rootfs the root directory (rootfs.c). */
int pb_enter_rootfs(pb_start *start);
/* A detached mount of a new file system ("key=value,flag"), and a mount put at a path of the rootfs, whose mount point was made
 * before the launch (rootfs.c). */
int pb_new_filesystem(const char *type, const char *options, unsigned attributes, pb_error *error);
int pb_attach_in_root(int mount_fd, int root_fd, const char *path, pb_error *error);
/* Mount /dev with devices of its own; start->null_fd is its /dev/null then (devices.c). */
int pb_mount_dev(pb_start *start, int root_fd);
/* A detached mount of a device of the host, or -1 with errno: it can be written to, and keeps its owner, mode and times. */
int pb_clone_host_device(const char *name);
/* Limits, capabilities, groups and ids of the process (credentials.c). */
int pb_become_user(const pb_launch_spec *spec, pb_error *error);

/* A missing mount point that was made; no component of `path` is a link. */
typedef struct {
    char *path;
    int is_directory;
} pb_stub;

struct pb_stubs {
    int root_fd;
    pb_stub *items;
    size_t count, capacity;
};

/* Walk `target` as a chroot in root_fd would, links included, and make what is missing: directories, and at its end a
 * directory or an empty file. Returns an O_PATH descriptor of the target. With `stubs` NULL nothing is remembered (and no
 * memory taken). */
int pb_make_mount_point(int root_fd, const char *target, int is_directory, struct pb_stubs *stubs, pb_error *error);

#endif
