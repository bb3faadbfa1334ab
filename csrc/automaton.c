#include "automaton.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORD = 64,
    ASCII = 128,
    MOST_WORDS = 4096,          /* of a set */
    MOST_MASKS = 1 << 19,       /* words of all masks: 4 MiB */
    MOST_STATES_SIZE = 4 << 20, /* bytes of all states of a walk's thread */
};
static const uint32_t UNKNOWN = UINT32_MAX;

/* Two words at once. */
typedef uint64_t lanes __attribute__((vector_size(16)));
enum { LANES = sizeof(lanes) / sizeof(uint64_t) };

static inline lanes load(const uint64_t *from)
{
    lanes words;
    memcpy(&words, from, sizeof words);
    return words;
}

struct pb_program {
    size_t words;      /* of a set: of which the first is 0 */
    size_t atoms; /* ranges of characters that no rule tells apart; one for each below ASCII, then those that `begins` says */
    uint32_t *begins;
    uint16_t *class_of; /* of an atom: atoms that no rule tells apart either */
    size_t classes;
    uint64_t *masks;    /* of each class: the tokens that take such a character, and lead to the next */
    uint64_t *empty;    /* tokens that may stand for nothing, so that the next is reached with them */
    uint64_t *stars, *deeps, *folders; /* those that stay: while no slash comes, always, and without the next; see step() */
    uint64_t *ends;     /* the bits behind the last tokens of rules */
    uint64_t *begin;    /* where all paths begin */
    int tangled;        /* words cannot be taken one by one, see place_rule() */
    uint32_t *rule_of;  /* of a bit */
    size_t *first_bit;  /* of a rule, and one more */
    size_t count;       /* of rules */
};

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

/* --- the program ------------------------------------------------------------------------------------------------- */

static void put(uint64_t *set, size_t bit)
{
    set[bit / WORD] |= UINT64_C(1) << bit % WORD;
}

static int compare_begins(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return a < b ? -1 : a > b;
}

static void add_begin(uint32_t *begins, size_t *count, uint32_t rune)
{
    if (rune >= ASCII)
        begins[(*count)++] = rune;
}

/* The atoms: wherever a rule begins or ends a range beyond ASCII, one begins. */
static int find_atoms(pb_program *program, const pb_rule *rules, size_t count)
{
    size_t most = 1, found = 0, kept = 0;

    for (size_t i = 0; i < count; i++)
        most += 2 * (rules[i].pattern.count + rules[i].pattern.range_count);
    program->begins = malloc(most * sizeof *program->begins);
    if (!program->begins)
        return -ENOMEM;
    add_begin(program->begins, &found, ASCII);
    for (size_t i = 0; i < count; i++) {
        const pb_pattern *pattern = &rules[i].pattern;
        for (size_t j = 0; j < pattern->count; j++)
            if (pattern->tokens[j].kind == PB_TOKEN_RUNE && pattern->tokens[j].rune >= ASCII) {
                add_begin(program->begins, &found, pattern->tokens[j].rune);
                add_begin(program->begins, &found, pattern->tokens[j].rune + 1);
            }
        for (size_t j = 0; j < pattern->range_count; j++) {
            add_begin(program->begins, &found, pattern->ranges[j].low);
            add_begin(program->begins, &found, pattern->ranges[j].high + 1);
        }
    }
    qsort(program->begins, found, sizeof *program->begins, compare_begins);
    for (size_t i = 0; i < found; i++)
        if (!kept || program->begins[kept - 1] != program->begins[i])
            program->begins[kept++] = program->begins[i];
    program->atoms = ASCII + kept;
    return 0;
}

static size_t atom_of(const pb_program *program, uint32_t rune)
{
    size_t low = 0, high = program->atoms - ASCII;

    if (rune < ASCII)
        return rune;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (program->begins[middle] <= rune)
            low = middle;
        else
            high = middle;
    }
    return ASCII + low;
}

