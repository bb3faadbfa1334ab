/* A second tree of the same files: directories are made anew, everything else is a hard link. */
#include "error.h"
#include "path.h"
#include "pybuild.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { THREADS = 2 };

/* Directories that are still to be done, by their paths from the top: threads take them one after the other. */
typedef struct {
    int source_fd, dest_fd;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char **paths;
    size_t count, capacity, next;
    int busy;         /* threads that may still find more */
    int failed;       /* the first failure */
    pb_error *error;  /* of it */
} path_list;

static int add_path(path_list *list, const char *folder, const char *name)
{
    char *path = malloc(strlen(folder) + strlen(name) + 2);

    if (!path)
        return -ENOMEM;
    stpcpy(stpcpy(stpcpy(path, folder), *folder ? "/" : ""), name);
    pthread_mutex_lock(&list->lock);
    if (list->count == list->capacity) {
        size_t capacity = list->capacity * 2 + 64;
        char **moved = realloc(list->paths, capacity * sizeof *moved);
        if (!moved) {
            pthread_mutex_unlock(&list->lock);
            free(path);
            return -ENOMEM;
        }
        list->paths = moved;
        list->capacity = capacity;
    }
    list->paths[list->count++] = path;
    pthread_cond_signal(&list->changed);
    pthread_mutex_unlock(&list->lock);
    return 0;
}

/* The next directory, or NULL when there will be none any more. */
static const char *take_path(path_list *list)
{
    const char *path = NULL;

    pthread_mutex_lock(&list->lock);
    list->busy--;
    while (!list->failed && list->next == list->count && list->busy)
        pthread_cond_wait(&list->changed, &list->lock);
    if (!list->failed && list->next < list->count) {
        path = list->paths[list->next++];
        list->busy++;
    } else {
        pthread_cond_broadcast(&list->changed);
    }
    pthread_mutex_unlock(&list->lock);
    return path;
}

static void give_up(path_list *list, int failed, const char *path)
{
    pthread_mutex_lock(&list->lock);
    if (!list->failed)
        list->failed = pb_fail(list->error, -failed, "link", "%s", path);
    pthread_cond_broadcast(&list->changed);
    pthread_mutex_unlock(&list->lock);
}

/* Inodes of what was linked, to find files with several names. */
typedef struct {
    ino_t *items;
    size_t count, capacity;
} inode_list;

static int add_inode(inode_list *list, ino_t inode)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity * 2 + 1024;
        ino_t *moved = realloc(list->items, capacity * sizeof *moved);
        if (!moved)
            return -ENOMEM;
        list->items = moved;
        list->capacity = capacity;
    }
    list->items[list->count++] = inode;
    return 0;
}

static int by_number(const void *left, const void *right)
{
    const ino_t *a = left, *b = right;
    return *a < *b ? -1 : *a > *b;
}

static int has_doubles(inode_list *list)
{
    qsort(list->items, list->count, sizeof *list->items, by_number);
    for (size_t i = 1; i < list->count; i++)
        if (list->items[i - 1] == list->items[i])
            return 1;
    return 0;
}

static void free_paths(path_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->paths[i]);
    free(list->paths);
}

static int copy_all_xattrs(int source, int dest)
{
    PB_FREE char *names = NULL, *value = NULL;
    ssize_t size = flistxattr(source, NULL, 0);

    if (size == 0 || (size < 0 && errno == EOPNOTSUPP))
        return 0;
    names = malloc(size > 0 ? (size_t)size : 1);
    value = malloc(XATTR_SIZE_MAX);
    if (!names || !value)
        return -ENOMEM;
    size = size < 0 ? size : flistxattr(source, names, (size_t)size);
    if (size < 0)
        return -errno;
    for (const char *name = names; name < names + size; name += strlen(name) + 1) {
        ssize_t length = fgetxattr(source, name, value, XATTR_SIZE_MAX);
        if (length < 0 || fsetxattr(dest, name, value, (size_t)length, 0))
            return -errno;
    }
    return 0;
}

