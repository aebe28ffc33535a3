//! A vCPU that is saved in the middle of an access goes on as one that nobody looked at: the same
//! exits, registers and memory, in the same machine and in another one.
// The helpers are tests, too: a panic is the report.
#![allow(clippy::unwrap_used, clippy::panic)]

#[macro_use]
mod common;

use common::{Answer, Asked, Cpu, LONG, PROTECTED, Question, REAL, USER};
use common::{affordable, config, gpa, pattern, port, set, try_run};
use vmm::{End, KickCause, KickHandle, Machine, MachineConfig, ProcessorState};
use vmm::{RouteConfig, RouteTarget, kvm_regs};

const DEVICE: u64 = 0xd000_0000;
/// 6 bytes before the end of a page of the device's.
const BORDER: u64 = DEVICE + 0xffa;
/// Bits of the first byte of a page table's entry.
const ACCESSED_DIRTY: u8 = 0x60;
const MEMORY_BYTES: u64 = 0x1_0000;
/// Memory of the guest's; the string instructions cross the page border at 0x3000.
const FROM: u64 = 0x2ff8;
const TO: u64 = 0x4ff8;

/// What a guest does, on which processors, and its registers.
struct Guest {
    name: &'static str,
    cpus: &'static [Cpu],
    listing: &'static str,
    registers: fn(&mut kvm_regs),
}

const ALL: &[Cpu] = &[REAL, PROTECTED, LONG, USER];
const FLAT: &[Cpu] = &[PROTECTED, LONG, USER];
const WIDE: &[Cpu] = &[LONG, USER];