static void add_token(pb_program *program, uint64_t *masks, const pb_pattern *pattern, const pb_token *token, size_t bit)
{
    size_t words = program->words;

    switch (token->kind) {
    case PB_TOKEN_RUNE:
        put(masks + atom_of(program, token->rune) * words, bit);
        return;
    case PB_TOKEN_ANY:
    case PB_TOKEN_CLASS:
        for (size_t atom = 0; atom < program->atoms; atom++) {
            uint32_t rune = atom < ASCII ? (uint32_t)atom : program->begins[atom - ASCII];
            if (token->kind == PB_TOKEN_ANY ? rune != '/' : pb_token_holds(pattern, token, rune))
                put(masks + atom * words, bit);
        }
        return;
    case PB_TOKEN_STAR:
        put(program->stars, bit);
        break;
    case PB_TOKEN_DEEP:
        put(program->stars, bit);
        put(program->deeps, bit);
        break;
    default:
        put(program->folders, bit);
        put(masks + (size_t)'/' * words, bit);
    }
    put(program->empty, bit);
}

/* Atoms with equal masks are one class. `masks` becomes those of the classes. */
static int find_classes(pb_program *program, uint64_t *masks)
{
    size_t size = program->words * sizeof *masks;
    size_t slash = SIZE_MAX;
    uint32_t *hashes = malloc(program->atoms * sizeof *hashes);

    program->class_of = malloc(program->atoms * sizeof *program->class_of);
    if (!hashes || !program->class_of) {
        free(hashes);
        return -ENOMEM;
    }
    for (size_t atom = 0; atom < program->atoms; atom++) {
        const uint64_t *mask = masks + atom * program->words;
        uint32_t hash = 0;
        size_t class = 0;
        for (size_t i = 0; i < program->words; i++)
            hash = (hash ^ (uint32_t)(mask[i] ^ mask[i] >> 32)) * UINT32_C(0x9e3779b1);
        if (atom == '/') /* a class of its own: stars end there */
            class = program->classes;
        while (class < program->classes && (class == slash || hashes[class] != hash ||
                                            memcmp(masks + class * program->words, mask, size)))
            class++;
        slash = atom == '/' ? class : slash;
        if (class == program->classes) {
            memmove(masks + class * program->words, mask, size);
            hashes[program->classes++] = hash;
        }
        program->class_of[atom] = (uint16_t)class;
    }
    free(hashes);
    return 0;
}

void pb_program_free(pb_program *program)
{
    if (program) {
        free(program->begins);
        free(program->class_of);
        free(program->masks);
        free(program->empty);
        free(program->rule_of);
        free(program->first_bit);
    }
    free(program);
}

size_t pb_program_words(const pb_program *program)
{
    return program->words;
}

/* The bits that were reached, and those that are with them without a character. */
static uint64_t with_empty(uint64_t set, uint64_t empty, uint64_t *carry)
{
    set |= *carry;
    while (set != (set | (set & empty) << 1))
        set |= (set & empty) << 1;
    *carry = (set & empty) >> (WORD - 1);
    return set;
}

static int is_empty(const pb_token *token)
{
    return token->kind == PB_TOKEN_STAR || token->kind == PB_TOKEN_DEEP || token->kind == PB_TOKEN_DEEP_FOLDER;
}

/* The first bit of a rule, from one on that is free: so that no token that may stand for nothing is the last bit of a word, where
 * that can be. Then a step takes each word by itself, if no more than two of those are neighbours either. */
static size_t place_rule(pb_program *program, const pb_pattern *pattern, size_t bit)
{
    for (size_t j = 2; j < pattern->count; j++)
        program->tangled |= is_empty(&pattern->tokens[j - 2]) && is_empty(&pattern->tokens[j - 1]) &&
                            is_empty(&pattern->tokens[j]);
    for (size_t gap = 0; gap < WORD; gap++) {
        size_t j = WORD - 1 - (bit + gap) % WORD;
        while (j < pattern->count && !is_empty(&pattern->tokens[j]))
            j += WORD;
        if (j >= pattern->count)
            return bit + gap;
    }
    program->tangled = 1;
    return bit;
}

