// Variant: 32, a multiboot 1 image (mode 'protected', irqchip: true).
// The boot CPU counts 100 ticks of the PIT (1 kHz), starts the CPU with local APIC id 1 and waits for it; that one counts 50 ticks of
// its own APIC timer (1 kHz). A CPU that gives no sign within 2000 ticks of the PIT is not there.
// Cells: 0x500 u32 ticks of the boot CPU; 0x504 u32 ticks of the other; 0x508 u32 APIC id of the other, 0 if it never came.
// Ports: 0xe9 text; 0xf4 u32 exit code.
// End, always by the boot CPU (the lines go to 0xe9):
//     exit code 42  "multiboot\n" "boot: 100 ticks\n" "AP: 50 ticks\n"
//     exit code 1   "multiboot\n" "boot: 100 ticks\n" "no AP\n"          cells 0x504 and 0x508 are 0
//     exit code 2   nothing: EAX was not the boot loader's magic number
// A fault finds no gate and ends the run as `shutdown`. Numbers in brackets: SDM = Intel SDM vol. 3A, MB = Multiboot 0.6.96,
// MP = MultiProcessor Specification 1.4.

    .set BOOT_TICKS, 100
    .set AP_TICKS, 50
    .set PATIENCE, 2000

    .set LOAD, 0x100000             // load_gpa of multiboot.ld
    .set TRAMPOLINE, 0x8000         // a page below 1 MiB, for SIPI vector 0x08
    .set BOOT_STACK, 0x7000
    .set AP_STACK, 0x8000

    .set boot_ticks, 0x500
    .set ap_ticks, 0x504
    .set ap_id, 0x508
    .set ticks_left, 0x50c          // the boot CPU's handler counts it down to 0

    .set HEADER_MAGIC, 0x1badb002
    .set HEADER_FLAGS, 1 << 16      // the address fields are valid (MB 3.1.2)
    .set BOOT_MAGIC, 0x2badb002     // EAX at the entry (MB 3.2)

    .set CODE, 0x08
    .set DATA, 0x10
    .set PIT_VECTOR, 0x20
    .set TIMER_VECTOR, 0x30
    .set SPURIOUS_VECTOR, 0x3f

    // The local APIC's registers (SDM 11.4.1).
    .set APIC, 0xfee00000
    .set APIC_ID, APIC + 0x20
    .set APIC_EOI, APIC + 0xb0
    .set APIC_SPURIOUS, APIC + 0xf0
    .set APIC_ICR_LOW, APIC + 0x300
    .set APIC_ICR_HIGH, APIC + 0x310
    .set APIC_LVT_TIMER, APIC + 0x320
    .set APIC_LVT_LINT0, APIC + 0x350
    .set APIC_TIMER_COUNT, APIC + 0x380
    .set APIC_TIMER_DIVIDE, APIC + 0x3e0

    .macro outb_to port value
    movb $\value, %al
    outb %al, $\port
    .endm

    .macro say text
    movl $\text, %esi
    call print
    .endm

    // KVM's instruction emulator has no iret in protected mode. EIP and CS come back, EFLAGS are dropped: hlt needs none.
    .macro leave_handler
    lret $4
    .endm

    .text
    .code32
    .globl _start
_start:
    jmp boot

    .balign 4
header:
    .long HEADER_MAGIC
    .long HEADER_FLAGS
    .long -(HEADER_MAGIC + HEADER_FLAGS)
    .long header                    // header_addr
    .long load_gpa                  // load_addr
    .long load_end                  // load_end_addr
    .long 0                         // bss_end_addr: no .bss
    .long _start                    // entry_addr

boot:
    cmpl $BOOT_MAGIC, %eax
    movl $2, %eax
    jne end

    // The loader's GDT and stack are not ours to keep (MB 3.2).
    lgdt gdt_pointer
    lidt idt_pointer
    movl $BOOT_STACK, %esp
    ljmp $CODE, $1f
1:  call load_data_segments
    cld
    xorl %eax, %eax
    movl %eax, boot_ticks
    movl %eax, ap_ticks
    movl %eax, ap_id
    movl %eax, ticks_left
    say greeting

    // 8259A: ICW1 to ICW4 of the first PIC, vectors from 0x20, then every line but 0 masked.
    outb_to 0x20 0x11
    outb_to 0x21 PIT_VECTOR
    outb_to 0x21 0x04
    outb_to 0x21 0x01
    outb_to 0x21 0xfe
    // The PIC's INTR reaches this CPU through its APIC, as ExtINT on LINT0: virtual wire mode (MP 3.6.2.2, SDM 11.5.1). The APIC is
    // software-enabled first (SDM 11.9): a KVM was seen to lose an INIT to one APIC id while no APIC ever was.
    movl $(0x100 | SPURIOUS_VECTOR), APIC_SPURIOUS
    movl $0x700, APIC_LVT_LINT0
    // 8254: channel 0, low byte then high byte, mode 2; 1193182 Hz / 1193 = 1 kHz.
    outb_to 0x43 0x34
    outb_to 0x40 (1193 & 0xff)
    outb_to 0x40 (1193 >> 8)

    movl $BOOT_TICKS, %ecx
    call wait
    say boot_text
    movl boot_ticks, %eax
    call print_number
    say ticks_text

    // INIT, 10 ms, SIPI, 0.2 ms, SIPI (MP B.4). ICR: level assert, delivery mode, vector (SDM 11.6.1).
    movl $(trampoline_end - trampoline), %ecx
    movl $trampoline, %esi
    movl $TRAMPOLINE, %edi
    rep movsb
    movl $(1 << 24), APIC_ICR_HIGH
    movl $0x4500, APIC_ICR_LOW
    movl $10, %ecx
    call wait
    movl $(0x4600 | TRAMPOLINE >> 12), APIC_ICR_LOW
    movl $1, %ecx
    call wait
    movl $(0x4600 | TRAMPOLINE >> 12), APIC_ICR_LOW

    movl $PATIENCE, %ebx
