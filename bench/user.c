// Ring 3 as C does it best: a call by an exit, a system call, and work without any.

#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine.h"

// What ring 0 needs, above the guest's code and below its stack.
#define GDT 0x100000ul
#define TSS 0x101000ul
#define ENTRY 0x110000ul

// Selectors: `syscall` loads CS from the kernel's, and `sysretq` from 16 after the third one.
#define KERNEL_CODE 0x08ul
#define USER_DATA 0x1bul
#define USER_CODE 0x23ul

// A TSS has 0x68 bytes, the last two of which say where its I/O bitmap begins: every port may be written.
#define TSS_BYTES 0x68
#define BITMAP_AT 0x66
#define BITMAP_BYTES 8192

#define USER 0x4ul
#define ENTRIES 512
#define EFER_SCE 0x1ul
#define RFLAGS_FIXED 0x2ul

#define STAR 0xc0000081
#define LSTAR 0xc0000082
#define FMASK 0xc0000084

// The count of the compute guest's rounds of one unit.
#define ROUNDS 1000000ul

static int is_there(const char *module) { return access(module, F_OK) == 0; }
static int is_amd(void) { return is_there("/sys/module/kvm_amd") && !is_there("/sys/module/kvm_pvm"); }

static const uint64_t gdt[] = {
    0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff,
};

// out 0xfb, al; sysretq
static const uint8_t entry[] = {0xe6, 0xfb, 0x48, 0x0f, 0x07};

static void write_msrs(int vcpu)
{
    struct {
        struct kvm_msrs head;
        struct kvm_msr_entry entries[3];
    } msrs = {
        .head.nmsrs = 3,
        .entries = {
            {.index = STAR, .data = KERNEL_CODE << 32 | (USER_DATA - 8) << 48},
            {.index = LSTAR, .data = ENTRY},
            {.index = FMASK, .data = 0},
        },
    };
    if (check("KVM_SET_MSRS", ioctl(vcpu, KVM_SET_MSRS, &msrs)) != 3) {
        errno = EINVAL;
        die("KVM_SET_MSRS");
    }
}

// A machine that begins in ring 3, at gpa 0, and every page of which ring 3 may use.
static struct machine create_user(const struct image *image)
{
    struct machine machine = create(image, 0);
    uint8_t *memory = machine.memory;
    memcpy(memory + GDT, gdt, sizeof gdt);
    uint16_t bitmap = TSS_BYTES;
    memcpy(memory + TSS + BITMAP_AT, &bitmap, sizeof bitmap);
    memset(memory + TSS + TSS_BYTES + BITMAP_BYTES, 0xff, 1);
    memcpy(memory + ENTRY, entry, sizeof entry);
    uint64_t *tables = (uint64_t *)(memory + MEMORY_BYTES - 3 * PAGE_BYTES);
    for (size_t at = 0; at < 3 * ENTRIES; at++)
        if (tables[at])
            tables[at] |= USER;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    start_registers(machine.vcpu, &regs, &sregs);
    sregs.cs.selector = USER_CODE;
    sregs.ss.selector = USER_DATA;
    sregs.cs.dpl = sregs.ds.dpl = sregs.es.dpl = sregs.fs.dpl = sregs.gs.dpl = sregs.ss.dpl = 3;
    sregs.efer |= EFER_SCE;
    sregs.gdt.base = GDT;
    sregs.gdt.limit = sizeof gdt - 1;
    sregs.tr.base = TSS;
    sregs.tr.limit = TSS_BYTES + BITMAP_BYTES;
    // Busy, as processors want it; an emulated AMD looks at the bitmap of one alone that is not.
    sregs.tr.type = is_amd() ? 9 : 0xb;
    sregs.tr.present = 1;
    write_msrs(machine.vcpu);
    check("KVM_SET_SREGS", ioctl(machine.vcpu, KVM_SET_SREGS, &sregs));
    check("KVM_SET_REGS", ioctl(machine.vcpu, KVM_SET_REGS, &regs));
    machine.run->kvm_valid_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
    return machine;
}

// A function of ring 3: it returns RDI + 7 in RAX, and writes to a port.
uint64_t user_calls(const struct image *image, uint32_t count, uint64_t *each)
{
    struct machine machine = create_user(image);
    uint64_t ns = time_calls(&machine, KVM_EXIT_IO, count, each);
    destroy(&machine);
    return ns;
}

// System calls of ring 3, each answered with a number. Some KVMs leave `syscall` in ring 3: there the answer goes back
// by itself, and else by the `sysretq` that follows.
uint64_t system_calls(const struct image *image, uint32_t count, uint64_t *each)
{
    struct machine machine = create_user(image);
    struct kvm_run *run = machine.run;
    leave_by(&machine, KVM_EXIT_IO);
    int stays = run->s.regs.sregs.cs.dpl == 3;
    run->kvm_valid_regs = KVM_SYNC_X86_REGS;
    uint64_t start = now(), before = start;
    for (uint32_t index = 0; index < count; index++) {
        struct kvm_regs *regs = &run->s.regs.regs;
        regs->rax = index;
        if (stays) {
            regs->rip = regs->rcx;
            regs->rflags = regs->r11 | RFLAGS_FIXED;
        }
        run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
        leave_by(&machine, KVM_EXIT_IO);
        if (each) {
            uint64_t after = now();
            each[index] = after - before;
            before = after;
        }
    }
    uint64_t end = now();
    destroy(&machine);
    return end - start;
}

// The same work on this processor, without a machine.
uint64_t computes(const struct image *image, uint32_t count, uint64_t *each)
{
    void *code = map(PAGE_BYTES, MAP_PRIVATE | MAP_ANONYMOUS, -1);
    memcpy(code, image->bytes, image->length);
    check("mprotect", mprotect(code, PAGE_BYTES, PROT_READ | PROT_EXEC));
    volatile uint64_t sink;
    uint64_t start = now(), before = start;
    for (uint32_t index = 0; index < count; index++) {
        sink = ((uint64_t(*)(uint64_t))code)(ROUNDS);
        if (each) {
            uint64_t after = now();
            each[index] = after - before;
            before = after;
        }
    }
    (void)sink;
    uint64_t end = now();
    check("munmap", munmap(code, PAGE_BYTES));
    return end - start;
}