const GUESTS: [Guest; 18] = [
    Guest {
        name: "ports of every size",
        cpus: ALL,
        listing: "
            e4 60    ; in $0x60,%al
            e6 62    ; out %al,$0x62
            e5 60    ; in $0x60,%eax
            e7 62    ; out %eax,$0x62
            66 e5 60 ; in $0x60,%ax
            66 e7 62 ; out %ax,$0x62
            ec       ; in (%dx),%al
            ee       ; out %al,(%dx)
        ",
        registers: |it| it.rdx = 0x61,
    },
    Guest {
        name: "strings from a port over a page border",
        cpus: ALL,
        listing: "
            f3 6c          ; rep insb (%dx),(%edi)
            b9 05 00 00 00 ; mov $5,%ecx
            f3 66 6d       ; rep insw (%dx),(%edi)
        ",
        registers: |it| (it.rdx, it.rcx, it.rdi) = (0x60, 20, TO),
    },
    Guest {
        name: "double words from a port, backwards",
        cpus: FLAT,
        listing: "
            fd    ; std
            f3 6d ; rep insl (%dx),(%edi)
            fc    ; cld
        ",
        registers: |it| (it.rdx, it.rcx, it.rdi) = (0x60, 4, TO + 8),
    },
    Guest {
        name: "strings to a port",
        cpus: FLAT,
        listing: "
            f3 6e          ; rep outsb (%esi),(%dx)
            b9 03 00 00 00 ; mov $3,%ecx
            f3 6f          ; rep outsl (%esi),(%dx)
        ",
        registers: |it| (it.rdx, it.rcx, it.rsi) = (0x60, 9, FROM),
    },
    Guest {
        name: "reads of 1, 2 and 4 bytes",
        cpus: FLAT,
        listing: "
            8a 03    ; mov (%ebx),%al
            66 8b 0b ; mov (%ebx),%cx
            8b 13    ; mov (%ebx),%edx
            0f b6 33 ; movzbl (%ebx),%esi
        ",
        registers: |it| it.rbx = DEVICE,
    },
    Guest {
        name: "reads across a page border",
        cpus: FLAT,
        listing: "
            8b 43 04    ; mov 4(%ebx),%eax
            66 8b 4b 05 ; mov 5(%ebx),%cx
            8b 53 03    ; mov 3(%ebx),%edx
        ",
        registers: |it| it.rbx = BORDER,
    },
    Guest {
        name: "writes of 1, 2 and 4 bytes, and across a page border",
        cpus: FLAT,
        listing: "
            88 03       ; mov %al,(%ebx)
            66 89 03    ; mov %ax,(%ebx)
            89 03       ; mov %eax,(%ebx)
            89 43 04    ; mov %eax,4(%ebx)
            66 89 43 05 ; mov %ax,5(%ebx)
        ",
        registers: |it| (it.rbx, it.rax) = (BORDER, 0x4433_2211),
    },
    Guest {
        name: "8 bytes",
        cpus: WIDE,
        listing: "
            48 8b 03    ; mov (%rbx),%rax
            48 89 03    ; mov %rax,(%rbx)
            48 8b 4b f0 ; mov -16(%rbx),%rcx
            48 89 4b f0 ; mov %rcx,-16(%rbx)
        ",
        registers: |it| it.rbx = BORDER,
    },
    Guest {
        name: "16 bytes",
        cpus: WIDE,
        listing: "
            0f 10 03    ; movups (%rbx),%xmm0
            0f 11 03    ; movups %xmm0,(%rbx)
            0f 11 06    ; movups %xmm0,(%rsi)
            0f 10 4b f0 ; movups -16(%rbx),%xmm1
            0f 11 4b e0 ; movups %xmm1,-32(%rbx)
        ",
        registers: |it| (it.rbx, it.rsi) = (BORDER, FROM),
    },
    Guest {
        name: "16 bytes again and again, whose registers stay",
        cpus: WIDE,
        listing: "
            0f 10 03          ; movups (%rbx),%xmm0
            0f 11 06          ; movups %xmm0,(%rsi)
            83 2c 25 00 20 00 00 01 ; subl $1,0x2000
            75 f0             ; jnz (the first)
        ",
        registers: |it| (it.rbx, it.rsi) = (BORDER, FROM),
    },
    Guest {
        name: "strings from the device to memory",
        cpus: FLAT,
        listing: "
            f3 a4          ; rep movsb (%esi),(%edi)
            b9 03 00 00 00 ; mov $3,%ecx
            f3 a5          ; rep movsl (%esi),(%edi)
        ",
        registers: |it| (it.rcx, it.rsi, it.rdi) = (5, BORDER, TO),
    },
    Guest {
        name: "a string from the device of many rounds",
        cpus: &[PROTECTED],
        listing: "f3 a4 ; rep movsb (%esi),(%edi)",
        registers: |it| (it.rcx, it.rsi, it.rdi) = (300, BORDER, TO),
    },
    Guest {
        name: "strings from memory to the device",
        cpus: FLAT,
        listing: "
            f3 a4          ; rep movsb (%esi),(%edi)
            b9 03 00 00 00 ; mov $3,%ecx
            f3 a5          ; rep movsl (%esi),(%edi)
        ",
        registers: |it| (it.rcx, it.rsi, it.rdi) = (5, FROM, BORDER),
    },
    Guest {
        name: "strings from the device to the device",
        cpus: FLAT,
        listing: "
            f3 a5 ; rep movsl (%esi),(%edi)
            a4    ; movsb (%esi),(%edi)
        ",
        registers: |it| (it.rcx, it.rsi, it.rdi) = (3, BORDER, DEVICE + 0x100),
    },
    Guest {
        name: "strings from a port to the device",
        cpus: FLAT,
        listing: "
            f3 6c ; rep insb (%dx),(%edi)
        ",
        registers: |it| (it.rdx, it.rcx, it.rdi) = (0x60, 3, DEVICE),
    },
    Guest {
        name: "strings of the device compared, loaded and looked through",
        cpus: FLAT,
        listing: "
            f3 a6          ; repe cmpsb (%edi),(%esi)
            a7             ; cmpsl (%edi),(%esi)
            b9 03 00 00 00 ; mov $3,%ecx
            f3 ad          ; rep lodsl (%esi),%eax
            b9 03 00 00 00 ; mov $3,%ecx
            f2 ae          ; repne scasb (%edi),%al
        ",
        registers: |it| (it.rcx, it.rsi, it.rdi) = (4, BORDER, DEVICE + 0x2000),
    },
    Guest {
        name: "read, change, write",
        cpus: FLAT,
        listing: "
            01 03       ; add %eax,(%ebx)
            87 03       ; xchg %eax,(%ebx)
            f0 01 03    ; lock add %eax,(%ebx)
            fe 03       ; incb (%ebx)
            0f b1 0b    ; cmpxchg %ecx,(%ebx)
            01 43 04    ; add %eax,4(%ebx)
            0f c1 03    ; xadd %eax,(%ebx)
        ",
        registers: |it| (it.rbx, it.rax, it.rcx) = (BORDER, 0x1234_5678, 0x9abc_def0),
    },
    Guest {
        name: "the stack's other end",
        cpus: FLAT,
        listing: "
            ff 33    ; push (%ebx)
            8f 43 10 ; pop 0x10(%ebx)
            ff 33    ; push (%ebx)
            58       ; pop %eax
        ",
        registers: |it| (it.rbx, it.rsp) = (DEVICE, 0x6000),
    },
];

const END: &str = "e6 f4 ; out %al,$0xf4";

/// How a vCPU is left at a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// It is not answered.
    Open,
    /// It is answered, and the run ends.
    Answered,
    /// It ends the run, and a read is answered by `reply`.
    Ended,
}

/// A machine with what its handler knows.
struct World {
    machine: Machine,
    asked: Vec<Asked>,
}

/// All of a world as a value.
#[derive(Clone)]
struct Saved {
    memory: Vec<Vec<u8>>,
    processor: ProcessorState,
    asked: usize,
    /// `reply` is to come.
    reply: bool,
}

