// Registers, reset and fork as C does them best: nothing is asked of KVM that is not needed.

#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "machine.h"

// The pages guest: as many instructions, each of which writes to a page of its own, and a halt. Entered at the last N,
// it writes N pages.
#define PAGES_MOST 100
#define WRITE_BYTES 7

#define PAGES (MEMORY_BYTES / PAGE_BYTES)
#define WORD_BITS 64

// The memory that resets go back to, and that forks share.
struct snapshot {
    int fd;
    const uint8_t *memory;
    struct kvm_regs regs;
    struct kvm_sregs sregs;
};

static struct snapshot take_snapshot(const struct image *image, uint32_t pages)
{
    struct snapshot snapshot = {.fd = check("memfd_create", memfd_create("snapshot", MFD_CLOEXEC))};
    check("ftruncate", ftruncate(snapshot.fd, MEMORY_BYTES));
    uint8_t *memory = map(MEMORY_BYTES, MAP_SHARED, snapshot.fd);
    fill(memory, image, 0);
    snapshot.memory = memory;
    // Registers that KVM resets a vCPU to, and those of long mode.
    struct machine model = create(image, 0);
    start_registers(model.vcpu, &snapshot.regs, &snapshot.sregs);
    destroy(&model);
    snapshot.regs.rip = (PAGES_MOST - pages) * WRITE_BYTES;
    return snapshot;
}

static void drop_snapshot(const struct snapshot *snapshot)
{
    check("munmap", munmap((void *)snapshot->memory, MEMORY_BYTES));
    check("close", close(snapshot->fd));
}

// Its pages, copied as they are written.
static uint8_t *map_snapshot(const struct snapshot *snapshot, void *over)
{
    int fixed = over ? MAP_FIXED : 0;
    void *start =
        mmap(over, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | fixed, snapshot->fd, 0);
    if (start == MAP_FAILED)
        die("mmap");
    return start;
}

// A function of the guest's: registers in, registers out. The call guest returns RDI + 7 in RAX.
uint64_t calls(const struct image *image, uint32_t count, uint64_t *each)
{
    struct machine machine = create(image, 0);
    uint64_t ns = time_calls(&machine, KVM_EXIT_HLT, count, each);
    destroy(&machine);
    return ns;
}

// Copies every page back that was ever written: the log is read, and never cleared, since each page that KVM protects
// again costs the guest a fault at its next write.
static void copy_back(const struct machine *machine, const struct snapshot *snapshot)
{
    uint64_t written[PAGES / WORD_BITS];
    struct kvm_dirty_log log = {.dirty_bitmap = written};
    check("KVM_GET_DIRTY_LOG", ioctl(machine->vm, KVM_GET_DIRTY_LOG, &log));
    for (uint32_t word = 0; word < PAGES / WORD_BITS; word++)
        for (uint64_t bits = written[word]; bits != 0; bits &= bits - 1) {
            size_t offset = (word * WORD_BITS + __builtin_ctzl(bits)) * PAGE_BYTES;
            memcpy(machine->memory + offset, snapshot->memory + offset, PAGE_BYTES);
        }
}

// A run that writes so many pages, and back to the state before it; without `memory`, only the registers go back.
uint64_t resets(const struct image *image, uint32_t pages, int memory, uint32_t count, uint64_t *each)
{
    if (pages > PAGES_MOST) {
        errno = EINVAL;
        die("pages");
    }
    struct snapshot snapshot = take_snapshot(image, pages);
    struct machine machine = assemble(map_snapshot(&snapshot, NULL), KVM_MEM_LOG_DIRTY_PAGES);
    stage(&machine, &snapshot.regs, &snapshot.sregs);
    uint64_t start = now(), before = start;
    for (uint32_t index = 0; index < count; index++) {
        leave_by(&machine, KVM_EXIT_HLT);
        if (memory)
            copy_back(&machine, &snapshot);
        stage(&machine, &snapshot.regs, &snapshot.sregs);
        if (each) {
            uint64_t after = now();
            each[index] = after - before;
            before = after;
        }
    }
    uint64_t end = now();
    if (memory && memcmp(machine.memory, snapshot.memory, MEMORY_BYTES) != 0) {
        errno = EIO;
        die("reset");
    }
    destroy(&machine);
    drop_snapshot(&snapshot);
    return end - start;
}

// A further machine from the snapshot, on a VM that an earlier one has left: it writes one page, and halts.
uint64_t forks_from_pool(const struct image *image, uint32_t count, uint64_t *each)
{
    struct snapshot snapshot = take_snapshot(image, 1);
    struct machine machine = assemble(map_snapshot(&snapshot, NULL), 0);
    uint64_t start = now(), before = start;
    for (uint32_t index = 0; index < count; index++) {
        map_snapshot(&snapshot, machine.memory);
        stage(&machine, &snapshot.regs, &snapshot.sregs);
        leave_by(&machine, KVM_EXIT_HLT);
        if (each) {
            uint64_t after = now();
            each[index] = after - before;
            before = after;
        }
    }
    uint64_t end = now();
    destroy(&machine);
    drop_snapshot(&snapshot);
    return end - start;
}

// The same, on a VM made for it.
uint64_t forks_made_new(const struct image *image, uint32_t count, uint64_t *each)
{
    struct snapshot snapshot = take_snapshot(image, 1);
    uint64_t start = now(), before = start;
    for (uint32_t index = 0; index < count; index++) {
        struct machine machine = assemble(map_snapshot(&snapshot, NULL), 0);
        stage(&machine, &snapshot.regs, &snapshot.sregs);
        leave_by(&machine, KVM_EXIT_HLT);
        destroy(&machine);
        if (each) {
            uint64_t after = now();
            each[index] = after - before;
            before = after;
        }
    }
    uint64_t end = now();
    drop_snapshot(&snapshot);
    return end - start;
}
