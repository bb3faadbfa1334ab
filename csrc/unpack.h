/* What an unpacker holds; how it puts entries in their places (unpackentry.c). */
#ifndef PB_UNPACK_H
#define PB_UNPACK_H

#include "tarread.h"

/* A path, and with it a time or a second path. */
typedef struct {
    char *path;
    char *target;
    int64_t mtime;
} pb_note;

typedef struct {
    pb_note *items;
    size_t count, capacity;
} pb_notes;

struct pb_unpacker {
    int root_fd;
    char *prefix;
    int flags;
    int64_t uid, gid;
    int file; /* being written, or -1 */
    char *last_folder; /* the folder that last_fd is: archives come folder by folder */
    int last_fd;
    int stale;         /* a folder was removed since: last_fd may be it */
    pb_notes folders;  /* entries of their own: times are set at the end */
    pb_notes implied;  /* made because something is in them */
    pb_notes links;    /* to files that the archive does not have */
};

/* Add copies of the texts; 0 or -ENOMEM. */
int pb_note_add(pb_notes *list, const char *path, const char *target, int64_t mtime);
/* A name of the archive as a path from the root (malloc'ed): without empty and `.` parts, and no way above the top. */
char *pb_unpack_path(const pb_unpacker *unpacker, const char *name);
/* Cut a path before its last part, and give that; NULL if it has but one. */
const char *pb_unpack_split(char *path);

/* `.wh.NAME`: hides what the layers below have; what this layer has itself stays. 0 or a negative errno. */
int pb_unpack_whiteout(const pb_unpacker *unpacker, int folder, const char *name);
/* Remove what a folder has under a name; it need not be there. */
int pb_unpack_removal(const pb_unpacker *unpacker, const char *folder, const char *name, pb_error *error);
int pb_unpack_folder(pb_unpacker *unpacker, const pb_tar_member *entry, int folder, const char *name, const char *path,
                     pb_error *error);
int pb_unpack_hard_link(pb_unpacker *unpacker, const pb_tar_member *entry, int folder, const char *name, const char *path,
                        pb_error *error);
/* A symbolic link, a device or a fifo. */
int pb_unpack_special(pb_unpacker *unpacker, const pb_tar_member *entry, int folder, const char *name, const char *path,
                      pb_error *error);
/* A new file in place of whatever is there: its descriptor. */
int pb_unpack_create(pb_unpacker *unpacker, int folder, const char *name, const char *path, uint32_t mode, pb_error *error);
/* Owner, mode and attributes, as far as they are not what they are to be. 0 or a negative errno. */
int pb_unpack_attributes(const pb_unpacker *unpacker, int fd, const pb_tar_member *entry);

#endif
