#include "linkmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static pb_link *slot_of(const pb_linkmap *map, uint64_t device, uint64_t inode)
{
    uint64_t hash = (inode ^ device << 32 ^ device) * UINT64_C(0x9E3779B97F4A7C15);
    size_t slot = hash >> 20 & (map->capacity - 1);
    while (map->slots[slot].path && (map->slots[slot].device != device || map->slots[slot].inode != inode))
        slot = (slot + 1) & (map->capacity - 1);
    return &map->slots[slot];
}

static int grow(pb_linkmap *map)
{
    size_t old_capacity = map->capacity, capacity = old_capacity ? old_capacity * 2 : 256;
    pb_link *old = map->slots, *slots = calloc(capacity, sizeof *slots);

    if (!slots)
        return -ENOMEM;
    map->slots = slots;
    map->capacity = capacity;
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].path)
            *slot_of(map, old[i].device, old[i].inode) = old[i];
    free(old);
    return 0;
}

int pb_linkmap_add(pb_linkmap *map, uint64_t device, uint64_t inode, const char *path, uint64_t number, const pb_link **ret)
{
    int failed = map->count * 2 >= map->capacity ? grow(map) : 0;
    pb_link *found;

    if (failed)
        return failed;
    found = slot_of(map, device, inode);
    if (ret)
        *ret = found;
    if (found->path)
        return 1;
    found->path = strdup(path);
    if (!found->path)
        return -ENOMEM;
    found->device = device;
    found->inode = inode;
    found->number = number;
    map->count++;
    return 0;
}

pb_link *pb_linkmap_find(const pb_linkmap *map, uint64_t device, uint64_t inode)
{
    pb_link *found = map->capacity ? slot_of(map, device, inode) : NULL;
    return found && found->path ? found : NULL;
}

void pb_linkmap_free(pb_linkmap *map)
{
    for (size_t i = 0; i < map->capacity; i++)
        free(map->slots[i].path);
    free(map->slots);
}
