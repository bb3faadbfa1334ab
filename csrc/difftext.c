/* The text of differences: one line for each, "KIND\tPATH\tDETAIL\n". */
#include "difftext.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

static int append(pb_difftext *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static int append(pb_difftext *out, const char *format, ...)
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
static int append_path(pb_difftext *out, const char *path)
{
    int failed = 0;
    for (const unsigned char *at = (const unsigned char *)path; *at && !failed; at++)
        failed = *at < 32 || *at == 127 || *at == '\\' ? append(out, "\\x%02x", *at) : append(out, "%c", *at);
    return failed;
}

int pb_difftext_tell(pb_difftext *out, const char *kind, const char *path, const char *format, ...)
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

const char *pb_difftext_kind(const pb_node *node)
{
    if (S_ISCHR(node->mode) && node->rdev == 0)
        return "removal"; /* an overlay's whiteout */
    switch (node->mode & S_IFMT) {
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

static int tell_content(pb_difftext *out, const pb_node *old, const pb_node *new, const char *path)
{
    if (S_ISLNK(new->mode))
        return pb_difftext_tell(out, "target", path, "%s", "");
    if (old->size == new->size)
        return pb_difftext_tell(out, "content", path, "%s", "");
    return pb_difftext_tell(out, "content", path, "%llu → %llu bytes", (unsigned long long)old->size, (unsigned long long)new->size);
}

int pb_difftext_compare(pb_difftext *out, const pb_node *old, const pb_node *new, const char *path)
{
    int failed = 0;
    if ((old->mode & S_IFMT) != (new->mode & S_IFMT) || strcmp(pb_difftext_kind(old), pb_difftext_kind(new)))
        return pb_difftext_tell(out, "type", path, "%s → %s", pb_difftext_kind(old), pb_difftext_kind(new));
    if ((S_ISCHR(new->mode) || S_ISBLK(new->mode)) && old->rdev != new->rdev)
        failed = pb_difftext_tell(out, "type", path, "device %u:%u → %u:%u", major(old->rdev), minor(old->rdev), major(new->rdev),
                      minor(new->rdev));
    if (!failed && !S_ISDIR(new->mode) && memcmp(&old->content, &new->content, sizeof old->content))
        failed = tell_content(out, old, new, path);
    if (!failed && !S_ISLNK(new->mode) && (old->mode & 07777) != (new->mode & 07777))
        failed = pb_difftext_tell(out, "mode", path, "%04o → %04o", old->mode & 07777, new->mode & 07777);
    if (!failed && (old->uid != new->uid || old->gid != new->gid))
        failed = pb_difftext_tell(out, "owner", path, "%u:%u → %u:%u", old->uid, old->gid, new->uid, new->gid);
    if (!failed && memcmp(&old->xattrs, &new->xattrs, sizeof old->xattrs))
        failed = pb_difftext_tell(out, "xattrs", path, "%s", "");
    return failed;
}

int pb_difftext_start(pb_difftext *out)
{
    return append(out, "%s", "");
}
