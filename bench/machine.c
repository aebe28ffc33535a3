#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "machine.h"

#define COUNT_CELL 0x500
#define MAX_CPUID_ENTRIES 256

// Page tables at the end of memory, the stack below them: 512 pages of 2 MiB map the first GiB to itself. Accessed and
// dirty are set beforehand, so that the processor has nothing to write there.
#define PML4 (MEMORY_BYTES - 3 * PAGE_BYTES)
#define PDPT (PML4 + PAGE_BYTES)
#define DIRECTORY (PDPT + PAGE_BYTES)
#define STACK_TOP PML4
#define PRESENT_WRITABLE 0x3ul
#define ACCESSED 0x20ul
#define DIRTY 0x40ul
#define LARGE 0x80ul

#define CR0_PE_ET_NE_WP_PG 0x80010031ul
#define CR4_PAE 0x20ul
#define EFER_LME_LMA 0x500ul

static int kvm;
static int run_bytes;
static struct kvm_cpuid2 *cpuid;

void die(const char *call)
{
    printf("error %s: %s (errno %d)\n", call, strerror(errno), errno);
    exit(1);
}

void unexpected(const struct kvm_run *run)
{
    printf("error KVM_RUN: unexpected exit reason %u\n", run->exit_reason);
    exit(1);
}

int check(const char *call, int result)
{
    if (result < 0)
        die(call);
    return result;
}

void *map(size_t bytes, int flags, int fd)
{
    void *start = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (start == MAP_FAILED)
        die("mmap");
    return start;
}

uint64_t now(void)
{
    struct timespec time;
    check("clock_gettime", clock_gettime(CLOCK_MONOTONIC, &time));
    return time.tv_sec * 1000000000ul + time.tv_nsec;
}

void read_image(const char *path, struct image *image)
{
    int fd = check(path, open(path, O_RDONLY | O_CLOEXEC));
    image->length = check(path, read(fd, image->bytes, sizeof image->bytes));
    check(path, close(fd));
}

void open_kvm(void)
{
    kvm = check("/dev/kvm", open("/dev/kvm", O_RDWR | O_CLOEXEC));
    run_bytes = check("KVM_GET_VCPU_MMAP_SIZE", ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    cpuid = calloc(1, sizeof *cpuid + MAX_CPUID_ENTRIES * sizeof cpuid->entries[0]);
    if (!cpuid)
        die("calloc");
    cpuid->nent = MAX_CPUID_ENTRIES;
    check("KVM_GET_SUPPORTED_CPUID", ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid));
}

static void write_tables(uint8_t *memory)
{
    uint64_t *directory = (uint64_t *)(memory + DIRECTORY);
    *(uint64_t *)(memory + PML4) = PDPT | PRESENT_WRITABLE | ACCESSED;
    *(uint64_t *)(memory + PDPT) = DIRECTORY | PRESENT_WRITABLE | ACCESSED;
    for (uint64_t page = 0; page < 512; page++)
        directory[page] = page << 21 | PRESENT_WRITABLE | ACCESSED | DIRTY | LARGE;
}

void fill(uint8_t *memory, const struct image *image, uint32_t count)
{
    memcpy(memory, image->bytes, image->length);
    memcpy(memory + COUNT_CELL, &count, sizeof count);
    write_tables(memory);
}

void start_registers(int vcpu, struct kvm_regs *regs, struct kvm_sregs *sregs)
{
    check("KVM_GET_SREGS", ioctl(vcpu, KVM_GET_SREGS, sregs));
    struct kvm_segment code = {
        .limit = 0xffffffff, .selector = 1 << 3, .type = 0xb, .present = 1, .s = 1, .l = 1, .g = 1,
    };
    struct kvm_segment data = {
        .limit = 0xffffffff, .selector = 2 << 3, .type = 0x3, .present = 1, .s = 1, .db = 1, .g = 1,
    };
    sregs->cs = code;
    sregs->ds = sregs->es = sregs->fs = sregs->gs = sregs->ss = data;
    sregs->cr3 = PML4;
    sregs->cr4 = CR4_PAE;
    sregs->efer = EFER_LME_LMA;
    sregs->cr0 = CR0_PE_ET_NE_WP_PG;
    *regs = (struct kvm_regs){.rip = 0, .rsp = STACK_TOP, .rflags = 2};
}

struct machine assemble(uint8_t *memory, uint32_t slot_flags)
{
    struct machine machine = {.memory = memory};
    machine.vm = check("KVM_CREATE_VM", ioctl(kvm, KVM_CREATE_VM, 0));
    if (slot_flags & KVM_MEM_LOG_DIRTY_PAGES) {
        struct kvm_enable_cap kept = {
            .cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = {KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE},
        };
        check("KVM_ENABLE_CAP", ioctl(machine.vm, KVM_ENABLE_CAP, &kept));
    }
    struct kvm_userspace_memory_region region = {
        .flags = slot_flags, .memory_size = MEMORY_BYTES, .userspace_addr = (uintptr_t)memory,
    };
    check("KVM_SET_USER_MEMORY_REGION", ioctl(machine.vm, KVM_SET_USER_MEMORY_REGION, &region));
    machine.vcpu = check("KVM_CREATE_VCPU", ioctl(machine.vm, KVM_CREATE_VCPU, 0));
    machine.run = map(run_bytes, MAP_SHARED, machine.vcpu);
    check("KVM_SET_CPUID2", ioctl(machine.vcpu, KVM_SET_CPUID2, cpuid));
    return machine;
}

struct machine create(const struct image *image, uint32_t count)
{
    uint8_t *memory = map(MEMORY_BYTES, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
    fill(memory, image, count);
    struct machine machine = assemble(memory, 0);
    struct kvm_regs regs;
    struct kvm_sregs sregs;
    start_registers(machine.vcpu, &regs, &sregs);
    check("KVM_SET_SREGS", ioctl(machine.vcpu, KVM_SET_SREGS, &sregs));
    check("KVM_SET_REGS", ioctl(machine.vcpu, KVM_SET_REGS, &regs));
    return machine;
}

void destroy(const struct machine *machine)
{
    check("munmap", munmap(machine->run, run_bytes));
    check("close", close(machine->vcpu));
    check("close", close(machine->vm));
    check("munmap", munmap(machine->memory, MEMORY_BYTES));
}

uint64_t time_calls(const struct machine *machine, uint32_t reason, uint32_t count, uint64_t *each)
{
    struct kvm_run *run = machine->run;
    run->kvm_valid_regs = KVM_SYNC_X86_REGS;
    leave_by(machine, reason);
    uint64_t start = now(), before = start;
    for (uint32_t index = 0; index < count; index++) {
        run->s.regs.regs.rip = 0;
        run->s.regs.regs.rdi = index;
        run->kvm_dirty_regs = KVM_SYNC_X86_REGS;
        leave_by(machine, reason);
        if (run->s.regs.regs.rax != index + 7ul)
            unexpected(run);
        if (each) {
            uint64_t after = now();
            each[index] = after - before;
            before = after;
        }
    }
    return now() - start;
}
