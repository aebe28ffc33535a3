/**
 * The mode in which the vCPU executes its first instruction (Intel SDM vol. 3A §2.2): `'real'`, 16-bit
 * real-address mode; `'protected'`, 32 bits with flat segments; `'paged32'`, the same with 4 MiB pages;
 * `'long'`, 64 bits with 2 MiB pages. Which of them this machine runs is what `npx vmexit doctor` prints.
 */
export type CpuMode = 'real' | 'protected' | 'paged32' | 'long'

/** With what privilege the guest starts: CPL 0, or CPL 3 with IOPL 3, which allows port I/O (long mode only). */
export type Privilege = 'kernel' | 'user'

/** How an image says where its bytes go and where it starts. */
export type ImageFormat = 'flat' | 'elf' | 'multiboot' | 'pvh' | 'bzimage'
