// What the programs of the baseline share: a machine made by hand, as small as KVM lets it be.

#ifndef MACHINE_H
#define MACHINE_H

#include <errno.h>
#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>

#define MEMORY_BYTES 0x200000ul
#define PAGE_BYTES 4096ul
#define IMAGE_LIMIT 0x400

// A guest program: it is entered at gpa 0 in long mode.
struct image {
    uint8_t bytes[IMAGE_LIMIT];
    size_t length;
};

struct machine {
    int vm, vcpu;
    uint8_t *memory;
    struct kvm_run *run;
};

// Ends the program: a call has failed, with errno.
_Noreturn void die(const char *call);

// Ends the program: the guest did something else.
_Noreturn void unexpected(const struct kvm_run *run);

int check(const char *call, int result);
uint64_t now(void);
void *map(size_t bytes, int flags, int fd);
void read_image(const char *path, struct image *image);
void open_kvm(void);

// The image, the count that its guest reads, and the page tables.
void fill(uint8_t *memory, const struct image *image, uint32_t count);

// A VM on memory that is filled, with a vCPU as KVM resets it.
struct machine assemble(uint8_t *memory, uint32_t slot_flags);

// The registers of a vCPU in long mode before its first instruction.
void start_registers(int vcpu, struct kvm_regs *regs, struct kvm_sregs *sregs);

// All of it, on memory of its own.
struct machine create(const struct image *image, uint32_t count);
void destroy(const struct machine *machine);

// Runs the guest to its first exit, and then calls its function so often, registers in and out: it returns RDI + 7 in
// RAX, and exits for this reason. `each`, where given, gets every time.
uint64_t time_calls(const struct machine *machine, uint32_t reason, uint32_t count, uint64_t *each);

static inline uint32_t enter(const struct machine *machine)
{
    while (ioctl(machine->vcpu, KVM_RUN, 0) < 0)
        if (errno != EINTR)
            die("KVM_RUN");
    return machine->run->exit_reason;
}

// The guest runs until it exits, which is for this reason.
static inline void leave_by(const struct machine *machine, uint32_t reason)
{
    if (enter(machine) != reason)
        unexpected(machine->run);
}

// The next entry takes them over with KVM_RUN itself, without an ioctl of their own (KVM_CAP_SYNC_REGS).
static inline void stage(const struct machine *machine, const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
    machine->run->s.regs.regs = *regs;
    machine->run->s.regs.sregs = *sregs;
    machine->run->kvm_dirty_regs = KVM_SYNC_X86_REGS | KVM_SYNC_X86_SREGS;
}

// What state.c measures; `each`, where given, gets every time.
uint64_t calls(const struct image *image, uint32_t count, uint64_t *each);
uint64_t resets(const struct image *image, uint32_t pages, int memory, uint32_t count, uint64_t *each);
uint64_t forks_from_pool(const struct image *image, uint32_t count, uint64_t *each);
uint64_t forks_made_new(const struct image *image, uint32_t count, uint64_t *each);

// What user.c measures.
uint64_t user_calls(const struct image *image, uint32_t count, uint64_t *each);
uint64_t system_calls(const struct image *image, uint32_t count, uint64_t *each);
uint64_t computes(const struct image *image, uint32_t count, uint64_t *each);

#endif
