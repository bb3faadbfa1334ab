/* Listings that mean the same on every machine: contents by SHA-256, of which the first half is enough to tell what changed. */
#include "delta.h"
#include "error.h"
#include "known.h"
#include "listing.h"
#include "sha256.h"

#include <errno.h>
#include <fcntl.h>

static void first_half(const pb_digest *digest, pb_fingerprint *ret)
{
    memcpy(ret->bytes, digest->bytes, sizeof ret->bytes);
}

int pb_portable_content(pb_tree *tree, uint32_t node, pb_known *known, pb_fingerprint *ret, uint64_t *hashed, pb_error *error)
{
    pb_fingerprint content = tree->nodes[node].content;
    int is_file = S_ISREG(tree->nodes[node].mode), failed;
    const pb_digest *digest = is_file ? pb_known_find(known, &content) : NULL;
    pb_digest entry;
    uint64_t more;

    if (!digest) {
        failed = pb_tree_portable(tree, node, NULL, PB_WITHOUT_OWNER, known, &entry, &more, error);
        if (failed)
            return failed;
        *hashed += more;
        digest = is_file ? pb_known_find(known, &content) : NULL;
    }
    first_half(digest ? digest : &entry, ret);
    return 0;
}

int pb_portable_xattrs(const pb_tree *tree, uint32_t node, pb_fingerprint *ret, pb_error *error)
{
    PB_CLOSE int fd = pb_tree_open_node(tree, node, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, error);
    pb_digest digest;
    int failed;

    if (fd < 0)
        return fd;
    failed = pb_digest_xattrs(fd, &digest);
    if (failed)
        return pb_fail(error, -failed, "read the attributes of", "%s", pb_tree_name(tree, node));
    first_half(&digest, ret);
    return 0;
}

static int select_node(pb_tree *tree, uint32_t node, const pb_ignore *exclude, pb_known *known, pb_selection *ret,
                       uint64_t *hashed, pb_error *error)
{
    static const pb_fingerprint none;
    int failed;

    if (node >= tree->count)
        return pb_fail(error, EINVAL, "write listing", "node %u", node);
    failed = pb_tree_collect(tree, node, exclude, &ret->list, error);
    if (!failed)
        failed = pb_tree_hash(tree, ret->list.items, ret->list.count, error);
    if (failed)
        return failed;
    ret->content = calloc(ret->list.count + 1, sizeof *ret->content);
    ret->xattrs = calloc(ret->list.count + 1, sizeof *ret->xattrs);
    if (!ret->content || !ret->xattrs)
        return pb_fail(error, ENOMEM, "write listing", "%s", "");
    for (size_t i = 0; !failed && i < ret->list.count; i++) {
        uint32_t item = ret->list.items[i];
        if (S_ISREG(tree->nodes[item].mode) || S_ISLNK(tree->nodes[item].mode))
            failed = pb_portable_content(tree, item, known, &ret->content[i], hashed, error);
        if (!failed && !S_ISLNK(tree->nodes[item].mode) && memcmp(&tree->nodes[item].xattrs, &none, sizeof none))
            failed = pb_portable_xattrs(tree, item, &ret->xattrs[i], error);
    }
    return failed ? failed : pb_selection_complete(tree, node, ret, error);
}

int pb_tree_save_portable(pb_tree *tree, const uint32_t *nodes, size_t count, const pb_ignore *exclude, int flags,
                          pb_known *known, const char *file, uint64_t *hashed, pb_error *error)
{
    PB_FREE pb_selection *chosen = calloc(count + 1, sizeof *chosen);
    size_t used = 0;
    int failed = chosen ? 0 : pb_fail(error, ENOMEM, "write listing", "%s", file);

    *hashed = 0;
    for (size_t i = 0; !failed && i < count; i++) {
        failed = select_node(tree, nodes[i], exclude, known, &chosen[used], hashed, error);
        if (failed || chosen[used].list.count)
            used++;
        else
            pb_selection_clear(&chosen[used]); /* left out altogether */
    }
    if (!failed)
        failed = pb_listing_save(tree, chosen, used, flags, NULL, 1, file, error);
    while (used > 0)
        pb_selection_clear(&chosen[--used]);
    return failed;
}
