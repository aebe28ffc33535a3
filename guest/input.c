// Variants: 64, 64-user (input16.S is variant 16).
// Ports: reads bytes from 0x60 until one is 0 and writes each, except that 0, to 0xe9.
// End: hlt, in 64-user an exit code on port 0xf4; RAX = number of bytes echoed, exit code = its low byte.

#include "guest.h"

unsigned long main(void)
{
    unsigned long count = 0;
    uint8_t byte;
    while ((byte = inb(0x60)) != 0) {
        outb(CONSOLE_PORT, byte);
        count++;
    }
    return count;
}
