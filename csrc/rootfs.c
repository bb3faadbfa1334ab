/* In the child: everything that a process sees below "/", mounted in a mount namespace of its own.
 *
 * Nothing but /dev that the process can write to may hold a usable device (nodev): its capability MKNOD makes nodes for the
 * image, never a way to the host's disks.
 */
#include "error.h"
#include "mountcalls.h"
#include "sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* As Docker's default profile. Absent ones are skipped. */
static const char *const masked_proc[] = {"acpi",          "asound",     "interrupts",  "kcore",       "keys",
                                          "latency_stats", "timer_list", "timer_stats", "sched_debug", "scsi"};
static const char *const masked_sys[] = {"firmware", "devices/virtual/powercap"};
static const char *const read_only_proc[] = {"bus", "fs", "irq", "sys", "sysrq-trigger"};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Set the options of a file system context: "key=value,flag". */
static int set_options(int fs_fd, const char *options)
{
    while (*options != '\0') {
        char key[64];
        size_t size = strcspn(options, ",");
        char *value;

        if (size >= sizeof key) {
            errno = EINVAL;
            return -1;
        }
        memcpy(key, options, size);
        key[size] = '\0';
        value = strchr(key, '=');
        if (value != NULL)
            *value++ = '\0';
        if (pb_fsconfig(fs_fd, value ? PB_SET_STRING : PB_SET_FLAG, key, value, 0) < 0)
            return -1;
        options += size + (options[size] == ',');
    }
    return 0;
}

/* A detached mount of a new file system. */
int pb_new_filesystem(const char *type, const char *options, unsigned attributes, pb_error *error)
{
    PB_CLOSE int fs_fd = pb_fsopen(type);
    int fd;

    if (fs_fd < 0 || pb_fsconfig(fs_fd, PB_SET_STRING, "source", type, 0) < 0 || set_options(fs_fd, options) < 0 || pb_fsconfig(fs_fd, PB_CREATE, NULL, NULL, 0) < 0 ||
        (fd = pb_fsmount(fs_fd, attributes)) < 0)
        return pb_fail(error, errno, "mount", "%s", type);
    return fd;
}

/* Attach at a path of the rootfs; its mount point was made before the launch. */
int pb_attach_in_root(int mount_fd, int root_fd, const char *path, pb_error *error)
{
    PB_CLOSE int target = pb_open_beneath(root_fd, path, O_PATH, 0);

    if (target < 0 || pb_move_mount(mount_fd, target) < 0)
        return pb_fail(error, errno, "mount", "%s", path);
    return 0;
}

/* --- /proc and /sys --- */