/// Two values in a row are equal, so that strings that are compared go on.
fn value(index: usize) -> u64 {
    let nth = (index / 2 + 1) as u64;
    nth.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl World {
    fn new(cpu: Cpu, guest: &Guest, routes: &[RouteConfig]) -> Self {
        let listing = format!("{}\n{END}", guest.listing);
        let config = MachineConfig {
            memory_bytes: MEMORY_BYTES,
            ..config(cpu, &listing, routes)
        };
        let mut machine = Machine::new(config).unwrap();
        let bytes = pattern(0x4000);
        machine.memory().write(0x2000, &bytes).unwrap();
        machine.memory().write(0x2000, &[3, 0, 0, 0]).unwrap();
        set(&mut machine, guest.registers);
        let asked = Vec::new();
        Self { machine, asked }
    }

    /// Runs to the end, or leaves at the question with this index.
    fn run(&mut self, leave: Option<(usize, Left)>) -> End {
        let (kick, asked) = (KickHandle::new(), &mut self.asked);
        let answer = |question: Question<'_>| {
            let index = asked.len();
            let left = leave.filter(|(at, _)| *at == index).map(|(_, left)| left);
            if left.is_some_and(|left| left != Left::Ended) {
                kick.kick(KickCause::Stop);
            }
            if left == Some(Left::Open) {
                return Answer::Withdrawn;
            }
            asked.push(Asked::from(&question));
            match left {
                Some(Left::Ended) => Answer::End,
                _ => Answer::Value(value(index)),
            }
        };
        try_run(&mut self.machine, &kick, answer).unwrap().end
    }

    fn save(&mut self, reply: bool) -> Saved {
        let memory = self.machine.memory();
        let slots = memory.slots().iter().map(|slot| {
            let mut bytes = vec![0; slot.bytes as usize];
            memory.read(slot.gpa, &mut bytes).unwrap();
            bytes
        });
        Saved {
            memory: slots.collect(),
            processor: self.machine.vcpu(0).unwrap().save().unwrap(),
            asked: self.asked.len(),
            reply,
        }
    }

    /// Goes back to what was saved, in a world that was asked the same until then.
    fn restore(&mut self, saved: &Saved, asked: &[Asked]) {
        self.machine.vcpu(0).unwrap().abandon().unwrap();
        let memory = self.machine.memory();
        for (slot, bytes) in memory.slots().iter().zip(&saved.memory) {
            memory.write(slot.gpa, bytes).unwrap();
        }
        let processor = self.machine.vcpu(0).unwrap();
        processor.restore(&saved.processor).unwrap();
        self.asked = asked[..saved.asked].to_vec();
    }

    /// Goes on to the end, where all must be as it is without a look.
    fn assert_ends_as(&mut self, saved: &Saved, undisturbed: &mut (World, End), what: &str) {
        if saved.reply {
            self.machine.reply(value(saved.asked - 1)).unwrap();
        }
        let end = self.run(None);
        let (expected, expected_end) = undisturbed;
        assert_eq!(self.asked, expected.asked, "{what}");
        assert_eq!(end, *expected_end, "{what}");
        let registers = self.machine.registers().unwrap();
        assert_eq!(registers, expected.machine.registers().unwrap(), "{what}");
        let (mine, theirs) = (self.save(false), expected.save(false));
        for (slot, (mine, theirs)) in mine.memory.iter().zip(&theirs.memory).enumerate() {
            // A KVM that shadows page tables does not see that the host has cleared these bits.
            let exempt = if slot == 0 { 0 } else { ACCESSED_DIRTY };
            let differ = |at: &usize| (mine[*at] ^ theirs[*at]) & !exempt != 0;
            if let Some(at) = (0..mine.len()).find(differ) {
                let (mine, theirs) = (&mine[at..][..16], &theirs[at..][..16]);
                panic!("{what}: slot {slot} at {at:#x}: {mine:x?}, undisturbed {theirs:x?}");
            }
        }
    }
}

