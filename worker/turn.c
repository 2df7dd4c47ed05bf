#include "worker/turn.h"

static uint64_t pack(uint32_t begun, uint32_t taken_back)
{
    return (uint64_t)begun << 32 | taken_back;
}

bool turn_begin(turn_word *turn, uint32_t seq)
{
    uint64_t old = atomic_load(turn);

    do {
        if (seq <= (uint32_t)old) {
            return false;
        }
    } while (!atomic_compare_exchange_weak(turn, &old, pack(seq, (uint32_t)old)));
    return true;
}

uint32_t turn_take_back(turn_word *turn, uint32_t sent)
{
    uint64_t old = atomic_load(turn);

    while (!atomic_compare_exchange_weak(turn, &old, pack((uint32_t)(old >> 32), sent))) {
    }
    return (uint32_t)(old >> 32);
}

uint32_t turn_begun(turn_word *turn)
{
    return (uint32_t)(atomic_load(turn) >> 32);
}
