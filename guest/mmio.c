// Variant: 64.
// MMIO: writes and then reads at each gpa below, every access one instruction; all within 0x10000000..0x10002005.
//
//     gpa         bytes  pages  value written       value read goes to (u64, zero-extended)
//     0x10000000  1             0x11                0x500
//     0x10000010  2             0x2233              0x508
//     0x10000020  4             0x44556677          0x510
//     0x10000030  8             0x8899aabbccddeeff  0x518
//     0x10000ffc  8      4 + 4  0x0102030405060708  0x520
//     0x10000ffe  4      2 + 2  0x090a0b0c          0x528
//     0x10001ffd  8      3 + 5  0x1112131415161718  0x530
//
// The first four are written before any is read; the last three are each written and then read.
// End: hlt; RAX = 7, the number of cells stored. With a device that works like memory each cell = the value written.

#include "guest.h"

#define WRITE(type, gpa, value) (MEMORY(type, gpa) = (value))
#define READ(type, gpa, cell)   (MEMORY(uint64_t, cell) = MEMORY(type, gpa))

unsigned long main(void)
{
    WRITE(uint8_t, 0x10000000, 0x11);
    WRITE(uint16_t, 0x10000010, 0x2233);
    WRITE(uint32_t, 0x10000020, 0x44556677);
    WRITE(uint64_t, 0x10000030, 0x8899aabbccddeeff);
    READ(uint8_t, 0x10000000, 0x500);
    READ(uint16_t, 0x10000010, 0x508);
    READ(uint32_t, 0x10000020, 0x510);
    READ(uint64_t, 0x10000030, 0x518);

    WRITE(uint64_t, 0x10000ffc, 0x0102030405060708);
    READ(uint64_t, 0x10000ffc, 0x520);
    WRITE(uint32_t, 0x10000ffe, 0x090a0b0c);
    READ(uint32_t, 0x10000ffe, 0x528);
    WRITE(uint64_t, 0x10001ffd, 0x1112131415161718);
    READ(uint64_t, 0x10001ffd, 0x530);
    return 7;
}
