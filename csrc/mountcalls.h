/* The kernel's mount calls by descriptor, which C libraries before glibc 2.36 do not offer.
 *
 * All return 0 or a descriptor, or -1 with errno set, as the kernel documents them (mount_setattr(2), move_mount(2),
 * open_tree(2), fsopen(2), openat2(2)). Descriptors are always close-on-exec.
 */
#ifndef PB_MOUNTCALLS_H
#define PB_MOUNTCALLS_H

#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Values of the kernel's interface (include/uapi/linux/mount.h): that header and the C library's exclude each other. */
enum {
    PB_FSOPEN_CLOEXEC = 0x1,
    PB_FSMOUNT_CLOEXEC = 0x1,
    PB_SET_FLAG = 0,
    PB_SET_STRING = 1,
    PB_SET_FD = 5,
    PB_CREATE = 6,
    PB_TREE_CLONE = 0x1,
    PB_MOVE_FROM_FD = 0x4,
    PB_MOVE_TO_FD = 0x40,
    PB_RECURSIVE = 0x8000, /* AT_RECURSIVE */
    PB_EMPTY_PATH = 0x1000, /* AT_EMPTY_PATH */
};
enum {
    PB_ATTR_RDONLY = 0x1,
    PB_ATTR_NOSUID = 0x2,
    PB_ATTR_NODEV = 0x4,
    PB_ATTR_NOEXEC = 0x8,
    PB_ATTR_STRICTATIME = 0x20,
    PB_PRIVATE_ATTRS = PB_ATTR_NOSUID | PB_ATTR_NODEV | PB_ATTR_NOEXEC,
};

static inline int pb_fsopen(const char *type)
{
    return (int)syscall(SYS_fsopen, type, PB_FSOPEN_CLOEXEC);
}

static inline int pb_fsconfig(int fd, unsigned command, const char *key, const char *value, int aux)
{
    return (int)syscall(SYS_fsconfig, fd, command, key, value, aux);
}

static inline int pb_fsmount(int fd, unsigned attributes)
{
    return (int)syscall(SYS_fsmount, fd, PB_FSMOUNT_CLOEXEC, attributes);
}

/* A detached copy of the mount at `path` ("" is `fd` itself). */
static inline int pb_clone_tree(int fd, const char *path, unsigned flags)
{
    return (int)syscall(SYS_open_tree, fd, path, PB_TREE_CLONE | O_CLOEXEC | PB_EMPTY_PATH | flags);
}

/* Put the mount `from_fd` onto the directory or file `to_fd`. */
static inline int pb_move_mount(int from_fd, int to_fd)
{
    return (int)syscall(SYS_move_mount, from_fd, "", to_fd, "", PB_MOVE_FROM_FD | PB_MOVE_TO_FD);
}

/* Add PB_ATTR_ bits to a mount, with PB_RECURSIVE to all below it. */
static inline int pb_restrict_mount(int fd, uint64_t attributes, unsigned flags)
{
    const struct {
        uint64_t attr_set, attr_clr, propagation, userns_fd;
    } change = {.attr_set = attributes};
    return (int)syscall(SYS_mount_setattr, fd, "", PB_EMPTY_PATH | flags, &change, sizeof change);
}

/* Open `path` as a process whose root directory is `root_fd` would see it. */
static inline int pb_open_beneath(int root_fd, const char *path, int flags, unsigned mode)
{
    struct open_how how;

    memset(&how, 0, sizeof how);
    how.flags = (uint64_t)(flags | O_CLOEXEC);
    how.mode = mode;
    how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
    return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof how);
}

#endif