static int mount_proc(int root_fd, pb_error *error)
{
    int fd = pb_new_filesystem("proc", "", PB_PRIVATE_ATTRS, error);
    int result;

    if (fd < 0) {
        if (fd == -EPERM)
            snprintf(error->detail, sizeof error->detail,
                     "not allowed: parts of /proc are hidden here, as in a container that is not privileged");
        return fd;
    }
    result = pb_attach_in_root(fd, root_fd, "/proc", error);
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

/* A user namespace may mount sysfs only together with a network namespace of its own; else the host's is bound. */
static int mount_sys(const pb_start *start, int root_fd)
{
    pb_error *error = start->error;
    unsigned read_only = start->spec->flags & PB_KEEP_CAPS ? 0 : PB_ATTR_RDONLY;
    int fd = pb_new_filesystem("sysfs", "", PB_PRIVATE_ATTRS | read_only, error);
    int result;

    if (fd == -EPERM) {
        fd = pb_clone_tree(AT_FDCWD, "/sys", PB_RECURSIVE);
        if (fd < 0)
            return pb_fail(error, errno, "mount", "/sys");
        if (pb_restrict_mount(fd, PB_PRIVATE_ATTRS | PB_ATTR_RDONLY, PB_RECURSIVE) < 0) {
            result = pb_fail(error, errno, "make read-only", "/sys");
            close(fd);
            return result;
        }
    }
    if (fd < 0)
        return fd;
    result = pb_attach_in_root(fd, root_fd, "/sys", error);
    if (result < 0) {
        close(fd);
        return result;
    }
    return fd;
}

/* Hide `path` below the mount `above`: a directory by an empty one, a file by /dev/null. *empty_fd is the empty directory,
 * made at first use. */
static int hide(int above, const char *path, const char *shown, int *empty_fd, pb_error *error)
{
    PB_CLOSE int target = pb_open_beneath(above, path, O_PATH | O_NOFOLLOW, 0);
    PB_CLOSE int cover = -1;
    struct stat status;

    if (target < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (target < 0 || fstat(target, &status) < 0)
        return pb_fail(error, errno, "hide", "%s/%s", shown, path);
    if (!S_ISDIR(status.st_mode)) {
        cover = pb_clone_host_device("null");
    } else if (*empty_fd < 0) {
        *empty_fd = pb_new_filesystem("tmpfs", "size=4k,mode=555", PB_PRIVATE_ATTRS | PB_ATTR_RDONLY, error);
        if (*empty_fd < 0)
            return *empty_fd;
        return pb_move_mount(*empty_fd, target) < 0 ? pb_fail(error, errno, "hide", "%s/%s", shown, path) : 0;
    } else {
        cover = pb_clone_tree(*empty_fd, "", 0);
    }
    if (cover < 0 || pb_move_mount(cover, target) < 0)
        return pb_fail(error, errno, "hide", "%s/%s", shown, path);
    return 0;
}

static int make_read_only(int above, const char *path, pb_error *error)
{
    PB_CLOSE int target = pb_open_beneath(above, path, O_PATH | O_NOFOLLOW, 0);
    PB_CLOSE int copy = -1;

    if (target < 0 && errno == ENOENT)
        return 0;
    if (target >= 0)
        copy = pb_clone_tree(target, "", PB_RECURSIVE);
    if (copy < 0 || pb_restrict_mount(copy, PB_ATTR_RDONLY, PB_RECURSIVE) < 0 || pb_move_mount(copy, target) < 0)
        return pb_fail(error, errno, "make read-only", "/proc/%s", path);
    return 0;
}

static int restrict_kernel_files(int proc_fd, int sys_fd, pb_error *error)
{
    PB_CLOSE int empty_fd = -1;
    int result = 0;

    for (size_t i = 0; result == 0 && i < COUNT(masked_proc); i++)
        result = hide(proc_fd, masked_proc[i], "/proc", &empty_fd, error);
    for (size_t i = 0; result == 0 && i < COUNT(masked_sys); i++)
        result = hide(sys_fd, masked_sys[i], "/sys", &empty_fd, error);
    for (size_t i = 0; result == 0 && i < COUNT(read_only_proc); i++)
        result = make_read_only(proc_fd, read_only_proc[i], error);
    return result;
}

static int mount_standard(pb_start *start, int root_fd)
{
    PB_CLOSE int proc_fd = mount_proc(root_fd, start->error);
    PB_CLOSE int sys_fd = -1;
    int result;

    if (proc_fd < 0)
        return proc_fd;
    sys_fd = mount_sys(start, root_fd);
    if (sys_fd < 0)
        return sys_fd;
    result = pb_mount_dev(start, root_fd);
    if (result < 0 || (start->spec->flags & PB_KEEP_CAPS))
        return result;
    return restrict_kernel_files(proc_fd, sys_fd, start->error);
}

/* --- the mounts of the step --- */

static int open_mount(const pb_start *start, size_t index)
{
    const pb_mount *mount = &start->spec->mounts[index];
    int fd;

    if (mount->type != NULL)
        return pb_new_filesystem(mount->type, mount->options ? mount->options : "", PB_ATTR_NOSUID | PB_ATTR_NODEV,
                              start->error);
    if (mount->source != NULL)
        fd = pb_clone_tree(AT_FDCWD, mount->source, PB_RECURSIVE);
    else if (start->mount_copies[index] >= 0)
        fd = fcntl(start->mount_copies[index], F_DUPFD_CLOEXEC, 3);
    else
        fd = fcntl(mount->source_fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0)
        return pb_fail(start->error, errno, "bind", "%s", mount->source ? mount->source : mount->target);
    return fd;
}

static int mount_one(const pb_start *start, int root_fd, size_t index)
{
    const pb_mount *mount = &start->spec->mounts[index];
    PB_CLOSE int fd = open_mount(start, index);
    uint64_t attributes = (mount->read_only ? PB_ATTR_RDONLY : 0) |
                          (start->spec->flags & PB_KEEP_CAPS ? 0 : PB_ATTR_NODEV);
    struct stat status;

    if (fd < 0)
        return fd;
    if (fstat(fd, &status) < 0 || (attributes != 0 && pb_restrict_mount(fd, attributes, PB_RECURSIVE) < 0))
        return pb_fail(start->error, errno, "mount", "%s", mount->target);
    PB_CLOSE int target = pb_make_mount_point(root_fd, mount->target, S_ISDIR(status.st_mode), NULL, start->error);
    if (target < 0)
        return target;
    if (pb_move_mount(fd, target) < 0)
        return pb_fail(start->error, errno, "mount", "%s", mount->target);
    return 0;
}

/* --- the root --- */

/* Put the rootfs onto its mount point: itself if it is detached, else the copy that the parent made of it. */
static int attach_root(const pb_start *start, pb_error *error)
{
    PB_CLOSE int target = open(start->spec->mount_point, O_PATH | O_DIRECTORY | O_CLOEXEC);
    uint64_t attributes = start->spec->flags & PB_KEEP_CAPS ? 0 : PB_ATTR_NODEV;
    int fd = start->root_copy;

    if (target < 0)
        return pb_fail(error, errno, "open", "%s", start->spec->mount_point);
    if (fd < 0)
        fd = start->spec->root_fd;
    if (attributes != 0 && pb_restrict_mount(fd, attributes, 0) < 0)
        return pb_fail(error, errno, "restrict", "the root file system");
    if (pb_move_mount(fd, target) < 0)
        return pb_fail(error, errno, "mount root", "%s", start->spec->mount_point);
    return fd;
}

int pb_enter_rootfs(pb_start *start)
{
    pb_error *error = start->error;
    int root_fd, result;

    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return pb_fail(error, errno, "make mounts private", "/");
    root_fd = attach_root(start, error);
    if (root_fd < 0)
        return root_fd;
    result = mount_standard(start, root_fd);
    for (size_t i = 0; result == 0 && i < start->spec->mount_count; i++)
        result = mount_one(start, root_fd, i);
    if (result < 0)
        return result;
    /* The new root on top of the old one, which is then unmounted: no directory of the rootfs is needed for it. */
    if (fchdir(root_fd) < 0 || syscall(SYS_pivot_root, ".", ".") < 0)
        return pb_fail(error, errno, "pivot root", "%s", start->spec->mount_point);
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
        return pb_fail(error, errno, "leave the old root", "/");
    return 0;
}
