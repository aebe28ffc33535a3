//! Several vCPUs post through one ring of the kernel's while one of them drains it slowly: nothing
//! is lost.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::{Answer, Question};
use common::{LIMITS, LONG, config, port};
use vmm::{GuestMemory, KickCause, KickHandle, Machine, RouteTarget};

const COALESCE: RouteTarget = RouteTarget::Coalesce { read_value: None };

/// The first vCPU asks port 0x60 again and again. The second writes 0, 1, 2, … as far as the word
/// at 0x500 lets it, each to port 0x200 and the number's byte in the table at 0x10000, and says at
/// 0x504 how many it has written.
const SCENE: &str = "
    85 ff                   ; test %edi,%edi
    75 04                   ; jne 2f
    e6 60                   ; 1: out %al,$0x60
    eb fc                   ; jmp 1b
    31 c9                   ; 2: xor %ecx,%ecx
    3b 0c 25 00 05 00 00    ; 3: cmp 0x500,%ecx
    73 f7                   ; jae 3b
    0f b6 91 00 00 01 00    ; movzbl 0x10000(%rcx),%edx
    81 c2 00 02 00 00       ; add $0x200,%edx
    89 c8                   ; mov %ecx,%eax
    ef                      ; out %eax,(%dx)
    ff c1                   ; inc %ecx
    89 0c 25 04 05 00 00    ; mov %ecx,0x504
    eb dc                   ; jmp 3b
";
const LIMIT_GPA: u64 = 0x500;
const WRITTEN_GPA: u64 = 0x504;
const TABLE_GPA: u64 = 0x1_0000;

/// Entries of the kernel's ring, of which one stays free.
const RING: u32 = 170;

/// What a kernel lets through in any case before it exits.
const CHUNK: u32 = 85;

/// So many wait in the ring of each of these two routes, that the next rings the bell.
const UNBELLED: u32 = vmm::limits::QUEUE_BELL_EVENTS as u32 - 1;

/// Their distances from port 0x200.
const FIRST_BELL: u8 = 4;
const SECOND_BELL: u8 = 8;

/// Lets the second vCPU write so many more, and waits until it has.
fn let_write(memory: &GuestMemory, more: u32) {
    let word = |gpa| {
        let mut bytes = [0; 4];
        memory.read(gpa, &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    };
    let limit = word(LIMIT_GPA) + more;
    memory.write(LIMIT_GPA, &limit.to_le_bytes()).unwrap();
    let begin = Instant::now();
    while word(WRITTEN_GPA) < limit && begin.elapsed() < Duration::from_secs(300) {
        thread::yield_now();
    }
}

#[test]
fn a_ring_that_is_refilled_while_its_front_comes_round_loses_nothing() {
    require!(LONG);
    let routes = [
        port(0x60, 1, RouteTarget::Device),
        port(0x200, 4, COALESCE),
        port(0x204, 4, COALESCE),
        port(0x208, 4, COALESCE),
    ];
    let mut config = config(LONG, SCENE, &routes);
    config.vcpus = 2;
    let mut machine = Machine::new(config).unwrap();
    // Two rings one short of their bells, then some more, so that the kernel's ring begins in its
    // middle.
    let start = 2 * UNBELLED + CHUNK;
    let at = start % RING;
    let mut table = vec![0u8; 4096];
    table[..UNBELLED as usize].fill(FIRST_BELL);
    table[UNBELLED as usize..2 * UNBELLED as usize].fill(SECOND_BELL);
    // The draining vCPU rings the first bell shortly before the ring's end, the second with its
    // last entry.
    table[(start + 160 - at) as usize] = FIRST_BELL;
    table[(start + RING - 1 - at) as usize] = SECOND_BELL;
    let memory = machine.memory().clone();
    memory.write(TABLE_GPA, &table).unwrap();
    let feeds = machine.feeds();
    let kick = KickHandle::new();
    let (kicker, turns, bells) = (kick.clone(), AtomicU32::new(0), AtomicU32::new(0));
    let drains = |question: Question<'_>| {
        match question {
            Question::Write { .. } => match turns.fetch_add(1, Ordering::SeqCst) {
                turn if turn < start / CHUNK => let_write(&memory, CHUNK),
                turn if turn == start / CHUNK => let_write(&memory, RING - 1),
                _ => kicker.kick(KickCause::Stop),
            },
            // The ring fills to 163, then, its front being at 0, by more than there is room for.
            Question::Posted => match bells.fetch_add(1, Ordering::SeqCst) {
                0 => let_write(&memory, 70),
                1 => let_write(&memory, 30),
                _ => {}
            },
            _ => {}
        }
        Answer::Done
    };
    type Handler<'a> = Box<dyn FnMut(Question<'_>) -> Answer + Send + 'a>;
    let handlers: [Handler<'_>; 2] = [Box::new(drains), Box::new(|_| Answer::Done)];
    let mut handlers = common::handlers(handlers);
    machine.run_together(&kick, LIMITS, &mut handlers).unwrap();
    let mut values = Vec::new();
    for (_, feed) in &feeds {
        let events = feed.drain();
        assert!(events.is_sorted_by_key(|event| event.value));
        values.extend(events.iter().map(|event| event.value));
    }
    values.sort_unstable();
    let mut written = [0; 4];
    memory.read(WRITTEN_GPA, &mut written).unwrap();
    let expected: Vec<u64> = (0..u64::from(u32::from_le_bytes(written))).collect();
    assert_eq!((values.len(), values), (expected.len(), expected));
}

