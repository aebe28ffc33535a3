// Variant: 64.
// Cells the host writes before the run:
//     0x500  u32  operation: 0 outsb, 1 outsw, 2 outsl, 3 insb, 4 insw, 5 insl
//     0x504  u32  count of items
//     0x508  u32  port
//     0x510  u64  gpa of the buffer that is read (outs) or filled (ins)
// Ports: one rep-prefixed string instruction of `count` items at the port.
// End: hlt; RAX = bytes moved (count * 1, 2 or 4), or all ones for an unknown operation.

#include "guest.h"

#define REP_OUT(instruction) __asm__ volatile("rep " instruction : "+S"(next), "+c"(count) : "d"(port) : "memory")
#define REP_IN(instruction)  __asm__ volatile("rep " instruction : "+D"(next), "+c"(count) : "d"(port) : "memory")

unsigned long main(void)
{
    unsigned long count = MEMORY(uint32_t, 0x504);
    uint32_t port = MEMORY(uint32_t, 0x508);
    unsigned long buffer = MEMORY(uint64_t, 0x510);
    unsigned long next = buffer;
    uint32_t operation = MEMORY(uint32_t, 0x500);

    if (operation == 0)
        REP_OUT("outsb");
    else if (operation == 1)
        REP_OUT("outsw");
    else if (operation == 2)
        REP_OUT("outsl");
    else if (operation == 3)
        REP_IN("insb");
    else if (operation == 4)
        REP_IN("insw");
    else if (operation == 5)
        REP_IN("insl");
    else
        return ~0ul;
    return next - buffer;
}
