//! System calls by the hundred from a table in the program's memory.

use std::time::{Duration, Instant};

use vmm::{End, Machine, UserStop};

use super::{BASE, Code, ENTRY, TELL, call, run_for};

/// Calls of one batch, and where they lie.
pub const CALLS: u64 = 200;
pub const TABLE: u64 = 0x6000_0000_0000;
/// A number and six arguments.
pub const ENTRY_BYTES: u64 = 56;
pub const DATA: u64 = TABLE + 0x1_0000;
const DATA_BYTES: u64 = 0x8000;
/// What a batch takes at most; one that has overwritten its own code may never end.
const TIME: Duration = Duration::from_millis(300);
/// How late a loaded host may be.
const GRACE: Duration = Duration::from_secs(300);
const ENOSYS: u64 = 38;

/// A xorshift generator: the same numbers each time.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub fn argument(&mut self) -> u64 {
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

/// How the batch ends: true if each of its calls came back.
pub fn attempt(machine: &mut Machine) -> bool {
    loop {
        let start = Instant::now();
        let outcome = run_for(machine, TIME);
        assert!(start.elapsed() < TIME + GRACE, "{outcome:?}");
        match machine.user_stop() {
            Some(UserStop::Call { number, .. }) if *number == u64::from(TELL) => return true,
            Some(UserStop::Call { .. }) => machine.user_answer(ENOSYS.wrapping_neg()).unwrap(),
            Some(UserStop::Exit { .. } | UserStop::Killed { .. }) => return false,
            Some(other) => panic!("{other:?}"),
            None => {
                let is_ended = matches!(outcome.end, End::Fault(_) | End::Kicked(_));
                assert!(is_ended, "{outcome:?}");
                return false;
            }
        }
    }
}

/// Maps what a batch needs, and puts what makes its calls at the program's start.
pub fn prepare(machine: &mut Machine) {
    call(machine);
    machine.user_map(TABLE, 0x1_0000).unwrap();
    machine.user_map(DATA, DATA_BYTES).unwrap();
    machine.user_write(ENTRY, &caller()).unwrap();
    let mut registers = machine.registers().unwrap();
    registers.rip = ENTRY;
    machine.set_registers(&registers).unwrap();
}

pub fn batches(few: u64) -> u64 {
    match std::env::var("VMEXIT_SOAK") {
        Ok(_) => 1_000_000 / CALLS,
        Err(_) => few,
    }
}

/// RAX after each call; nothing if the program has unmapped it.
pub fn results(machine: &mut Machine) -> Option<Vec<i64>> {
    let mut table = vec![0; (CALLS * ENTRY_BYTES) as usize];
    machine.user_read(TABLE, &mut table).ok()?;
    let entries = table.chunks_exact(ENTRY_BYTES as usize);
    let values = entries.map(|entry| i64::from_le_bytes(entry[..8].try_into().unwrap()));
    Some(values.collect())
}
