/* In the child: /dev of a process. The devices are nodes of its own, so that another owner, mode or time of one is nothing to the
 * host.
 */
#include "error.h"
#include "mountcalls.h"
#include "sandbox.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* Major and minor number as in Linux' Documentation/admin-guide/devices.txt. */
static const struct {
    const char *name;
    unsigned major, minor;
} devices[] = {{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
static const char *const device_links[][2] = {
    {"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
    {"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},         {"core", "/proc/kcore"},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int attach_at(int mount_fd, int directory, const char *name, const char *shown, pb_error *error)
{
    PB_CLOSE int target = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);

    if (target < 0 || pb_move_mount(mount_fd, target) < 0)
        return pb_fail(error, errno, "mount", "%s/%s", shown, name);
    return 0;
}

/* A new file system on an existing directory of /dev. */
static int add_filesystem(int directory, const char *name, const char *type, const char *options, unsigned attributes,
                          pb_error *error)
{
    PB_CLOSE int fd = pb_new_filesystem(type, options, attributes, error);

    if (fd < 0)
        return fd;
    return attach_at(fd, directory, name, "/dev", error);
}

static int make_device_names(int dev_fd, pb_error *error)
{
    static const char *const directories[] = {"pts", "shm", "mqueue"};

    for (size_t i = 0; i < COUNT(directories); i++)
        if (mkdirat(dev_fd, directories[i], 0755) < 0)
            return pb_fail(error, errno, "make", "/dev/%s", directories[i]);
    for (size_t i = 0; i < COUNT(devices); i++) {
        PB_CLOSE int file = openat(dev_fd, devices[i].name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
        if (file < 0)
            return pb_fail(error, errno, "make", "/dev/%s", devices[i].name);
    }
    for (size_t i = 0; i < COUNT(device_links); i++)
        if (symlinkat(device_links[i][1], dev_fd, device_links[i][0]) < 0)
            return pb_fail(error, errno, "make", "/dev/%s", device_links[i][0]);
    return 0;
}

/* A file system with nodes, on a directory of /dev for as long as it takes to bind them: only what is attached can be bound.
 * -EPERM where nobody can make nodes, as in a user namespace.
 */
static int make_nodes(int dev_fd, const char *directory, pb_error *error)
{
    int fd = pb_new_filesystem("tmpfs", "mode=700,size=64k", PB_ATTR_NOSUID | PB_ATTR_NOEXEC, error), result = fd < 0 ? fd : 0;

    for (size_t i = 0; result == 0 && i < COUNT(devices); i++)
        if (mknodat(fd, devices[i].name, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)) < 0)
            result = errno == EPERM ? -EPERM : pb_fail(error, errno, "make device", "/dev/%s", devices[i].name);
        else if (fchmodat(fd, devices[i].name, 0666, 0) < 0)
            result = pb_fail(error, errno, "make device", "/dev/%s", devices[i].name);
    if (result == 0)
        result = attach_at(fd, dev_fd, directory, "/dev", error);
    if (result < 0 && fd >= 0)
        close(fd);
    return result < 0 ? result : fd;
}

/* A mount that is read-only keeps owner, mode and times of a device, and lets everybody write to it (may_open_dev and
 * mnt_want_write of the kernel). */
int pb_clone_host_device(const char *name)
{
    char path[32];
    int fd;

    snprintf(path, sizeof path, "/dev/%s", name);
    fd = pb_clone_tree(AT_FDCWD, path, 0);
    if (fd >= 0 && pb_restrict_mount(fd, PB_ATTR_RDONLY, 0) < 0) {
        int failure = errno;
        close(fd);
        errno = failure;
        return -1;
    }
    return fd;
}

static int bind_device(int dev_fd, int nodes_fd, const char *name, pb_error *error)
{
    PB_CLOSE int fd = nodes_fd < 0 ? pb_clone_host_device(name) : pb_clone_tree(nodes_fd, name, 0);

    if (fd < 0)
        return pb_fail(error, errno, "bind device", "/dev/%s", name);
    return attach_at(fd, dev_fd, name, "/dev", error);
}

static int bind_devices(int dev_fd, pb_error *error)
{
    PB_CLOSE int nodes_fd = make_nodes(dev_fd, "shm", error);
    PB_CLOSE int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int result = nodes_fd < 0 && nodes_fd != -EPERM ? nodes_fd : 0;

    for (size_t i = 0; result == 0 && i < COUNT(devices); i++)
        result = bind_device(dev_fd, nodes_fd, devices[i].name, error);
    if (result == 0 && nodes_fd >= 0 && (fchdir(nodes_fd) < 0 || umount2(".", MNT_DETACH) < 0 || fchdir(here) < 0))
        return pb_fail(error, errno, "bind device", "/dev");
    return result;
}

int pb_mount_dev(pb_start *start, int root_fd)
{
    pb_error *error = start->error;
    char shm[64];
    unsigned nodev = start->spec->flags & PB_KEEP_CAPS ? 0 : PB_ATTR_NODEV;
    PB_CLOSE int dev_fd =
        pb_new_filesystem("tmpfs", "mode=755,size=65536k", PB_ATTR_NOSUID | PB_ATTR_STRICTATIME | nodev, error);
    int result;

    if (dev_fd < 0)
        return dev_fd;
    result = make_device_names(dev_fd, error);
    if (result == 0)
        result = pb_attach_in_root(dev_fd, root_fd, "/dev", error);
    if (result == 0)
        result = bind_devices(dev_fd, error);
    if (result < 0)
        return result;
    start->null_fd = openat(dev_fd, "null", O_RDWR | O_CLOEXEC);
    if (start->null_fd < 0)
        return pb_fail(error, errno, "open", "/dev/null");
    /* Group 5 is tty; a user namespace may not know it. */
    result = add_filesystem(dev_fd, "pts", "devpts", "newinstance,ptmxmode=0666,mode=0620,gid=5",
                            PB_ATTR_NOSUID | PB_ATTR_NOEXEC, error);
    if (result == -EINVAL)
        result = add_filesystem(dev_fd, "pts", "devpts", "newinstance,ptmxmode=0666,mode=0620",
                                PB_ATTR_NOSUID | PB_ATTR_NOEXEC, error);
    snprintf(shm, sizeof shm, "mode=1777,size=%llu", (unsigned long long)start->spec->shm_size);
    if (result == 0)
        result = add_filesystem(dev_fd, "shm", "tmpfs", shm, PB_PRIVATE_ATTRS, error);
    if (result == 0)
        result = add_filesystem(dev_fd, "mqueue", "mqueue", "", PB_PRIVATE_ATTRS, error);
    return result == -ENODEV ? 0 : result; /* a kernel without message queues */
}
