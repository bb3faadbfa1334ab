#include "doubles.h"

#include <errno.h>
#include <string.h>

/* So many slots for each file: of those with one name every thirty-second at most is taken for one with several. */
enum { ROOM = 32, SEEN = 1, AGAIN = 2 };

static int is_linked(const pb_node *node)
{
    return node->nlink > 1 && !S_ISDIR(node->mode) && !(node->flags & PB_NODE_GONE);
}

/* Where the two bits of a file are. */
static uint64_t slot_of(const pb_doubles *doubles, const pb_node *node)
{
    uint64_t hash = (node->inode ^ node->device << 32 ^ node->device) * UINT64_C(0x9E3779B97F4A7C15);
    return hash >> 20 & doubles->mask;
}

static const pb_node *node_of(const pb_tree *tree, const pb_nodes *list, size_t at)
{
    pb_tree_pass(tree, at);
    return &tree->nodes[list ? list->items[at] : at];
}

int pb_doubles_find(const pb_tree *tree, const pb_nodes *list, pb_doubles *ret)
{
    size_t count = list ? list->count : tree->count;
    uint64_t linked = 0, slots = 64;

    *ret = (pb_doubles){0};
    if (!atomic_load(&tree->linked))
        return 0;
    for (size_t i = 0; i < count; i++)
        linked += (uint64_t)is_linked(node_of(tree, list, i));
    while (slots < linked * ROOM)
        slots *= 2;
    ret->bits = calloc(slots / 4, 1);
    if (!ret->bits)
        return -ENOMEM;
    ret->mask = slots - 1;
    for (size_t i = 0; i < count; i++) {
        const pb_node *node = node_of(tree, list, i);
        uint64_t slot = slot_of(ret, node);
        int shift = (int)(slot % 4) * 2;
        if (is_linked(node))
            ret->bits[slot / 4] |= (uint8_t)((ret->bits[slot / 4] >> shift & SEEN ? AGAIN : SEEN) << shift);
    }
    return 0;
}

int pb_doubles_have(const pb_doubles *doubles, const pb_node *node)
{
    uint64_t slot = slot_of(doubles, node);
    return doubles->bits && doubles->bits[slot / 4] >> (slot % 4 * 2) & AGAIN;
}

void pb_doubles_free(pb_doubles *doubles)
{
    free(doubles->bits);
    memset(doubles, 0, sizeof *doubles);
}