fn each_question_of(guest: &Guest, cpu: Cpu, routes: &[RouteConfig], ways: &[Left]) {
    let mut undisturbed = World::new(cpu, guest, routes);
    let end = undisturbed.run(None);
    let name = format!("{} {cpu:?}", guest.name);
    if !matches!(end, End::ExitPort { .. }) {
        skip!("{name}: ends with {}", end.name());
    }
    let questions = undisturbed.asked.len();
    assert!(questions > 0, "{name}");
    let asked = undisturbed.asked.clone();
    let mut undisturbed = (undisturbed, end);
    let mut first = World::new(cpu, guest, routes);
    let mut second = World::new(cpu, guest, routes);
    let start = first.save(false);
    for at in (0..questions).step_by(questions.div_ceil(affordable(50))) {
        for way in ways {
            let what = format!("{name}, {way:?} at {at}: {:?}", asked[at]);
            first.restore(&start, &asked);
            let left = first.run(Some((at, *way)));
            let record = match &left {
                End::Exit(record) => Some(record),
                _ => None,
            };
            let reply = record.is_some_and(|record| record.exit.is_read());
            let saved = first.save(reply);
            first.assert_ends_as(&saved, &mut undisturbed, &format!("{what}, saved"));
            first.restore(&saved, &asked);
            first.assert_ends_as(&saved, &mut undisturbed, &format!("{what}, restored"));
            // A restore of a vCPU that waits for something else, and what is saved right after it.
            first.restore(&start, &asked);
            first.run(Some((questions * 2 / 3, Left::Open)));
            first.restore(&saved, &asked);
            let again = first.save(reply);
            first.assert_ends_as(&saved, &mut undisturbed, &format!("{what}, abandoned"));
            for saved in [&saved, &again] {
                second.restore(saved, &asked);
                second.assert_ends_as(saved, &mut undisturbed, &format!("{what}, elsewhere"));
            }
        }
    }
}

fn each_guest(routes: &[RouteConfig], ways: &[Left]) {
    let stop = port(0xf4, 1, RouteTarget::Stop);
    let routes: Vec<_> = routes.iter().copied().chain([stop]).collect();
    for guest in &GUESTS {
        for cpu in guest.cpus {
            if common::missing(&[*cpu]).is_none() {
                each_question_of(guest, *cpu, &routes, ways);
            }
        }
    }
}

#[test]
fn an_access_that_no_route_claims_is_left_open_answered_and_ended() {
    require!(LONG);
    each_guest(&[], &[Left::Open, Left::Answered, Left::Ended]);
}

#[test]
fn an_access_of_a_device_is_left_between_its_pieces() {
    require!(LONG);
    let routes = [
        port(0x60, 8, RouteTarget::Device),
        gpa(DEVICE, 0x4000, RouteTarget::Device),
    ];
    each_guest(&routes, &[Left::Open, Left::Answered]);
}

/// Sets up the PIC with line 4 open at vector 0x24, and reads while interrupts are on.
const INTERRUPTED: &str = "
    b0 11 ; mov $0x11,%al
    e6 20 ; out %al,$0x20
    b0 20 ; mov $0x20,%al
    e6 21 ; out %al,$0x21
    b0 04 ; mov $4,%al
    e6 21 ; out %al,$0x21
    b0 01 ; mov $1,%al
    e6 21 ; out %al,$0x21
    b0 ef ; mov $0xef,%al
    e6 21 ; out %al,$0x21
    fb    ; sti
    90    ; nop
    e4 60 ; in $0x60,%al
    e6 62 ; out %al,$0x62
    e6 f4 ; out %al,$0xf4
";

const HANDLER: &str = "
    50    ; push %ax
    b0 20 ; mov $0x20,%al
    e6 20 ; out %al,$0x20
    e6 64 ; out %al,$0x64
    58    ; pop %ax
    cf    ; iret
";

#[test]
fn an_interrupt_that_waits_comes_after_the_read_and_not_before_it() {
    require!(REAL);
    let routes = [port(0xf4, 1, RouteTarget::Stop)];
    let mut config = config(REAL, INTERRUPTED, &routes);
    config.irqchip = true;
    config.payload.load_gpa = 0x1000;
    config.payload.entry_gpa = Some(0x1000);
    let mut machine = Machine::new(config).unwrap();
    let memory = machine.memory();
    memory.write(0x24 * 4, &0x2000_u32.to_le_bytes()).unwrap();
    memory.write(0x2000, &common::code(HANDLER)).unwrap();
    let (kick, interrupts) = (KickHandle::new(), machine.interrupts().clone());
    let left = try_run(&mut machine, &kick, |question| {
        assert!(matches!(Asked::from(&question), Asked::Unclaimed(..)));
        interrupts.pulse(4).unwrap();
        kick.kick(KickCause::Stop);
        Answer::Withdrawn
    });
    assert_eq!(left.unwrap().end, End::Kicked(KickCause::Stop));
    let processor = machine.vcpu(0).unwrap();
    let saved = processor.save().unwrap();
    processor.restore(&saved).unwrap();
    let mut ports = Vec::new();
    let end = try_run(&mut machine, &KickHandle::new(), |question| {
        if let Question::Unclaimed { exit, .. } = question
            && let vmm::Exit::PioIn(access) | vmm::Exit::PioOut(access) = exit
        {
            ports.push(access.port);
        }
        Answer::Value(5)
    });
    // After the read, whose value the handler does not see.
    assert_eq!(ports, [0x60, 0x64, 0x62]);
    assert!(matches!(end.unwrap().end, End::ExitPort { code: 5, .. }));
}
