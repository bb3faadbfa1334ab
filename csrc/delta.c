/* Comparing a folder with what its earlier parts hold, and choosing what a new part is to have. */
#include "delta.h"
#include "doubles.h"
#include "error.h"
#include "linkmap.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

enum { BUCKETS = 256 };
static const uint64_t MOST_VERSIONS = UINT64_C(1) << 31;

static int add_version(pb_delta *delta, const char *path, const uint8_t *value, size_t size, pb_version *version)
{
    int failed = delta->count >= MOST_VERSIONS ? -EFBIG : 0;

    if (!failed)
        failed = pb_spill_grow(&delta->room, (delta->count + 1) * sizeof *delta->versions, delta->tree->spare_fd);
    if (!failed)
        failed = pb_hash_bytes((const uint8_t *)path, strlen(path), &delta->secret, &version->path);
    if (!failed)
        failed = pb_hash_bytes(value, size, &delta->secret, &version->value);
    if (failed)
        return failed;
    delta->versions = delta->room.data;
    delta->versions[delta->count++] = *version;
    delta->sorted = 0;
    return 0;
}

/* --- the folder now ---------------------------------------------------------------------------------------------- */

static int hash_all(pb_delta *delta, pb_error *error)
{
    PB_NODES pb_nodes list = {0};
    int failed = pb_tree_read_all(delta->tree, 0, error);

    for (uint32_t i = 1; !failed && i < delta->tree->count; i++)
        if (S_ISREG(delta->tree->nodes[i].mode) || S_ISLNK(delta->tree->nodes[i].mode))
            if (pb_nodes_add(&list, i))
                failed = pb_fail(error, ENOMEM, "compare", "%s", "");
    return failed ? failed : pb_tree_hash(delta->tree, list.items, list.count, error);
}

static int look_at_folder(pb_delta *delta, pb_error *error)
{
    uint8_t value[PB_LONGEST_VALUE];

    for (uint32_t i = 1; i < delta->tree->count; i++) {
        const pb_node *node = &delta->tree->nodes[i];
        pb_version version = {.part = PB_DELTA_NOW, .node = i};
        PB_FREE char *path = NULL;
        int size, failed;
        pb_tree_pass(delta->tree, i);
        if (node->flags & PB_NODE_GONE || S_ISSOCK(node->mode)) /* an archive cannot hold a socket */
            continue;
        path = pb_tree_path(delta->tree, i);
        if (!path)
            return pb_fail(error, ENOMEM, "compare", "%s", "");
        version.weight = pb_delta_weight(S_ISREG(node->mode) ? node->size : 0);
        size = pb_delta_value(delta, i, value, error);
        if (size < 0)
            return size;
        failed = add_version(delta, path, value, (size_t)size, &version);
        if (failed)
            return pb_fail(error, -failed, "compare", "%s", path);
    }
    return 0;
}

int pb_delta_new(pb_tree *tree, pb_known *known, pb_delta **ret, pb_error *error)
{
    pb_delta *delta = calloc(1, sizeof *delta);
    int failed;

    if (!delta)
        return pb_fail(error, ENOMEM, "compare", "%s", "");
    delta->tree = tree;
    delta->known = known;
    delta->secret = (pb_secret){delta->secret_data, sizeof delta->secret_data};
    failed = getrandom(delta->secret_data, sizeof delta->secret_data, 0) == sizeof delta->secret_data
                 ? 0
                 : pb_fail(error, EIO, "compare", "%s", "");
    if (!failed)
        failed = hash_all(delta, error);
    if (!failed)
        failed = look_at_folder(delta, error);
    if (failed) {
        pb_delta_free(delta);
        return failed;
    }
    *ret = delta;
    return 0;
}

void pb_delta_free(pb_delta *delta)
{
    if (!delta)
        return;
    for (uint32_t i = 0; i < delta->parts; i++)
        free(delta->listings[i].data);
    pb_spill_free(&delta->room);
    free(delta->order.items);
    free(delta->starts);
    free(delta->gone.bytes);
    free(delta);
}

/* --- parts that are there ----------------------------------------------------------------------------------------- */

int pb_delta_add(pb_delta *delta, const uint8_t *listing, size_t size, pb_error *error)
{
    pb_part_listing *part = &delta->listings[delta->parts];
    pb_record record;
    int more;

    if (delta->parts == PB_MOST_PARTS)
        return pb_fail(error, EFBIG, "compare", "part %u", delta->parts);
    part->data = malloc(size + 1);
    if (!part->data)
        return pb_fail(error, ENOMEM, "compare", "%s", "");
    memcpy(part->data, listing, size);
    part->size = size;
    delta->parts++;
    more = pb_record_begin(&record, part);
    while (!more && (more = pb_record_next(&record)) > 0) {
        pb_version version = {
            .part = delta->parts - 1, .node = record.is_gone ? PB_GONE : PB_NONE, .weight = record.weight};
        more = add_version(delta, record.path, record.value, record.value_size, &version);
    }
    if (more == -EBADMSG)
        return pb_fail_detail(error, EBADMSG, "compare", "the listing", "it is damaged");
    return more ? pb_fail(error, -more, "compare", "%s", "the listing") : 0;
}

