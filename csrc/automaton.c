#include "program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_STATES_SIZE = 4 << 20 }; /* bytes of all states of a walk's thread */
static const uint32_t UNKNOWN = UINT32_MAX;

static inline pb_lanes load(const uint64_t *from)
{
    pb_lanes words;
    memcpy(&words, from, sizeof words);
    return words;
}

typedef struct {
    uint32_t hash;
    int last;        /* the last rule that ends here, or -1 */
    uint64_t *set;   /* behind `next` */
    uint32_t next[]; /* by class */
} state;

struct pb_states {
    const pb_program *program;
    state **states;
    uint32_t count, room;
    uint32_t *table; /* of states by hash: one more than the state, 0 if free */
    uint32_t table_size; /* a power of 2 */
    size_t bytes; /* of all states */
    uint64_t *scratch[2];
};

/* --- sets ---------------------------------------------------------------------------------------------------------- */

/* One character: what takes it leads to the next, stars stay, and the end of a folder is only behind a slash. */
static void step(const pb_program *program, const uint64_t *from, uint64_t *to, size_t class)
{
    const uint64_t *mask = program->masks + class * program->words;
    const uint64_t *staying = class == program->class_of['/'] ? program->deeps : program->stars;
    uint64_t moved = 0, reached = 0;

    if (!program->tangled) { /* no word waits for the one before */
        for (size_t i = 1; i < program->words; i += PB_LANES) { /* the first word of a set is 0 */
            const pb_lanes now = load(from + i), empty = load(program->empty + i);
            pb_lanes next = (now & load(mask + i)) << 1 | (load(from + i - 1) & load(mask + i - 1)) >> (PB_WORD - 1) |
                         (now & load(staying + i));
            next |= (next & empty) << 1;
            next |= (next & empty) << 1;
            next |= now & load(program->folders + i);
            memcpy(to + i, &next, sizeof next);
        }
        return;
    }
    for (size_t i = 1; i < program->words; i++) {
        uint64_t taken = from[i] & mask[i];
        uint64_t now = pb_with_empty(taken << 1 | moved | (from[i] & staying[i]), program->empty[i], &reached);
        moved = taken >> (PB_WORD - 1);
        to[i] = now | (from[i] & program->folders[i]);
    }
}

static int last_end(const pb_program *program, const uint64_t *set)
{
    for (size_t i = program->words; i-- > 0;) {
        uint64_t ends = set[i] & program->ends[i];
        if (ends)
            return (int)program->rule_of[i * PB_WORD + PB_WORD - 1 - (size_t)__builtin_clzll(ends)];
    }
    return -1;
}

/* The first bit from one on that is in a set, and in `also` if that is given; or all bits. */
static size_t next_bit(const pb_program *program, const uint64_t *set, const uint64_t *also, size_t from)
{
    for (size_t i = from / PB_WORD; i < program->words; i++) {
        uint64_t left = set[i] & (also ? also[i] : UINT64_MAX);
        if (i == from / PB_WORD)
            left &= UINT64_MAX << from % PB_WORD;
        if (left)
            return i * PB_WORD + (size_t)__builtin_ctzll(left);
    }
    return program->words * PB_WORD;
}

/* --- states -------------------------------------------------------------------------------------------------------- */

static uint32_t hash_of(const pb_program *program, const uint64_t *set)
{
    uint64_t hash = 0, factor = UINT64_C(0x9e3779b97f4a7c15);

    for (size_t i = 0; i < program->words; i++, factor += UINT64_C(0x3c6ef372fe94f82a))
        hash += (set[i] ^ set[i] >> 32) * factor; /* no product waits for another */
    return (uint32_t)(hash >> 32);
}

static int grow_table(pb_states *states)
{
    uint32_t size = states->table_size ? states->table_size * 2 : 256;
    uint32_t *table = calloc(size, sizeof *table);

    if (!table)
        return -ENOMEM;
    for (uint32_t i = 0; i < states->count; i++) {
        uint32_t at = states->states[i]->hash & (size - 1);
        while (table[at])
            at = (at + 1) & (size - 1);
        table[at] = i + 1;
    }
    free(states->table);
    states->table = table;
    states->table_size = size;
    return 0;
}

static state *new_state(const pb_program *program, const uint64_t *set, size_t *bytes)
{
    size_t classes = (program->classes + 1) / 2 * 2; /* so that the set is aligned */
    state *made;

    *bytes = sizeof *made + classes * sizeof made->next[0] + program->words * sizeof *set;
    made = malloc(*bytes);
    if (!made)
        return NULL;
    made->set = (uint64_t *)(void *)(made->next + classes);
    memcpy(made->set, set, program->words * sizeof *set);
    memset(made->next, 0xff, classes * sizeof made->next[0]);
    made->last = last_end(program, set);
    return made;
}

