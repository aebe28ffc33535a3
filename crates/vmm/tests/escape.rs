//! Programs that try to get out of ring 3, to harm what is ours, or to forge what they ask.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

mod native;

use std::ops::Range;
use std::time::Duration;

use native::{BASE, Code, ENTRY, TELL, machine, process, run_for};
use vmm::{End, Machine, Snapshot, UserStop};

const SYSTEM: u64 = 0xfe00_0000;
const USER_CODE: u64 = 0xfea0_0000;
const MAILBOX: u64 = USER_CODE + 0x1000;
const EDIT_CODE: u64 = USER_CODE + 0x2000;
/// From the beginning of the system slot.
const TABLES: u64 = 0x4000;
const SYSTEM_END: u64 = USER_CODE + 0x1_3000;
/// Where edits are written to, which is ours to change.
const EDITS: u64 = USER_CODE + 0x3000;
/// lea rax, [rdi + rsi]; ret
const ADD: [u8; 5] = [0x48, 0x8d, 0x04, 0x37, 0xc3];
const ADD_AT: u64 = BASE + 0x8000;
const STACK: u64 = 0x7fff_0000_0000 - 0x2000;
/// Flags that no ring 3 has.
const IOPL_AND_VM: u64 = 0x0002_3000;
/// The least that ends an endless program.
const SOON: Duration = Duration::from_millis(60);
/// Ends what hangs.
const AT_LAST: Duration = Duration::from_secs(300);

struct Target {
    machine: Machine,
    snapshot: Snapshot,
    /// What nothing changes.
    system: Vec<u8>,
    /// Page tables, which change as the program has memory mapped.
    tables: Vec<u8>,
}

impl Target {
    fn new() -> Self {
        Self::of(machine(&Code::new().call(TELL, &[]).0))
    }

    /// One that has signals.
    fn process() -> Self {
        Self::of(process(&Code::new().call(TELL, &[]).0))
    }

    fn of(mut machine: Machine) -> Self {
        machine.user_write(ADD_AT, &ADD).unwrap();
        native::call(&mut machine);
        let snapshot = machine.snapshot().unwrap();
        Self {
            system: system(&machine),
            tables: tables(&machine),
            machine,
            snapshot,
        }
    }

    /// What comes of code that runs in the place of the program, and that nothing of ours is
    /// changed, nothing is lost.
    fn attack(&mut self, what: &str, code: Code) -> End {
        self.attack_for(what, code, SOON)
    }

    /// The same with code that ends by itself, however late it gets a processor.
    fn end_of(&mut self, what: &str, code: Code) -> End {
        self.attack_for(what, code, AT_LAST)
    }

    fn attack_for(&mut self, what: &str, code: Code, time: Duration) -> End {
        let mut registers = self.machine.registers().unwrap();
        registers.rip = ENTRY;
        registers.rsp = STACK;
        self.machine.user_write(ENTRY, &code.0).unwrap();
        self.machine.set_registers(&registers).unwrap();
        let outcome = run_for(&mut self.machine, time);
        let special = self.machine.special_registers().unwrap();
        assert_eq!(
            (special.cs.dpl, special.ss.dpl),
            (3, 3),
            "{what}: {outcome:?}"
        );
        assert_eq!(special.efer & 0xd01, 0xd01, "{what}");
        assert_eq!(special.gdt.base, SYSTEM, "{what}");
        let registers = self.machine.registers().unwrap();
        assert_eq!(
            registers.rflags & IOPL_AND_VM,
            0,
            "{what}: {:#x}",
            registers.rflags
        );
        assert!(
            system(&self.machine) == self.system,
            "{what} has changed what is ours"
        );
        self.machine.restore(&self.snapshot).unwrap();
        assert!(tables(&self.machine) == self.tables, "{what}: tables");
        self.adds(what);
        self.machine.restore(&self.snapshot).unwrap();
        outcome.end
    }

    fn adds(&mut self, what: &str) {
        let memory = self.machine.memory();
        for (at, word) in [(0, ADD_AT), (8, 40), (16, 2)] {
            memory.write(at, &u64::to_le_bytes(word)).unwrap();
        }
        self.machine.user_call(STACK).unwrap();
        let outcome = run_for(&mut self.machine, AT_LAST);
        let stop = self.machine.user_stop();
        assert_eq!(stop, Some(&UserStop::Returned), "{what}: {outcome:?}");
        let mut sum = [0; 8];
        self.machine.memory().read(0x78, &mut sum).unwrap();
        assert_eq!(u64::from_le_bytes(sum), 42, "{what}");
    }

