/* Selections of a tree: their fingerprints and sizes. */
#include "doubles.h"
#include "error.h"
#include "linkmap.h"
#include "tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is hashed of one entry, without its name. Every field has a fixed width, so that no two entries encode alike:
 *
 *     mode with type bits | uid | gid | size | device number | flags    each 8 bytes, little-endian
 *     content                                                           16 bytes: XXH3-128 of a file's bytes or a link's
 *                                                                       target, of a directory the fingerprint below, or 0
 *     xattrs                                                            16 bytes: of each the name and the value, sorted by
 *                                                                       name, each with its length in front; 0 without any
 *
 * A directory's content is the hash of its entries sorted by name: each the name with its length in front, then as above. */
enum { ENCODED = 6 * 8 + 2 * 16 };

static uint8_t *put_number(uint8_t *at, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        *at++ = (uint8_t)(number >> (8 * i));
    return at;
}

static void encode_entry(const pb_tree *tree, uint32_t index, const pb_fingerprint *merkle, int flags, uint8_t *at)
{
    const pb_node *node = &tree->nodes[index];
    int is_device = S_ISCHR(node->mode) || S_ISBLK(node->mode);

    at = put_number(at, S_ISLNK(node->mode) ? S_IFLNK : node->mode); /* a link's own mode means nothing */
    at = put_number(at, flags & PB_WITHOUT_OWNER ? 0 : node->uid);
    at = put_number(at, flags & PB_WITHOUT_OWNER ? 0 : node->gid);
    at = put_number(at, node->size);
    at = put_number(at, is_device ? node->rdev : 0);
    at = put_number(at, (uint64_t)flags);
    memcpy(at, S_ISDIR(node->mode) ? merkle->bytes : node->content.bytes, sizeof merkle->bytes);
    memcpy(at + sizeof merkle->bytes, node->xattrs.bytes, sizeof node->xattrs.bytes);
}

/* An entry of a directory, in one piece: names have at most 255 bytes on Linux. */
static void hash_child(const pb_tree *tree, uint32_t index, const pb_fingerprint *merkle, int flags, pb_hasher *hasher)
{
    uint8_t encoded[8 + 256 + ENCODED], *at = encoded;
    const char *name = pb_tree_name(tree, index);
    size_t length = strlen(name);

    at = put_number(at, length);
    if (length <= 256) {
        memcpy(at, name, length);
        at += length;
    } else {
        pb_hasher_update(hasher, encoded, 8);
        pb_hasher_update(hasher, name, length);
        at = encoded;
    }
    encode_entry(tree, index, merkle, flags, at);
    pb_hasher_update(hasher, encoded, (size_t)(at - encoded) + ENCODED);
}

uint32_t *pb_tree_ranges(const pb_tree *tree, const pb_nodes *list)
{
    uint32_t *first = malloc((list->count + 1) * sizeof *first);
    size_t cursor = 1;

    for (size_t i = 0; first && i < list->count; i++) { /* the contents are neighbours, in the order of their folders */
        pb_tree_pass(tree, i);
        first[i] = (uint32_t)cursor;
        while (cursor < list->count && tree->nodes[list->items[cursor]].parent == list->items[i])
            pb_tree_pass(tree, cursor++);
    }
    if (first)
        first[list->count] = (uint32_t)list->count;
    return first;
}

/* The Merkle fingerprints of the directories of a collected list: of the names and entries in each. */
static int hash_directories(pb_tree *tree, const pb_nodes *list, int flags, pb_fingerprint **ret, pb_error *error)
{
    PB_FREE uint32_t *first = pb_tree_ranges(tree, list);
    pb_fingerprint *merkle = calloc(list->count + 1, sizeof *merkle);

    if (!first || !merkle) {
        free(merkle);
        return pb_fail(error, ENOMEM, "fingerprint", "%s", "");
    }
    for (size_t i = list->count; i-- > 0;) {
        pb_tree_pass(tree, i);
        if (!S_ISDIR(tree->nodes[list->items[i]].mode))
            continue;
        pb_hasher_reset(tree->hasher);
        for (uint32_t k = first[i]; k < first[i + 1]; k++) {
            pb_tree_pass(tree, k);
            hash_child(tree, list->items[k], &merkle[k], flags, tree->hasher);
        }
        pb_hasher_finish(tree->hasher, &merkle[i]);
    }
    *ret = merkle;
    return 0;
}

int pb_tree_digest(pb_tree *tree, uint32_t node, const pb_ignore *exclude, int flags, pb_nodes *list,
                   pb_fingerprint **merkle, pb_error *error)
{
    int failed = pb_tree_collect(tree, node, exclude, list, error);
    if (!failed)
        failed = pb_tree_hash(tree, list->items, list->count, error);
    return failed ? failed : hash_directories(tree, list, flags, merkle, error);
}

int pb_tree_fingerprint(pb_tree *tree, uint32_t node, const pb_ignore *exclude, int flags, pb_fingerprint *ret,
                        pb_error *error)
{
    PB_NODES pb_nodes list = {0};
    PB_FREE pb_fingerprint *merkle = NULL;
    int failed;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "fingerprint", "node %u", node);
    failed = pb_tree_digest(tree, node, exclude, flags, &list, &merkle, error);
    if (failed)
        return failed;
    pb_hasher_reset(tree->hasher);
    if (list.count) {
        uint8_t encoded[ENCODED];
        encode_entry(tree, node, &merkle[0], flags, encoded);
        pb_hasher_update(tree->hasher, encoded, sizeof encoded);
    }
    pb_hasher_finish(tree->hasher, ret);
    return 0;
}