/// Each writes 0, 1, 2, … with its index in the top byte to port 0x200 until the word at 0x500 is
/// reached.
const NUMBERED: &str = "
    66 ba 00 02             ; mov $0x200,%dx
    31 c9                   ; xor %ecx,%ecx
    89 f8                   ; 1: mov %edi,%eax
    c1 e0 18                ; shl $24,%eax
    09 c8                   ; or %ecx,%eax
    ef                      ; out %eax,(%dx)
    ff c1                   ; inc %ecx
    3b 0c 25 00 05 00 00    ; cmp 0x500,%ecx
    75 ed                   ; jne 1b
    f0 ff 04 25 04 05 00 00 ; lock incl 0x504
    83 3c 25 04 05 00 00 04 ; 2: cmpl $4,0x504
    75 f6                   ; jne 2b
    f4                      ; hlt
";

#[test]
fn four_post_to_a_slow_consumer_on_a_busy_host() {
    require!(LONG);
    let count = common::affordable(5000) as u32;
    let mut config = config(LONG, NUMBERED, &[port(0x200, 4, COALESCE)]);
    config.vcpus = 4;
    let mut machine = Machine::new(config).unwrap();
    machine.memory().write(0x500, &count.to_le_bytes()).unwrap();
    let feed = common::feed(&machine);
    let (values, is_over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    let take = || {
        let mut values = values.lock().unwrap();
        values.extend(feed.drain().iter().map(|event| event.value));
    };
    let slow = |question: Question<'_>| {
        if matches!(question, Question::Posted | Question::Full { .. }) {
            thread::sleep(Duration::from_millis(1));
            take();
        }
        Answer::Done
    };
    thread::scope(|scope| {
        let busy = thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..busy {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let handlers = [&slow, &slow, &slow, &slow];
        let outcome =
            machine.run_together(&KickHandle::new(), LIMITS, &mut common::handlers(handlers));
        is_over.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
    take();
    let values = values.into_inner().unwrap();
    for vcpu in 0..4 {
        let own: Vec<u64> = values
            .iter()
            .filter(|value| **value >> 24 == vcpu)
            .copied()
            .collect();
        let expected: Vec<u64> = (0..u64::from(count))
            .map(|number| vcpu << 24 | number)
            .collect();
        assert_eq!((own.len(), own), (expected.len(), expected), "vCPU {vcpu}");
    }
}

#[test]
fn the_kernel_gathers_for_several_where_it_loses_none() {
    require!(LONG);
    for vcpus in [1, 4] {
        let mut config = config(LONG, NUMBERED, &[port(0x200, 4, COALESCE)]);
        config.vcpus = vcpus;
        let mut machine = Machine::new(config).unwrap();
        machine.memory().write(0x500, &80u32.to_le_bytes()).unwrap();
        // A lone vCPU counts as four.
        machine
            .memory()
            .write(0x504, &(4 - vcpus).to_le_bytes())
            .unwrap();
        let feed = common::feed(&machine);
        let handler = |_: Question<'_>| Answer::Done;
        let handlers = vec![&handler; vcpus as usize];
        let outcome = machine
            .run_together(&KickHandle::new(), LIMITS, &mut common::handlers(handlers))
            .unwrap();
        let writes = u64::from(80 * vcpus);
        assert_eq!(feed.drain().len() as u64, writes);
        assert_eq!(common::counts(&machine, 0).writes.get(), writes);
        // The last one's halt, and what has left before for each.
        let gathers = vcpus == 1 || common::probe().shares_coalesced_ring == Some(true);
        let exits = outcome.exits;
        assert!(
            if gathers {
                exits < writes / 2
            } else {
                exits > writes
            },
            "{exits}"
        );
    }
}
