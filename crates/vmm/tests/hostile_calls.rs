//! System calls with numbers, pointers and lengths at random: each comes back with a value or an
//! errno, or ends the program, and the host is as before. `VMEXIT_SOAK=1` tries a million.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

mod native;

use std::time::{Duration, Instant};

use native::{BASE, Code, ENTRY, TELL, call, machine, run_for};
use vmm::{End, Machine, UserStop};

/// Calls of one batch, and where they lie.
const CALLS: u64 = 200;
const TABLE: u64 = 0x6000_0000_0000;
/// A number and six arguments.
const ENTRY_BYTES: u64 = 56;
const DATA: u64 = TABLE + 0x1_0000;
const DATA_BYTES: u64 = 0x8000;
/// What a batch takes at most; one that has overwritten its own code may never end.
const TIME: Duration = Duration::from_millis(300);
/// How late a loaded host may be.
const GRACE: Duration = Duration::from_secs(20);
const ENOSYS: u64 = 38;

struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn argument(&mut self) -> u64 {
        const EDGES: [u64; 14] = [
            0,
            0x1000,
            0x1_0000,
            BASE,
            0xfe00_0000,
            0xfea0_1000,
            0xff00_0000,
            1 << 31,
            1 << 32,
            TABLE,
            0x7f00_0000_0000,
            0x7fff_0000_0000,
            1 << 47,
            1 << 63,
        ];
        let edge = EDGES[self.below(EDGES.len() as u64) as usize];
        match self.below(8) {
            0 => self.next(),
            1 => edge.wrapping_add(self.below(3)),
            2 => edge.wrapping_sub(self.below(0x1002)),
            3 | 4 => self.below(12),
            5 => self.below(32) << 12,
            _ => DATA + self.below(DATA_BYTES),
        }
    }

    fn batch(&mut self) -> Vec<u8> {
        let mut words = Vec::new();
        for _ in 0..CALLS {
            // Not so often the calls that end a program: exit, exit_group.
            let number = match self.below(340) {
                60 | 231 if self.below(50) != 0 => 39,
                number => number,
            };
            words.push(if self.below(64) == 0 {
                self.next()
            } else {
                number
            });
            words.extend([(); 6].map(|()| self.argument()));
        }
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }
}

/// Makes each call of the table, and puts its result in the place of its number.
fn caller() -> Vec<u8> {
    // mov rbx, TABLE; mov r12, CALLS
    let mut code = Code::new().set(3, TABLE).set(12, CALLS).0;
    let start = code.len() as i32;
    // mov rax, [rbx]; mov rdi, [rbx + 8]; and so on for rsi, rdx, r10, r8, r9
    code.extend([0x48, 0x8b, 0x03, 0x48, 0x8b, 0x7b, 8, 0x48, 0x8b, 0x73, 16]);
    code.extend([
        0x48, 0x8b, 0x53, 24, 0x4c, 0x8b, 0x53, 32, 0x4c, 0x8b, 0x43, 40,
    ]);
    code.extend([0x4c, 0x8b, 0x4b, 48]);
    // syscall; mov [rbx], rax; add rbx, 56; dec r12; jnz start
    code.extend([0x0f, 0x05, 0x48, 0x89, 0x03, 0x48, 0x83, 0xc3, 56]);
    code.extend([0x49, 0xff, 0xcc, 0x0f, 0x85]);
    let back = start - (code.len() as i32 + 4);
    code.extend(back.to_le_bytes());
    Code(code).call(TELL, &[]).0
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How the batch ends: true if each of its calls came back.
fn attempt(machine: &mut Machine) -> bool {
    loop {
        let start = Instant::now();
        let outcome = run_for(machine, TIME);
        assert!(start.elapsed() < TIME + GRACE, "{outcome:?}");
        match machine.user_stop() {
            Some(UserStop::Call { number, .. }) if *number == u64::from(TELL) => return true,
            Some(UserStop::Call { .. }) => machine.user_answer(ENOSYS.wrapping_neg()).unwrap(),
            Some(UserStop::Exit { .. }) => return false,
            Some(other) => panic!("{other:?}"),
            None => {
                let is_ended = matches!(outcome.end, End::Fault(_) | End::Kicked(_));
                assert!(is_ended, "{outcome:?}");
                return false;
            }
        }
    }
}

#[test]
fn system_calls_at_random_come_back_or_end_the_program() {
    let batches = match std::env::var("VMEXIT_SOAK") {
        Ok(_) => 1_000_000 / CALLS,
        Err(_) => 25,
    };
    let mut chance = Chance(0xca11_5eed);
    let mut machine = machine(&Code::new().call(TELL, &[]).0);
    call(&mut machine);
    machine.user_map(TABLE, 0x1_0000).unwrap();
    machine.user_map(DATA, DATA_BYTES).unwrap();
    machine.user_write(ENTRY, &caller()).unwrap();
    let mut registers = machine.registers().unwrap();
    registers.rip = ENTRY;
    machine.set_registers(&registers).unwrap();
    let snapshot = machine.snapshot().unwrap();
    let before = descriptors();
    let mut finished = 0;
    for batch in 0..batches {
        machine.restore(&snapshot).unwrap();
        machine.user_write(TABLE, &chance.batch()).unwrap();
        if !attempt(&mut machine) {
            continue;
        }
        finished += 1;
        let mut results = vec![0; (CALLS * ENTRY_BYTES) as usize];
        if machine.user_read(TABLE, &mut results).is_err() {
            continue;
        }
        // The last one cannot be overwritten by another call.
        let last = results
            .chunks_exact(ENTRY_BYTES as usize)
            .next_back()
            .unwrap();
        let value = i64::from_le_bytes(last[..8].try_into().unwrap());
        assert!(value > -4096, "batch {batch}: {value}");
    }
    assert!(finished > 0, "of {batches} batches");
    assert_eq!(descriptors(), before);
    // All of it works as before.
    machine.restore(&snapshot).unwrap();
    let mut calm = Vec::new();
    for _ in 0..CALLS {
        calm.extend([39, 0, 0, 0, 0, 0, 0].map(u64::to_le_bytes).concat());
    }
    machine.user_write(TABLE, &calm).unwrap();
    assert!(attempt(&mut machine));
    let mut result = [0; 8];
    machine.user_read(TABLE, &mut result).unwrap();
    assert_eq!(u64::from_le_bytes(result), 2);
}