2:  cmpl $0, ap_id
    jne 3f
    movl $1, %ecx
    call wait
    decl %ebx
    jnz 2b
    say no_ap_text
    movl $1, %eax
    jmp end

    // It came, so however long its ticks take, they will.
3:  movl $1, %ecx
    call wait
    cmpl $AP_TICKS, ap_ticks
    jb 3b
    say ap_text
    movl ap_ticks, %eax
    call print_number
    say ticks_text
    movl $42, %eax

end:
    outl %eax, $0xf4
    jmp end

load_data_segments:
    movl $DATA, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    ret

// Returns after ECX ticks of the PIT, with interrupts off. boot_ticks counts them too, up to BOOT_TICKS.
wait:
    movl %ecx, ticks_left
1:  sti                             // takes effect after hlt, so no tick slips in between (SDM vol. 2B, STI)
    hlt
    cmpl $0, ticks_left
    jne 1b
    ret

// Interrupts are taken in hlt alone, one each time, and leave IF off: the counts are exact.
on_pit:
    pushl %eax
    decl ticks_left
    cmpl $BOOT_TICKS, boot_ticks
    jae 1f
    incl boot_ticks
1:  outb_to 0x20 0x20               // end of interrupt (8259A OCW2)
    popl %eax
    leave_handler

// Writes the string at ESI, up to its zero.
print:
    lodsb
    testb %al, %al
    jz 1f
    outb %al, $0xe9
    jmp print
1:  ret

// Writes EAX in decimal.
print_number:
    movl $10, %ecx
    xorl %edx, %edx
    divl %ecx
    pushl %edx
    testl %eax, %eax
    jz 1f
    call print_number
1:  popl %eax
    addb $'0', %al
    outb %al, $0xe9
    ret

// What the other CPU runs first, in real mode at TRAMPOLINE with CS:IP = TRAMPOLINE >> 4 : 0 (SDM 9.4.3). It is copied there, so
// addresses in it count from its own start.
    .code16
trampoline:
    cli
    lgdtl %cs:(1f - trampoline)
    movl %cr0, %eax
    orb $1, %al                     // PE
    movl %eax, %cr0
    ljmpl $CODE, $ap
1:  .word gdt_end - gdt - 1
    .long gdt
trampoline_end:

    .code32
ap:
    movl $DATA, %eax                // a stack before any call
    movl %eax, %ss
    movl $AP_STACK, %esp
    call load_data_segments
    lidt idt_pointer
    // Software-enable the APIC (SDM 11.9), then its timer: periodic, divided by 1, 1 ms of KVM's 1 GHz (SDM 11.5.4).
    movl $(0x100 | SPURIOUS_VECTOR), APIC_SPURIOUS
    movl $0xb, APIC_TIMER_DIVIDE
    movl $(1 << 17 | TIMER_VECTOR), APIC_LVT_TIMER
    movl $1000000, APIC_TIMER_COUNT
    movl APIC_ID, %eax
    shrl $24, %eax
    movl %eax, ap_id
2:  sti
    hlt
    jmp 2b

on_timer:
    cmpl $AP_TICKS, ap_ticks
    jae 1f
    incl ap_ticks
1:  movl $0, APIC_EOI
    leave_handler

// A spurious interrupt is not acknowledged (SDM 11.9).
on_spurious:
    leave_handler

greeting:   .asciz "multiboot\n"
boot_text:  .asciz "boot: "
ap_text:    .asciz "AP: "
ticks_text: .asciz " ticks\n"
no_ap_text: .asciz "no AP\n"

    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff        // CODE: base 0, 4 GiB, execute/read, 32 bits (SDM figure 3-8)
    .quad 0x00cf93000000ffff        // DATA: the same, read/write
gdt_end:

// Interrupt gates, ring 0 (SDM figure 6-2). The image is below 64 KiB, so an offset's upper half is that of LOAD.
    .macro gate vector handler
    .org idt + \vector * 8
    .word \handler - _start, CODE, 0x8e00, LOAD >> 16
    .endm

idt:
    gate PIT_VECTOR on_pit
    gate TIMER_VECTOR on_timer
    gate SPURIOUS_VECTOR on_spurious
idt_end:

gdt_pointer:
    .word gdt_end - gdt - 1
    .long gdt
idt_pointer:
    .word idt_end - idt - 1
    .long idt