/* The state of a set, made if there is none yet; PB_NO_STATE without room. */
static uint32_t state_of(pb_states *states, const uint64_t *set)
{
    const pb_program *program = states->program;
    uint32_t hash = hash_of(program, set), at;
    size_t bytes;

    if (states->count * 2 >= states->table_size && grow_table(states))
        return PB_NO_STATE;
    for (at = hash & (states->table_size - 1); states->table[at]; at = (at + 1) & (states->table_size - 1)) {
        const state *other = states->states[states->table[at] - 1];
        if (other->hash == hash && !memcmp(other->set, set, program->words * sizeof *set))
            return states->table[at] - 1;
    }
    if (states->bytes > MOST_STATES_SIZE)
        return PB_NO_STATE;
    if (states->count == states->room) {
        uint32_t room = states->room ? states->room * 2 : 64;
        state **more = realloc(states->states, room * sizeof *more);
        if (!more)
            return PB_NO_STATE;
        states->states = more;
        states->room = room;
    }
    states->states[states->count] = new_state(program, set, &bytes);
    if (!states->states[states->count])
        return PB_NO_STATE;
    states->states[states->count]->hash = hash;
    states->bytes += bytes;
    states->table[at] = ++states->count;
    return states->count - 1;
}

pb_states *pb_states_new(const pb_program *program)
{
    pb_states *states = calloc(1, sizeof *states);

    if (!states)
        return NULL;
    states->program = program;
    states->scratch[0] = calloc(program->words * 2, sizeof **states->scratch);
    states->scratch[1] = states->scratch[0] + program->words;
    if (!states->scratch[0]) {
        free(states);
        return NULL;
    }
    return states;
}

void pb_states_free(pb_states *states)
{
    if (states) {
        for (uint32_t i = 0; i < states->count; i++)
            free(states->states[i]);
        free(states->states);
        free(states->table);
        free(states->scratch[0]);
    }
    free(states);
}

static pb_point point_of(pb_states *states, const uint64_t *set)
{
    uint32_t found = state_of(states, set);
    return (pb_point){found, found == PB_NO_STATE ? set : states->states[found]->set};
}

pb_point pb_states_start(pb_states *states)
{
    return point_of(states, states->program->begin);
}

/* The class of the character at a text, and its length. */
static size_t class_at(const pb_program *program, const char *text, size_t length, size_t *size)
{
    uint8_t byte = (uint8_t)*text;

    *size = 1;
    return program->class_of[byte < PB_ASCII ? byte : pb_atom_of(program, pb_rune_decode(text, length, size))];
}

/* One character from any point. */
static pb_point move(pb_states *states, pb_point from, size_t class)
{
    uint64_t *to = states->scratch[from.set == states->scratch[0]];
    pb_point found;

    step(states->program, from.set, to, class);
    if (from.state == PB_NO_STATE && states->bytes > MOST_STATES_SIZE) /* hardly anything that follows is a state */
        return (pb_point){PB_NO_STATE, to};
    found = point_of(states, to);
    if (from.state != PB_NO_STATE && found.state != PB_NO_STATE)
        states->states[from.state]->next[class] = found.state;
    return found;
}

pb_point pb_states_run(pb_states *states, pb_point from, const char *text, size_t length)
{
    const pb_program *program = states->program;

    for (size_t at = 0, size; at < length; at += size) {
        size_t class = class_at(program, text + at, length - at, &size);
        uint32_t next = from.state == PB_NO_STATE ? UNKNOWN : states->states[from.state]->next[class];
        if (next != UNKNOWN)
            from.state = next;
        else {
            if (from.state != PB_NO_STATE)
                from.set = states->states[from.state]->set;
            from = move(states, from, class);
        }
    }
    if (from.state != PB_NO_STATE)
        from.set = states->states[from.state]->set;
    return from;
}

int pb_states_last(const pb_states *states, pb_point at)
{
    return at.state != PB_NO_STATE ? states->states[at.state]->last : last_end(states->program, at.set);
}

int pb_states_first(const pb_states *states, pb_point at, size_t rule)
{
    const pb_program *program = states->program;
    size_t bit = next_bit(program, at.set, program->ends, program->first_bit[rule]);

    return bit < program->words * PB_WORD ? (int)program->rule_of[bit] : -1;
}

int pb_states_alive(const pb_states *states, pb_point at, size_t rule)
{
    const pb_program *program = states->program;
    size_t bit = next_bit(program, at.set, NULL, program->first_bit[rule]);

    return bit < program->words * PB_WORD ? (int)program->rule_of[bit] : -1;
}