    fn faults(&mut self, what: &str, code: Code) -> (u8, Option<u64>) {
        match self.end_of(what, code) {
            End::Fault(fault) => (fault.vector, fault.address),
            other => panic!("{what}: {other:?}"),
        }
    }
}

/// GDT, TSS, trap table, and code.
fn system(machine: &Machine) -> Vec<u8> {
    let mut bytes = read(machine, SYSTEM..SYSTEM + TABLES);
    // The processor's frame of the last fault.
    let end = bytes.len();
    bytes[end - 48..].fill(0);
    bytes.extend(read(machine, USER_CODE..MAILBOX));
    bytes.extend(read(machine, EDIT_CODE..EDITS));
    bytes
}

fn tables(machine: &Machine) -> Vec<u8> {
    read(machine, SYSTEM + TABLES..SYSTEM + TABLES + 0x2_0000)
}

fn read(machine: &Machine, range: Range<u64>) -> Vec<u8> {
    let mut bytes = vec![0; (range.end - range.start) as usize];
    machine.memory().read(range.start, &mut bytes).unwrap();
    bytes
}

/// Every page of ours, at its first and its last word.
fn ours() -> impl Iterator<Item = u64> {
    let pages = (SYSTEM..SYSTEM + 0x10_000).chain(USER_CODE..SYSTEM_END);
    let first = pages.step_by(0x1000);
    first.flat_map(|page| [page, page + 0x800, page + 0xff8])
}

#[test]
fn what_is_ours_cannot_be_read_written_or_executed() {
    let mut target = Target::new();
    for address in ours() {
        let is_mailbox = address & !0xfff == MAILBOX;
        let is_code = address & !0xfff == USER_CODE;
        let what = format!("{address:#x}");
        if !is_mailbox {
            let store = Code::new().store(address, 0xff);
            assert_eq!(target.faults(&what, store), (14, Some(address)), "{what}");
        }
        if !is_mailbox && !is_code {
            let load = Code::new().tell(address);
            assert_eq!(target.faults(&what, load), (14, Some(address)), "{what}");
        }
        if !is_code {
            // mov rax, address; jmp rax
            let jump = Code::new().set(0, address).bytes(&[0xff, 0xe0]);
            assert_eq!(target.faults(&what, jump), (14, Some(address)), "{what}");
        }
    }
}

#[test]
fn jumps_to_any_byte_of_our_code_do_no_harm() {
    let mut target = Target::new();
    for offset in 0..0x180 {
        for (rcx, r11) in [(ENTRY, 2), (u64::MAX, u64::MAX), (1 << 47, !0x100), (0, 0)] {
            let jump = Code::new().set(0, u64::from(TELL)).set(1, rcx).set(11, r11);
            let jump = jump.set(3, USER_CODE + offset).bytes(&[0xff, 0xe3]);
            target.attack(&format!("+{offset:#x}, {rcx:#x}, {r11:#x}"), jump);
        }
    }
}

#[test]
fn a_forged_entry_is_a_system_call_with_flags_that_ring_3_may_have() {
    let mut target = Target::new();
    let jump = Code::new()
        .set(0, u64::from(TELL))
        .set(1, ADD_AT)
        .set(11, !0x100);
    let end = target.end_of("forged", jump.set(3, USER_CODE).bytes(&[0xff, 0xe3]));
    assert!(matches!(end, End::Exit(_)), "{end:?}");
    for rcx in [1 << 47, u64::MAX, 1 << 63] {
        let jump = Code::new().set(0, u64::from(TELL)).set(1, rcx).set(11, 2);
        let jump = jump.set(3, USER_CODE).bytes(&[0xff, 0xe3]);
        assert_eq!(target.faults("forged", jump).0, 13, "{rcx:#x}");
    }
}

#[test]
fn no_port_is_open() {
    let mut target = Target::new();
    for port in 0..=0xff {
        // out port, al; out dx, eax; in al, port; insb; outsb
        let what = format!("port {port:#x}");
        let dx = || Code::new().set(2, port).set(7, BASE + 0x9000).set(6, BASE);
        let attacks = [
            Code::new().bytes(&[0xe6, port as u8]),
            dx().bytes(&[0xef]),
            dx().bytes(&[0x66, 0xef]),
            dx().bytes(&[0x6e]),
            dx().set(1, 1000).bytes(&[0xf3, 0x6e]),
        ];
        for code in attacks {
            let (vector, _) = target.faults(&what, code);
            assert_eq!(vector, 13, "{what}");
        }
        if port != 0xfb {
            assert_eq!(
                target
                    .faults(&what, Code::new().bytes(&[0xe4, port as u8]))
                    .0,
                13
            );
        } else {
            target.attack(&what, Code::new().bytes(&[0xe4, port as u8]));
            target.attack(&what, dx().set(1, 1000).bytes(&[0xf3, 0x6c]));
        }
    }
    for port in [0x100, 0x3f8, 0xfb00, 0xffff] {
        let out = Code::new().set(2, port).bytes(&[0xee]);
        assert_eq!(target.faults("a high port", out).0, 13, "{port:#x}");
    }
}

