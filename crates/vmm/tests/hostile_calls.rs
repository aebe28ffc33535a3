//! System calls with numbers, pointers and lengths at random: each comes back with a value or an
//! errno, or ends the program, and the host is as before. `VMEXIT_SOAK=1` tries a million.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

mod native;

use native::random::{CALLS, Chance, TABLE, attempt, batches, prepare, results};
use native::{Code, TELL, machine};

fn batch(chance: &mut Chance) -> Vec<u8> {
    let mut words = Vec::new();
    for _ in 0..CALLS {
        // Not so often the calls that end a program: exit, exit_group.
        let number = match chance.below(340) {
            60 | 231 if chance.below(50) != 0 => 39,
            number => number,
        };
        words.push(if chance.below(64) == 0 {
            chance.next()
        } else {
            number
        });
        words.extend([(); 6].map(|()| chance.argument()));
    }
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn system_calls_at_random_come_back_or_end_the_program() {
    let batches = batches(25);
    let mut chance = Chance(0xca11_5eed);
    let mut machine = machine(&Code::new().call(TELL, &[]).0);
    prepare(&mut machine);
    let snapshot = machine.snapshot().unwrap();
    let before = descriptors();
    let mut finished = 0;
    for turn in 0..batches {
        machine.restore(&snapshot).unwrap();
        machine.user_write(TABLE, &batch(&mut chance)).unwrap();
        if !attempt(&mut machine) {
            continue;
        }
        finished += 1;
        let Some(results) = results(&mut machine) else {
            continue;
        };
        // The last one cannot be overwritten by another call.
        let value = results.last().unwrap();
        assert!(*value > -4096, "batch {turn}: {value}");
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
    assert_eq!(results(&mut machine).unwrap()[0], 2);
}
