// Variants: 64, 64-user.
// Ports, per round: reads 4 bytes from 0x61, adds 1 (modulo 2^32), writes the 4 bytes to 0x62. Reading 0xffffffff ends the
// rounds: that value is neither answered nor counted.
// End: hlt, in 64-user an exit code on port 0xf4; RAX = number of rounds, exit code = its low byte.

#include "guest.h"

unsigned long main(void)
{
    unsigned long rounds = 0;
    uint32_t value;
    while ((value = inl(0x61)) != 0xffffffff) {
        outl(0x62, value + 1);
        rounds++;
    }
    return rounds;
}