#[test]
fn segments_gates_and_flags_lead_nowhere() {
    let mut target = Target::new();
    for selector in 0..0x50_u64 {
        for load in [
            [0x8e, 0xd8],
            [0x8e, 0xc0],
            [0x8e, 0xe0],
            [0x8e, 0xe8],
            [0x8e, 0xd0],
        ] {
            let code = Code::new().set(0, selector).bytes(&load).call(TELL, &[]);
            target.attack(&format!("mov {load:x?}, {selector:#x}"), code);
        }
        // push selector; push address; retf, and a frame for iretq
        let far = Code::new()
            .set(0, ADD_AT)
            .set(1, selector)
            .bytes(&[0x51, 0x50, 0x48, 0xcb]);
        target.attack(&format!("retf {selector:#x}"), far);
        let frame = Code::new()
            .set(0, ADD_AT)
            .set(1, selector)
            .set(2, 0x3202)
            .set(3, STACK);
        let frame = frame
            .set(6, 0x1b)
            .bytes(&[0x56, 0x53, 0x52, 0x51, 0x50, 0x48, 0xcf]);
        target.attack(&format!("iretq {selector:#x}"), frame);
        // lldt ax; ltr ax
        for bytes in [[0x0f, 0x00, 0xd0], [0x0f, 0x00, 0xd8]] {
            target.attack("lldt, ltr", Code::new().set(0, selector).bytes(&bytes));
        }
    }
    for bit in 0..22 {
        // push rax; popfq
        let code = Code::new()
            .set(0, 1 << bit | 2)
            .bytes(&[0x50, 0x9d])
            .call(TELL, &[]);
        target.attack(&format!("popfq, bit {bit}"), code);
    }
    let all = Code::new()
        .set(0, u64::MAX)
        .bytes(&[0x50, 0x9d])
        .call(TELL, &[]);
    target.attack("popfq, all bits", all);
    for vector in 0..=0xff {
        target.attack(
            &format!("int {vector}"),
            Code::new().bytes(&[0xcd, vector]).call(TELL, &[]),
        );
    }
}

#[test]
fn privileged_instructions_are_faults() {
    let mut target = Target::new();
    let instructions: [&[u8]; 24] = [
        &[0xf4],
        &[0xfa],
        &[0xfb],
        &[0x0f, 0x01, 0x17],
        &[0x0f, 0x01, 0x1f],
        &[0x0f, 0x20, 0xd8],
        &[0x0f, 0x22, 0xd8],
        &[0x0f, 0x22, 0xe0],
        &[0x0f, 0x22, 0xc0],
        &[0x0f, 0x21, 0xf8],
        &[0x0f, 0x23, 0xf8],
        &[0x0f, 0x30],
        &[0x0f, 0x32],
        &[0x0f, 0x06],
        &[0x0f, 0x08],
        &[0x0f, 0x09],
        &[0x0f, 0x01, 0x3f],
        &[0x48, 0x0f, 0x07],
        &[0x0f, 0x01, 0xf8],
        &[0x0f, 0x01, 0xd1],
        &[0x0f, 0x34],
        &[0x0f, 0x35],
        &[0x0f, 0x01, 0xca],
        &[0x0f, 0x01, 0xcb],
    ];
    for instruction in instructions {
        let registers = Code::new()
            .set(7, BASE)
            .set(0, 0)
            .set(1, 0xc000_0080)
            .set(2, 0);
        let (vector, _) = target.faults(&format!("{instruction:x?}"), registers.bytes(instruction));
        assert!([6, 13].contains(&vector), "{instruction:x?}: {vector}");
    }
    for call in [[0x0f, 0x01, 0xc1], [0x0f, 0x01, 0xd9], [0x0f, 0x01, 0xd8]] {
        target.attack(
            "vmcall, vmmcall, vmrun",
            Code::new().bytes(&call).call(TELL, &[]),
        );
    }
}

#[test]
fn a_program_that_calls_for_ever_is_ended_in_time() {
    let mut target = Target::new();
    for number in [39, 228, 318, 24] {
        // L: call; jmp L
        let code = Code::new().call(number, &[0, 0, 0, 0, 0, 0]);
        let back = -(code.0.len() as i32 + 5);
        let code = code.bytes(&[0xe9]).bytes(&back.to_le_bytes());
        let end = target.attack("calls for ever", code);
        assert!(matches!(end, End::Kicked(_)), "{number}: {end:?}");
    }
}