int pb_program_new(const pb_rule *rules, size_t count, pb_program **ret)
{
    size_t bits = WORD, bit = WORD;
    uint64_t reached = 0;
    pb_program *program;

    program = calloc(1, sizeof *program);
    if (!program || find_atoms(program, rules, count))
        goto no_memory;
    for (size_t i = 0; i < count && bits <= (size_t)MOST_WORDS * WORD; i++)
        if (rules[i].pattern.count)
            bits = place_rule(program, &rules[i].pattern, bits) + rules[i].pattern.count + 1;
    if (bits == WORD || bits > (size_t)MOST_WORDS * WORD) {
        pb_program_free(program);
        return 0;
    }
    program->count = count;
    program->words = 1 + (bits / WORD - 1) / LANES * LANES + LANES;
    if (program->words * program->atoms > MOST_MASKS || program->atoms > UINT16_MAX) {
        pb_program_free(program);
        return 0;
    }
    program->masks = calloc(program->words * program->atoms, sizeof *program->masks);
    program->empty = calloc(program->words * 6, sizeof *program->empty);
    program->rule_of = calloc(program->words * WORD, sizeof *program->rule_of);
    program->first_bit = calloc(count + 1, sizeof *program->first_bit);
    if (!program->masks || !program->empty || !program->rule_of || !program->first_bit)
        goto no_memory;
    program->stars = program->empty + program->words;
    program->deeps = program->stars + program->words;
    program->folders = program->deeps + program->words;
    program->ends = program->folders + program->words;
    program->begin = program->ends + program->words;
    for (size_t i = 0; i < count; i++) {
        const pb_pattern *pattern = &rules[i].pattern;
        if (pattern->count) {
            bit = place_rule(program, pattern, bit);
            put(program->begin, bit);
        }
        program->first_bit[i] = bit;
        for (size_t j = 0; pattern->count && j <= pattern->count; j++, bit++) {
            program->rule_of[bit] = (uint32_t)i;
            if (j < pattern->count)
                add_token(program, program->masks, pattern, &pattern->tokens[j], bit);
            else
                put(program->ends, bit);
        }
    }
    program->first_bit[count] = bit;
    for (size_t i = 0; i < program->words; i++)
        program->begin[i] = with_empty(program->begin[i], program->empty[i], &reached);
    if (find_classes(program, program->masks))
        goto no_memory;
    *ret = program;
    return 0;

no_memory:
    pb_program_free(program);
    return -ENOMEM;
}

/* --- sets ---------------------------------------------------------------------------------------------------------- */

/* One character: what takes it leads to the next, stars stay, and the end of a folder is only behind a slash. */
static void step(const pb_program *program, const uint64_t *from, uint64_t *to, size_t class)
{
    const uint64_t *mask = program->masks + class * program->words;
    const uint64_t *staying = class == program->class_of['/'] ? program->deeps : program->stars;
    uint64_t moved = 0, reached = 0;

    if (!program->tangled) { /* no word waits for the one before */
        for (size_t i = 1; i < program->words; i += LANES) { /* the first word of a set is 0 */
            const lanes now = load(from + i), empty = load(program->empty + i);
            lanes next = (now & load(mask + i)) << 1 | (load(from + i - 1) & load(mask + i - 1)) >> (WORD - 1) |
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
        uint64_t now = with_empty(taken << 1 | moved | (from[i] & staying[i]), program->empty[i], &reached);
        moved = taken >> (WORD - 1);
        to[i] = now | (from[i] & program->folders[i]);
    }
}

static int last_end(const pb_program *program, const uint64_t *set)
{
    for (size_t i = program->words; i-- > 0;) {
        uint64_t ends = set[i] & program->ends[i];
        if (ends)
            return (int)program->rule_of[i * WORD + WORD - 1 - (size_t)__builtin_clzll(ends)];
    }
    return -1;
}

/* The first bit from one on that is in a set, and in `also` if that is given; or all bits. */
static size_t next_bit(const pb_program *program, const uint64_t *set, const uint64_t *also, size_t from)
{
    for (size_t i = from / WORD; i < program->words; i++) {
        uint64_t left = set[i] & (also ? also[i] : UINT64_MAX);
        if (i == from / WORD)
            left &= UINT64_MAX << from % WORD;
        if (left)
            return i * WORD + (size_t)__builtin_ctzll(left);
    }
    return program->words * WORD;
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
    return program->class_of[byte < ASCII ? byte : atom_of(program, pb_rune_decode(text, length, size))];
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

    return bit < program->words * WORD ? (int)program->rule_of[bit] : -1;
}

int pb_states_alive(const pb_states *states, pb_point at, size_t rule)
{
    const pb_program *program = states->program;
    size_t bit = next_bit(program, at.set, NULL, program->first_bit[rule]);

    return bit < program->words * WORD ? (int)program->rule_of[bit] : -1;
}
