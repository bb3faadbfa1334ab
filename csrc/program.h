/* What ignore rules come to as an automaton: the sets of tokens that each character takes. */
#ifndef PB_PROGRAM_H
#define PB_PROGRAM_H

#include "automaton.h"

enum { PB_WORD = 64, PB_ASCII = 128 };
/* Two words at once. */
typedef uint64_t pb_lanes __attribute__((vector_size(16)));
enum { PB_LANES = sizeof(pb_lanes) / sizeof(uint64_t) };

struct pb_program {
    size_t words;      /* of a set: of which the first is 0 */
    size_t atoms; /* ranges of characters that no rule tells apart; one for each below PB_ASCII, then those that `begins` says */
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

/* Where a character stands among the atoms. */
static inline size_t pb_atom_of(const pb_program *program, uint32_t rune)
{
    size_t low = 0, high = program->atoms - PB_ASCII;

    if (rune < PB_ASCII)
        return rune;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (program->begins[middle] <= rune)
            low = middle;
        else
            high = middle;
    }
    return PB_ASCII + low;
}

/* The bits that were reached, and those that are with them without a character. */
static inline uint64_t pb_with_empty(uint64_t set, uint64_t empty, uint64_t *carry)
{
    set |= *carry;
    while (set != (set | (set & empty) << 1))
        set |= (set & empty) << 1;
    *carry = (set & empty) >> (PB_WORD - 1);
    return set;
}

#endif