static int by_path(const void *left, const void *right)
{
    const pb_version *a = left, *b = right;
    int order = memcmp(&a->path, &b->path, sizeof a->path);
    return order ? order : a->part < b->part ? -1 : a->part > b->part;
}

/* First in place by the first byte of the paths' fingerprints, which are spread evenly, then each bucket by itself: qsort takes as
 * much memory again as what it sorts. */
static void sort(pb_delta *delta)
{
    size_t ends[BUCKETS] = {0}, next[BUCKETS], begin = 0;
    pb_version *all = delta->versions;

    for (size_t i = 0; i < delta->count; i++)
        ends[all[i].path.bytes[0]]++;
    for (size_t i = 0; i < BUCKETS; i++) {
        next[i] = begin;
        begin += ends[i];
        ends[i] = begin;
    }
    for (size_t bucket = 0; bucket < BUCKETS; bucket++)
        while (next[bucket] < ends[bucket]) {
            pb_version *here = &all[next[bucket]], moved = *here;
            size_t wanted = moved.path.bytes[0];
            if (wanted == bucket) {
                next[bucket]++;
                continue;
            }
            *here = all[next[wanted]];
            all[next[wanted]++] = moved;
        }
    begin = 0;
    for (size_t i = 0; i < BUCKETS; i++) {
        if (ends[i] > begin)
            qsort(all + begin, ends[i] - begin, sizeof *all, by_path);
        begin = ends[i];
    }
    delta->sorted = 1;
}

/* The versions of one path, which begin at `from`: where the next path's begin. */
static size_t group_end(const pb_delta *delta, size_t from)
{
    size_t end = from + 1;
    while (end < delta->count && !memcmp(&delta->versions[end].path, &delta->versions[from].path, sizeof(pb_fingerprint)))
        end++;
    return end;
}

/* What the first `kept` parts have of a path: NULL if that is nothing. */
static const pb_version *known_by(const pb_version *from, const pb_version *end, uint32_t kept)
{
    const pb_version *found = NULL;
    for (; from < end && from->part < kept; from++)
        found = from->node == PB_GONE ? NULL : from;
    return found;
}

static int is_same(const pb_version *one, const pb_version *other)
{
    return !memcmp(&one->value, &other->value, sizeof one->value);
}

int pb_delta_sums(pb_delta *delta, pb_delta_sum *ret, pb_error *error)
{
    if (!delta->sorted)
        sort(delta);
    memset(ret, 0, (delta->parts + 1) * sizeof *ret);
    for (size_t from = 0, end; from < delta->count; from = end) {
        const pb_version *first = &delta->versions[from], *last, *now;
        end = group_end(delta, from);
        last = &delta->versions[end - 1];
        now = last->part == PB_DELTA_NOW ? last : NULL;
        for (const pb_version *item = first; item <= last; item++) {
            if (item < last && item->part == item[1].part)
                return pb_fail_detail(error, EBADMSG, "compare", "the listing", "it has one path twice");
            if (item->part != PB_DELTA_NOW)
                for (uint32_t kept = item->part + 1; kept <= delta->parts; kept++)
                    ret[kept].total += item->weight;
        }
        for (uint32_t kept = 0; kept <= delta->parts; kept++) {
            const pb_version *there = known_by(first, last + 1, kept);
            if (now && there && is_same(now, there)) {
                ret[kept].live += there->weight;
            } else if (now) {
                ret[kept].changed++;
                ret[kept].fresh += now->weight;
            } else if (there) {
                ret[kept].gone++;
            }
        }
    }
    return 0;
}

/* --- a new part ---------------------------------------------------------------------------------------------------- */

static int by_fingerprint(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(pb_fingerprint));
}

/* The paths whose fingerprints are `gone` (sorted), as the listings spell them. */
static int name_gone(pb_delta *delta, const pb_fingerprint *gone, size_t count, uint32_t kept)
{
    PB_FREE uint8_t *told = calloc(count + 1, 1);
    int failed = told ? 0 : -ENOMEM;

    for (uint32_t part = 0; !failed && count && part < kept; part++) {
        pb_record record;
        int more = pb_record_begin(&record, &delta->listings[part]);
        while (!failed && !more && (more = pb_record_next(&record)) > 0) {
            const pb_fingerprint *found;
            pb_fingerprint path;
            more = 0;
            failed = pb_hash_bytes((const uint8_t *)record.path, record.length, &delta->secret, &path);
            found = failed || record.is_gone ? NULL : bsearch(&path, gone, count, sizeof path, by_fingerprint);
            if (!found || told[found - gone])
                continue;
            told[found - gone] = 1;
            failed = pb_text_add(&delta->gone, record.path, record.length + 1);
        }
        if (!failed && more < 0)
            failed = more;
    }
    return failed;
}