/* Owner, mode, attributes and times of a directory; the times last, when nothing is put into it any more. */
static int copy_metadata(int source, int dest)
{
    struct timespec times[2];
    struct stat stat;
    int failed;

    if (fstat(source, &stat) || fchown(dest, stat.st_uid, stat.st_gid) || fchmod(dest, stat.st_mode & 07777))
        return -errno;
    failed = copy_all_xattrs(source, dest);
    if (failed)
        return failed;
    times[0] = stat.st_atim;
    times[1] = stat.st_mtim;
    return futimens(dest, times) ? -errno : 0;
}

static int is_folder(int dir_fd, const struct dirent *entry)
{
    struct stat stat;
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    return fstatat(dir_fd, entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) ? -errno : S_ISDIR(stat.st_mode);
}

/* The entries of one directory; folders among them are put on the list. */
static int link_entries(DIR *source, int dest, const char *path, path_list *left, inode_list *linked)
{
    for (;;) {
        const struct dirent *entry;
        int folder, failed = 0;
        errno = 0;
        entry = readdir(source);
        if (!entry)
            return -errno;
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
            continue;
        folder = is_folder(dirfd(source), entry);
        if (folder < 0)
            return folder;
        if (folder)
            failed = mkdirat(dest, entry->d_name, 0700) ? -errno : add_path(left, path, entry->d_name);
        else
            failed = linkat(dirfd(source), entry->d_name, dest, entry->d_name, 0) ? -errno : add_inode(linked, entry->d_ino);
        if (failed)
            return failed;
    }
}

static int link_folder(path_list *left, const char *path, inode_list *linked)
{
    int fd = pb_path_open_below(left->source_fd, path, O_RDONLY | O_DIRECTORY), failed;
    PB_CLOSE int dest = -1;
    DIR *source;

    if (fd < 0)
        return fd;
    source = fdopendir(fd);
    if (!source) {
        close(fd);
        return -ENOMEM;
    }
    dest = pb_path_open_below(left->dest_fd, path, O_RDONLY | O_DIRECTORY);
    failed = dest < 0 ? dest : link_entries(source, dest, path, left, linked);
    if (!failed)
        failed = copy_metadata(dirfd(source), dest);
    closedir(source);
    return failed;
}

typedef struct {
    path_list *left;
    inode_list linked;
    pthread_t thread;
} worker;

static void *work_through(void *argument)
{
    worker *own = argument;
    const char *path;

    while ((path = take_path(own->left))) {
        int failed = link_folder(own->left, path, &own->linked);
        if (failed)
            give_up(own->left, failed, path);
    }
    return NULL;
}

/* Whether any file was linked twice. */
static int find_doubles(worker *workers, pb_error *error)
{
    inode_list *all = &workers[0].linked;

    for (int i = 1; i < THREADS; i++)
        for (size_t k = 0; k < workers[i].linked.count; k++)
            if (add_inode(all, workers[i].linked.items[k]))
                return pb_fail(error, ENOMEM, "link", "%s", "");
    return has_doubles(all) ? pb_fail_detail(error, EMLINK, "link", "", "files have several names there") : 0;
}

int pb_link_tree(int source_fd, int dest_fd, pb_error *error)
{
    path_list left = {.source_fd = source_fd, .dest_fd = dest_fd, .lock = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER, .busy = THREADS, .error = error};
    worker workers[THREADS] = {{.left = &left}, {.left = &left}};
    int started = 1, failed = add_path(&left, "", "");

    if (failed)
        return pb_fail(error, -failed, "link", "%s", "");
    while (started < THREADS && !pthread_create(&workers[started].thread, NULL, work_through, &workers[started]))
        started++;
    pthread_mutex_lock(&left.lock);
    left.busy -= THREADS - started; /* those that could not be had */
    pthread_mutex_unlock(&left.lock);
    work_through(&workers[0]);
    while (started > 1)
        pthread_join(workers[--started].thread, NULL);
    failed = left.failed ? left.failed : find_doubles(workers, error);
    for (int i = 0; i < THREADS; i++)
        free(workers[i].linked.items);
    free_paths(&left);
    pthread_mutex_destroy(&left.lock);
    pthread_cond_destroy(&left.changed);
    return failed;
}
