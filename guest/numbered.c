// Variant: 64.
// Cell the host writes before the run: 0x500 u32 N.
// Ports: writes the numbers 0 to N - 1, in order, to 0x200, 4 bytes each.
// End: hlt; RAX = N.

#include "guest.h"

unsigned long main(void)
{
    uint32_t count = MEMORY(uint32_t, 0x500);
    for (uint32_t number = 0; number < count; number++)
        outl(0x200, number);
    return count;
}