/// Random bytes, or pieces of what is nasty, in random order; by a library's program and a process.
#[test]
fn random_code_stays_where_it_is() {
    let rounds = match std::env::var("VMEXIT_SOAK") {
        Ok(_) => 1_000_000,
        Err(_) => 3_000,
    };
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let interesting = [
        0,
        1,
        u64::MAX,
        1 << 47,
        (1 << 47) - 1,
        BASE,
        ENTRY,
        STACK,
        SYSTEM,
        USER_CODE,
        MAILBOX,
        ADD_AT,
        0xfff,
        0x1000,
        1 << 31,
        1 << 63,
        0x7eff_ffff_f000,
        0x7fff_ffff_f000,
    ];
    let mut targets = [Target::new(), Target::process()];
    for round in 0..rounds {
        let target = &mut targets[round % 2];
        let mut code = Code::new();
        for _ in 0..1 + random() % 6 {
            let value = interesting[(random() % interesting.len() as u64) as usize];
            let value = if random() % 4 == 0 {
                value.wrapping_add(random() % 32)
            } else {
                value
            };
            code = match random() % 6 {
                0 => code.bytes(&random().to_le_bytes()),
                1 => code.set((random() % 16) as u8, value),
                2 => code.store(value, random() as u8),
                // A system call with whatever is in the registers.
                3 => code.set(0, random() % 340).bytes(&[0x0f, 0x05]),
                4 => {
                    let mut arguments = [0; 6];
                    for argument in &mut arguments {
                        *argument = interesting[(random() % interesting.len() as u64) as usize];
                    }
                    code.call((random() % 340) as u32, &arguments)
                }
                _ => code.set(3, value).bytes(&[0xff, 0xd3]),
            };
        }
        target.attack(
            &format!("round {round}: {:x?}", code.0),
            code.call(TELL, &[]),
        );
    }
}

/// Frames that a program puts on its stack itself, and goes back from; half of them with a handler
/// for what comes of a refusal.
#[test]
fn a_forged_frame_gives_ring_3_nothing() {
    const SIGACTION: u32 = 13;
    const SIGRETURN: u32 = 15;
    const FRAME: u64 = BASE + 0xa000;
    let rounds = match std::env::var("VMEXIT_SOAK") {
        Ok(_) => 300_000,
        Err(_) => 1_500,
    };
    let mut seed = 0x0519_7e7a_u64;
    let mut random = move || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed
    };
    let interesting = [
        0,
        u64::MAX,
        1 << 47,
        (1 << 47) - 1,
        ENTRY,
        STACK,
        FRAME,
        SYSTEM,
        USER_CODE,
        USER_CODE + 2,
        USER_CODE + 0x40,
        USER_CODE + 0x200,
        EDIT_CODE,
        ADD_AT,
        0x3002,
        1 << 63,
    ];
    let mut target = Target::process();
    for round in 0..rounds {
        let mut frame = [0_u64; 56];
        for word in &mut frame {
            *word = match random() % 3 {
                0 => random(),
                _ => interesting[(random() % interesting.len() as u64) as usize],
            };
        }
        // Often a frame that goes somewhere, with any flags and segments.
        if random() % 2 == 0 {
            frame[22] = if random() % 2 == 0 { ADD_AT } else { USER_CODE };
            frame[21] = STACK;
        }
        let bytes: Vec<u8> = frame.iter().flat_map(|word| word.to_le_bytes()).collect();
        target.machine.user_write(FRAME, &bytes).unwrap();
        let mut code = Code::new();
        if random() % 2 == 0 {
            let at = FRAME + 0x800;
            let flags = 0x0400_0004 | random() & 0xc800_0000;
            let words = [ADD_AT, flags, ADD_AT, random()];
            for (word, index) in words.iter().zip(0..) {
                code = code.store_word(at + index * 8, *word);
            }
            for signal in [4, 7, 8, 11] {
                code = code.call(SIGACTION, &[signal, at, 0, 8]);
            }
        }
        // mov rsp, FRAME + 8: as after the handler's `ret`.
        let rsp = match random() % 8 {
            0 => interesting[(random() % interesting.len() as u64) as usize],
            _ => FRAME + 8,
        };
        let code = code.set(4, rsp).call(SIGRETURN, &[]).call(TELL, &[]);
        target.attack(&format!("round {round}: {frame:x?}"), code);
    }
}
