// Variants: 64, 64-user.
// Cell the host writes before the run: 0x500 u32 N.
// Ports: N one-byte outs of 0 to 0x200, in a loop of three instructions.
// End: hlt, in 64-user an exit code on port 0xf4; RAX = N, exit code = its low byte.

#include "guest.h"

unsigned long main(void)
{
    uint32_t count = MEMORY(uint32_t, 0x500);
    for (uint32_t left = count; left > 0; left--)
        outb(0x200, 0);
    return count;
}
