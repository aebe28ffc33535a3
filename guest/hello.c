// Variants: 32, 64, 64-user (hello16.S is variant 16).
// Ports: writes "Hello, world!\n" to 0xe9, one byte per out.
// Memory: the word at 0x400 = 42 (4 bytes in variant 32, 8 bytes in 64 and 64-user).
// End: hlt, in 64-user exit code 42 on port 0xf4; RAX = 42.

#include "guest.h"

unsigned long main(void)
{
    for (const char *next = "Hello, world!\n"; *next; next++)
        outb(CONSOLE_PORT, *next);
    MEMORY(unsigned long, 0x400) = 42;
    return 42;
}
