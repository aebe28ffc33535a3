// Variants: 64, 64-user.
// Cell the host writes before the run: 0x500 u64 N.
// Computes x(N) of x(0) = 0, x(i + 1) = x(i) * 6364136223846793005 + 1442695040888963407 modulo 2^64, without an exit.
// Memory: the u64 at 0x508 = x(N).
// End: hlt, in 64-user an exit code on port 0xf4; RAX = x(N), exit code = its low byte.
// x(1) = 0x14057b7ef767814f, x(1000) = 0x0c861315d1e44e08.

#include "guest.h"

unsigned long main(void)
{
    uint64_t x = 0;
    for (uint64_t left = MEMORY(uint64_t, 0x500); left > 0; left--)
        x = x * 6364136223846793005 + 1442695040888963407;
    MEMORY(uint64_t, 0x508) = x;
    return x;
}
