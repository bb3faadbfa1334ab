/* What a folder has that earlier parts of it have not, as far as listings tell what those hold.
 *
 * A folder travels as parts, of which each has what was new or another than in those before, and says what was gone. The listing
 * of a part is
 *
 *     "pbparts1" | entries, each: bytes of the path that are those of the entry before, bytes that follow, these |
 *     0 for what is gone, or: mode with type bits, uid, gid, size, rdev, mtime of a file in seconds (zigzag) | of files and links
 *     the first half of the SHA-256 of the content | 1 and the first half of that of the xattrs, or 0; numbers as varints
 *
 * It means the same on every machine.
 */
#ifndef PB_DELTA_H
#define PB_DELTA_H

#include "known.h"
#include "tarentry.h"
#include "tree.h"

enum { PB_MOST_PARTS = 64, PB_DELTA_NOW = PB_MOST_PARTS, PB_LONGEST_VALUE = 6 * 10 + 1 + 2 * sizeof(pb_fingerprint) };

/* An entry as a listing has it, or as it is now; both fingerprints are made with a secret that nobody knows. */
typedef struct {
    pb_fingerprint path, value;
    uint64_t weight;
    uint32_t part; /* PB_DELTA_NOW: of the folder */
    uint32_t node; /* of the folder; PB_NONE: of a listing; PB_GONE: it says that nothing is there */
} pb_version;

enum { PB_GONE = UINT32_MAX - 1 };

typedef struct {
    uint8_t *data;
    size_t size;
} pb_part_listing;

struct pb_delta {
    pb_tree *tree;   /* the caller's */
    pb_known *known; /* the caller's */
    uint8_t secret_data[192];
    pb_secret secret;
    pb_spill room;
    pb_version *versions; /* in `room`; sorted by path and part once `sorted` */
    size_t count;
    int sorted;
    pb_part_listing listings[PB_MOST_PARTS]; /* copies */
    uint32_t parts;
    pb_nodes order;   /* the chosen nodes, depth first; once divided: pack by pack */
    uint32_t *starts; /* where in `order` each pack begins, and the end */
    uint32_t packs;
    pb_text gone;     /* paths that are to be removed, each ended by a NUL */
};

/* deltalisting.c: a record of a listing. */
typedef struct {
    const uint8_t *at, *end;
    char path[4097];
    size_t length;
    const uint8_t *value; /* its encoded form */
    size_t value_size;
    uint64_t weight;
    int is_gone;
} pb_record;

/* 0, or -EBADMSG for what is no listing. */
int pb_record_begin(pb_record *record, const pb_part_listing *listing);
/* 1 with the next record, 0 at the end, -EBADMSG. */
int pb_record_next(pb_record *record);
/* What a node is, as a record has it: the bytes written to `at` (PB_LONGEST_VALUE), or a negative errno. */
int pb_delta_value(const pb_delta *delta, uint32_t node, uint8_t *at, pb_error *error);
uint64_t pb_delta_weight(uint64_t size);

/* portablelisting.c: the first halves of the digests of what a file or link holds, and of extended attributes. */
int pb_portable_content(pb_tree *tree, uint32_t node, pb_known *known, pb_fingerprint *ret, uint64_t *hashed, pb_error *error);
int pb_portable_xattrs(const pb_tree *tree, uint32_t node, pb_fingerprint *ret, pb_error *error);

#endif