/* The nodes that are wanted, depth first. */
static int put_in_order(pb_delta *delta, const uint8_t *wanted)
{
    PB_NODES pb_nodes stack = {0};
    const pb_tree *tree = delta->tree;
    int failed = pb_nodes_add(&stack, 0);
    size_t passed = 0;

    while (!failed && stack.count) {
        uint32_t node = stack.items[--stack.count];
        pb_tree_pass(tree, passed++);
        if (wanted[node / 8] >> node % 8 & 1)
            failed = pb_nodes_add(&delta->order, node);
        for (uint32_t i = S_ISDIR(tree->nodes[node].mode) ? tree->nodes[node].child_count : 0; !failed && i-- > 0;)
            failed = pb_nodes_add(&stack, tree->nodes[node].first_child + i);
    }
    return failed;
}

int pb_delta_choose(pb_delta *delta, uint32_t kept, pb_error *error)
{
    PB_FREE uint8_t *wanted = calloc(delta->tree->count / 8 + 1, 1);
    PB_SPILL pb_spill room = {0};
    size_t count = 0;
    int failed = wanted ? 0 : -ENOMEM;

    if (kept > delta->parts)
        return pb_fail(error, EINVAL, "compare", "part %u of %u", kept, delta->parts);
    if (!delta->sorted)
        sort(delta);
    delta->order.count = delta->gone.size = 0;
    for (size_t from = 0, end; !failed && from < delta->count; from = end) {
        const pb_version *first = &delta->versions[from], *last, *there;
        end = group_end(delta, from);
        last = &delta->versions[end - 1];
        there = known_by(first, last + 1, kept);
        if (last->part == PB_DELTA_NOW) {
            if (!there || !is_same(there, last))
                wanted[last->node / 8] |= (uint8_t)(1 << last->node % 8);
        } else if (there) {
            failed = pb_spill_grow(&room, (count + 1) * sizeof(pb_fingerprint), delta->tree->spare_fd);
            if (!failed)
                ((pb_fingerprint *)room.data)[count++] = first->path; /* they come sorted */
        }
    }
    if (!failed)
        failed = name_gone(delta, room.data, count, kept);
    if (!failed)
        failed = put_in_order(delta, wanted);
    return failed ? pb_fail(error, -failed, "compare", "%s", "") : 0;
}

/* The pack of a node: what is no file comes first, files are spread by their paths, the names of one file by the first of them. */
static int pack_of(const pb_delta *delta, uint32_t node, uint32_t packs, const pb_doubles *doubles, pb_linkmap *links,
                   uint32_t *ret)
{
    const pb_node *from = &delta->tree->nodes[node];
    PB_FREE char *path = NULL;
    const pb_link *first;
    pb_fingerprint hash;
    int known = 0;

    *ret = 0;
    if (packs < 2 || !S_ISREG(from->mode))
        return 0;
    path = pb_tree_path(delta->tree, node);
    if (!path)
        return -ENOMEM;
    pb_hash_bytes((const uint8_t *)path, strlen(path), NULL, &hash);
    *ret = 1 + (((uint32_t)hash.bytes[13] << 16 | (uint32_t)hash.bytes[14] << 8 | hash.bytes[15]) % (packs - 1));
    if (from->nlink > 1 && pb_doubles_have(doubles, from))
        known = pb_linkmap_add(links, from->device, from->inode, "", *ret, &first);
    if (known > 0)
        *ret = (uint32_t)first->number;
    return known < 0 ? known : 0;
}

int pb_delta_divide(pb_delta *delta, uint32_t packs, pb_error *error)
{
    size_t count = delta->order.count;
    PB_FREE uint32_t *packed = malloc((count + 1) * sizeof *packed);
    uint32_t *order = malloc((count + 1) * sizeof *order), *starts = calloc((size_t)packs + 2, sizeof *starts);
    PB_DOUBLES pb_doubles doubles = {0};
    pb_linkmap links = {0};
    int failed = packed && order && starts ? packs ? pb_doubles_find(delta->tree, &delta->order, &doubles) : -EINVAL : -ENOMEM;

    for (size_t i = 0; !failed && i < count; i++) {
        pb_tree_pass(delta->tree, i);
        failed = pack_of(delta, delta->order.items[i], packs, &doubles, &links, &packed[i]);
        if (!failed)
            starts[packed[i] + 2]++;
    }
    pb_linkmap_free(&links);
    if (failed) {
        free(order);
        free(starts);
        return pb_fail(error, -failed, "archive", "%s", "");
    }
    for (uint32_t pack = 2; pack < packs + 2; pack++)
        starts[pack] += starts[pack - 1];
    for (size_t i = 0; i < count; i++) /* in their order: afterwards starts[pack + 1] is where the next one begins */
        order[starts[packed[i] + 1]++] = delta->order.items[i];
    free(delta->order.items);
    free(delta->starts);
    delta->order = (pb_nodes){order, count, count + 1};
    delta->starts = starts;
    delta->packs = packs;
    return 0;
}
