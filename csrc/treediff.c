/* What differs between two listings: one line of text for each difference, going down only where fingerprints differ. */
#include "error.h"
#include "tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

typedef struct {
    const pb_index *old, *new;
    char *text;
    size_t size, capacity;
    size_t limit;
    uint64_t total;
} report;

static int append(report *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int append(report *out, const char *format, ...)
{
    for (;;) {
        va_list arguments;
        size_t room = out->capacity - out->size;
        int length;
        va_start(arguments, format);
        length = vsnprintf(room ? out->text + out->size : NULL, room, format, arguments);
        va_end(arguments);
        if (length < 0)
            return -EINVAL;
        if ((size_t)length < room) {
            out->size += (size_t)length;
            return 0;
        }
        {
            size_t capacity = out->capacity * 2 + (size_t)length + 4096;
            char *text = realloc(out->text, capacity);
            if (!text)
                return -ENOMEM;
            out->text = text;
            out->capacity = capacity;
        }
    }
}

/* A path on a line of its own: what would break the line is written as \xHH. */
static int append_path(report *out, const char *path)
{
    int failed = 0;
    for (const unsigned char *at = (const unsigned char *)path; *at && !failed; at++)
        failed = *at < 32 || *at == 127 || *at == '\\' ? append(out, "\\x%02x", *at) : append(out, "%c", *at);
    return failed;
}

static int tell(report *out, const char *kind, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int tell(report *out, const char *kind, const char *path, const char *format, ...)
{
    char detail[128];
    va_list arguments;
    int failed;

    if (out->total++ >= out->limit)
        return 0;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    failed = append(out, "%s\t", kind);
    if (!failed)
        failed = append_path(out, path);
    return failed ? failed : append(out, "\t%s\n", detail);
}

static char *join(const char *folder, const char *name)
{
    char *path;
    return asprintf(&path, "%s%s%s", folder, *folder ? "/" : "", name) < 0 ? NULL : path;
}

static const char *kind_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "folder";
    case S_IFLNK:
        return "link";
    case S_IFIFO:
        return "pipe";
    case S_IFSOCK:
        return "socket";
    default:
        return "device";
    }
}

static int tell_content(report *out, const pb_node *old, const pb_node *new, const char *path)
{
    if (S_ISLNK(new->mode))
        return tell(out, "target", path, "%s", "");
    if (old->size == new->size)
        return tell(out, "content", path, "%s", "");
    return tell(out, "content", path, "%llu → %llu bytes", (unsigned long long)old->size, (unsigned long long)new->size);
}

static int compare(report *out, const pb_node *old, const pb_node *new, const char *path)
{
    int failed = 0;
    if ((old->mode & S_IFMT) != (new->mode & S_IFMT))
        return tell(out, "type", path, "%s → %s", kind_of(old->mode), kind_of(new->mode));
    if ((S_ISCHR(new->mode) || S_ISBLK(new->mode)) && old->rdev != new->rdev)
        failed = tell(out, "type", path, "device %u:%u → %u:%u", major(old->rdev), minor(old->rdev), major(new->rdev),
                      minor(new->rdev));
    if (!failed && !S_ISDIR(new->mode) && memcmp(&old->content, &new->content, sizeof old->content))
        failed = tell_content(out, old, new, path);
    if (!failed && !S_ISLNK(new->mode) && (old->mode & 07777) != (new->mode & 07777))
        failed = tell(out, "mode", path, "%04o → %04o", old->mode & 07777, new->mode & 07777);
    if (!failed && (old->uid != new->uid || old->gid != new->gid))
        failed = tell(out, "owner", path, "%u:%u → %u:%u", old->uid, old->gid, new->uid, new->gid);
    if (!failed && memcmp(&old->xattrs, &new->xattrs, sizeof old->xattrs))
        failed = tell(out, "xattrs", path, "%s", "");
    return failed;
}

typedef struct {
    uint32_t old, new;
    char *path;
} pair;

typedef struct {
    pair *items;
    size_t count, capacity;
} stack;

static int push(stack *left, uint32_t old, uint32_t new, const char *path)
{
    if (left->count == left->capacity) {
        size_t capacity = left->capacity * 2 + 64;
        pair *items = realloc(left->items, capacity * sizeof *items);
        if (!items)
            return -ENOMEM;
        left->items = items;
        left->capacity = capacity;
    }
    left->items[left->count] = (pair){old, new, strdup(path)};
    return left->items[left->count++].path ? 0 : -ENOMEM;
}

/* Say what differs in two folders, and push the folders in them that differ too, the first to be taken first. */
static int merge(report *out, stack *left, pair now)
{
    size_t pushed = left->count;
    const pb_node *old_folder = &out->old->nodes[now.old], *new_folder = &out->new->nodes[now.new];
    uint32_t a = old_folder->first_child, a_end = a + old_folder->child_count;
    uint32_t b = new_folder->first_child, b_end = b + new_folder->child_count;
    int failed = 0;

    while (!failed && (a < a_end || b < b_end)) {
        const pb_node *old = a < a_end ? &out->old->nodes[a] : NULL, *new = b < b_end ? &out->new->nodes[b] : NULL;
        const char *old_name = old ? out->old->names + old->name : NULL, *new_name = new ? out->new->names + new->name : NULL;
        int order = !old ? 1 : !new ? -1 : strcmp(old_name, new_name);
        PB_FREE char *path = join(now.path, order > 0 ? new_name : old_name);
        if (!path)
            return -ENOMEM;
        if (order < 0) {
            failed = tell(out, "removed", path, "%s", "");
            a++;
        } else if (order > 0) {
            failed = tell(out, "added", path, "%s", "");
            b++;
        } else {
            failed = compare(out, old, new, path);
            if (!failed && S_ISDIR(old->mode) && S_ISDIR(new->mode) &&
                memcmp(&old->content, &new->content, sizeof old->content))
                failed = push(left, a, b, path);
            a++;
            b++;
        }
    }
    for (size_t low = pushed, high = left->count; low + 1 < high; low++) {
        pair swap = left->items[low];
        left->items[low] = left->items[--high];
        left->items[high] = swap;
    }
    return failed;
}

static int diff(report *out)
{
    stack left = {0};
    int failed = push(&left, 0, 0, "");

    while (!failed && left.count) {
        pair now = left.items[--left.count];
        failed = merge(out, &left, now);
        free(now.path);
    }
    while (left.count)
        free(left.items[--left.count].path);
    free(left.items);
    return failed;
}

int pb_listing_diff(const char *old_file, const char *new_file, const pb_secret *secret, size_t limit, char **ret,
                    uint64_t *total, pb_error *error)
{
    pb_index old, new;
    report out = {.old = &old, .new = &new, .limit = limit};
    int failed;

    pb_index_load(old_file, secret, &old);
    if (!old.map)
        return pb_fail_detail(error, EBADMSG, "read listing", old_file, "it is missing or damaged");
    pb_index_load(new_file, secret, &new);
    if (!new.map) {
        pb_index_close(&old);
        return pb_fail_detail(error, EBADMSG, "read listing", new_file, "it is missing or damaged");
    }
    failed = append(&out, "%s", "");
    if (!failed)
        failed = diff(&out);
    pb_index_close(&old);
    pb_index_close(&new);
    if (failed) {
        free(out.text);
        return pb_fail(error, -failed, "compare listings", "%s", new_file);
    }
    *ret = out.text;
    *total = out.total;
    return 0;
}