typedef struct {
    uint64_t device, inode;
} file_id;

static int by_id(const void *left, const void *right)
{
    const file_id *a = left, *b = right;
    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    return a->inode < b->inode ? -1 : a->inode > b->inode;
}

/* How many entries of a list are further names of a file in it. */
static int count_links(const pb_tree *tree, const pb_nodes *list, uint64_t *ret)
{
    PB_FREE file_id *ids = malloc((list->count + 1) * sizeof *ids);
    size_t count = 0;

    if (!ids)
        return -ENOMEM;
    for (size_t i = 0; tree->linked && i < list->count; i++) {
        const pb_node *node = &tree->nodes[list->items[i]];
        pb_tree_pass(tree, i);
        if (!S_ISDIR(node->mode) && node->nlink > 1)
            ids[count++] = (file_id){node->device, node->inode};
    }
    qsort(ids, count, sizeof *ids, by_id);
    *ret = 0;
    for (size_t i = 1; i < count; i++)
        *ret += !by_id(&ids[i - 1], &ids[i]);
    return 0;
}

int pb_tree_measure(pb_tree *tree, uint32_t node, const pb_ignore *exclude, uint64_t *entries, uint64_t *bytes,
                    uint64_t *links, pb_error *error)
{
    PB_NODES pb_nodes list = {0};
    int failed;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "measure", "node %u", node);
    failed = pb_tree_collect(tree, node, exclude, &list, error);
    if (failed)
        return failed;
    *entries = list.count;
    *bytes = 0;
    for (size_t i = 0; i < list.count; i++) {
        pb_tree_pass(tree, i);
        *bytes += S_ISREG(tree->nodes[list.items[i]].mode) ? tree->nodes[list.items[i]].size : 0;
    }
    return count_links(tree, &list, links) ? pb_fail(error, ENOMEM, "measure", "%s", "") : 0;
}

/* For each further name of a file in a list: its path below `top` and that of the first name, each ended by a NUL. */
static int write_links(const pb_tree *tree, uint32_t top, const pb_nodes *list, FILE *stream)
{
    pb_linkmap links = {0};
    PB_DOUBLES pb_doubles doubles = {0};
    int failed = pb_doubles_find(tree, list, &doubles);

    for (size_t i = 0; !failed && i < list->count; i++) {
        const pb_node *node = &tree->nodes[list->items[i]];
        PB_FREE char *path = NULL;
        const pb_link *first;
        int known;
        pb_tree_pass(tree, i);
        if (S_ISDIR(node->mode) || node->nlink < 2 || !pb_doubles_have(&doubles, node))
            continue;
        path = pb_tree_path_below(tree, top, list->items[i]);
        known = path ? pb_linkmap_add(&links, node->device, node->inode, path, 0, &first) : -ENOMEM;
        if (known > 0)
            fprintf(stream, "%s%c%s%c", path, 0, first->path, 0);
        failed = known < 0 ? known : 0;
    }
    pb_linkmap_free(&links);
    return failed || ferror(stream) ? -ENOMEM : 0;
}

int pb_tree_links(pb_tree *tree, uint32_t node, const pb_ignore *exclude, char **ret, size_t *size, pb_error *error)
{
    PB_NODES pb_nodes list = {0};
    FILE *stream;
    int failed;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "list links", "node %u", node);
    failed = atomic_load(&tree->linked) ? pb_tree_collect(tree, node, exclude, &list, error) : 0;
    if (failed)
        return failed;
    stream = open_memstream(ret, size);
    if (!stream)
        return pb_fail(error, ENOMEM, "list links", "%s", "");
    failed = write_links(tree, node, &list, stream);
    if (fclose(stream) || failed) {
        free(*ret);
        *ret = NULL;
        return pb_fail(error, ENOMEM, "list links", "%s", "");
    }
    return 0;
}

/* One record for each entry of a collected list: kind, size, path, each ended by a NUL. */
static int write_records(const pb_tree *tree, const pb_nodes *list, FILE *stream)
{
    for (size_t i = 0; i < list->count; i++) {
        const pb_node *node = &tree->nodes[list->items[i]];
        PB_FREE char *path = pb_tree_path(tree, list->items[i]);
        if (!path)
            return -ENOMEM;
        fprintf(stream, "%c%c%" PRIu64 "%c%s%c", pb_tree_kind(node), 0, S_ISREG(node->mode) ? node->size : 0, 0, path, 0);
    }
    return ferror(stream) ? -ENOMEM : 0;
}

int pb_tree_list(pb_tree *tree, uint32_t node, const pb_ignore *exclude, char **ret, size_t *size, pb_error *error)
{
    PB_NODES pb_nodes list = {0};
    FILE *stream;
    int failed;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "list", "node %u", node);
    failed = pb_tree_collect(tree, node, exclude, &list, error);
    if (failed)
        return failed;
    stream = open_memstream(ret, size);
    if (!stream)
        return pb_fail(error, ENOMEM, "list", "%s", "");
    failed = write_records(tree, &list, stream);
    if (fclose(stream) || failed) {
        free(*ret);
        *ret = NULL;
        return pb_fail(error, ENOMEM, "list", "%s", "");
    }
    return 0;
}
