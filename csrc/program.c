#include "program.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_WORDS = 4096,    /* of a set */
    MOST_MASKS = 1 << 19, /* words of all masks: 4 MiB */
};

static void put(uint64_t *set, size_t bit)
{
    set[bit / PB_WORD] |= UINT64_C(1) << bit % PB_WORD;
}

static int compare_begins(const void *one, const void *other)
{
    uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return a < b ? -1 : a > b;
}

static void add_begin(uint32_t *begins, size_t *count, uint32_t rune)
{
    if (rune >= PB_ASCII)
        begins[(*count)++] = rune;
}

/* The atoms: wherever a rule begins or ends a range beyond PB_ASCII, one begins. */
static int find_atoms(pb_program *program, const pb_rule *rules, size_t count)
{
    size_t most = 1, found = 0, kept = 0;

    for (size_t i = 0; i < count; i++)
        most += 2 * (rules[i].pattern.count + rules[i].pattern.range_count);
    program->begins = malloc(most * sizeof *program->begins);
    if (!program->begins)
        return -ENOMEM;
    add_begin(program->begins, &found, PB_ASCII);
    for (size_t i = 0; i < count; i++) {
        const pb_pattern *pattern = &rules[i].pattern;
        for (size_t j = 0; j < pattern->count; j++)
            if (pattern->tokens[j].kind == PB_TOKEN_RUNE && pattern->tokens[j].rune >= PB_ASCII) {
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
    program->atoms = PB_ASCII + kept;
    return 0;
}

static void add_token(pb_program *program, uint64_t *masks, const pb_pattern *pattern, const pb_token *token, size_t bit)
{
    size_t words = program->words;

    switch (token->kind) {
    case PB_TOKEN_RUNE:
        put(masks + pb_atom_of(program, token->rune) * words, bit);
        return;
    case PB_TOKEN_ANY:
    case PB_TOKEN_CLASS:
        for (size_t atom = 0; atom < program->atoms; atom++) {
            uint32_t rune = atom < PB_ASCII ? (uint32_t)atom : program->begins[atom - PB_ASCII];
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
    for (size_t gap = 0; gap < PB_WORD; gap++) {
        size_t j = PB_WORD - 1 - (bit + gap) % PB_WORD;
        while (j < pattern->count && !is_empty(&pattern->tokens[j]))
            j += PB_WORD;
        if (j >= pattern->count)
            return bit + gap;
    }
    program->tangled = 1;
    return bit;
}

int pb_program_new(const pb_rule *rules, size_t count, pb_program **ret)
{
    size_t bits = PB_WORD, bit = PB_WORD;
    uint64_t reached = 0;
    pb_program *program;

    program = calloc(1, sizeof *program);
    if (!program || find_atoms(program, rules, count))
        goto no_memory;
    for (size_t i = 0; i < count && bits <= (size_t)MOST_WORDS * PB_WORD; i++)
        if (rules[i].pattern.count)
            bits = place_rule(program, &rules[i].pattern, bits) + rules[i].pattern.count + 1;
    if (bits == PB_WORD || bits > (size_t)MOST_WORDS * PB_WORD) {
        pb_program_free(program);
        return 0;
    }
    program->count = count;
    program->words = 1 + (bits / PB_WORD - 1) / PB_LANES * PB_LANES + PB_LANES;
    if (program->words * program->atoms > MOST_MASKS || program->atoms > UINT16_MAX) {
        pb_program_free(program);
        return 0;
    }
    program->masks = calloc(program->words * program->atoms, sizeof *program->masks);
    program->empty = calloc(program->words * 6, sizeof *program->empty);
    program->rule_of = calloc(program->words * PB_WORD, sizeof *program->rule_of);
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
        program->begin[i] = pb_with_empty(program->begin[i], program->empty[i], &reached);
    if (find_classes(program, program->masks))
        goto no_memory;
    *ret = program;
    return 0;

no_memory:
    pb_program_free(program);
    return -ENOMEM;
}
