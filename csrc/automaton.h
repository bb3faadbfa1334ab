/* All ignore rules as one automaton, so that a name costs a step for each of its bytes however many rules there are and however
 * much they look alike.
 *
 * Every token of every rule is a bit of a set, and a character takes a whole set to the next (Baeza-Yates and Gonnet, "A new approach
 * to text searching", 1992, with stars). Sets that were met are states of a deterministic automaton, made when first needed,
 * which walks remember: then a byte is a look-up in a table.
 */
#ifndef PB_AUTOMATON_H
#define PB_AUTOMATON_H

#include "rule.h"

/* What the rules come to; never changed once made. */
typedef struct pb_program pb_program;
/* The states that one walk has met, for one thread. */
typedef struct pb_states pb_states;

/* -ENOMEM; *ret stays NULL if the rules are too many to be kept like that. */
int pb_program_new(const pb_rule *rules, size_t count, pb_program **ret);
void pb_program_free(pb_program *program);
/* How many words a set has. */
size_t pb_program_words(const pb_program *program);

/* NULL without memory. */
pb_states *pb_states_new(const pb_program *program);
void pb_states_free(pb_states *states);

/* Where a path has come to: a state, PB_NO_STATE if there was no room for it, and its set. */
enum { PB_NO_STATE = UINT32_MAX };
typedef struct {
    uint32_t state;
    const uint64_t *set;
} pb_point;

/* Where all paths begin. */
pb_point pb_states_start(pb_states *states);
/* The point behind a text. Its set is good until the next call, that of a state for as long as the states are. */
pb_point pb_states_run(pb_states *states, pb_point from, const char *text, size_t length);
/* The last rule that matches what ends at a point, -1 if none does; the first one from a rule on. */
int pb_states_last(const pb_states *states, pb_point at);
int pb_states_first(const pb_states *states, pb_point at, size_t rule);
/* The first rule from one on that could still match a longer text. */
int pb_states_alive(const pb_states *states, pb_point at, size_t rule);

#endif
