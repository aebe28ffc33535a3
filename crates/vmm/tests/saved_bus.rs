//! What stands on the bus goes back in time with its machine: what was not handed over when a
//! snapshot was taken comes again, and what was never does.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use std::time::Duration;

use common::{
    Answer, CONSOLE, DELIVER, LONG, Question, REAL, config, exit, exit_code, port, run, set,
};
use vmm::limits::MAX_QUEUED_EVENTS;
use vmm::{
    End, ErrorCode, Exit, KickCause, KickHandle, Machine, MachineConfig, RouteConfig, RouteTarget,
    RunLimits, Snapshot,
};

const QUEUE: RouteTarget = RouteTarget::Queue { read_value: None };
const COALESCE: RouteTarget = RouteTarget::Coalesce { read_value: None };
const EVENT: RouteTarget = RouteTarget::Event { datamatch: None };
const PROMPT: u16 = 0x10;

/// In each round a number goes everywhere, what COM1 has received goes into the queue, and a device
/// is asked.
const ROUNDS: &str = "
    89 c8          ; 1: mov %ecx,%eax
    e6 e9          ; out %al,$0xe9
    e6 ea          ; out %al,$0xea
    e6 20          ; out %al,$0x20
    e6 21          ; out %al,$0x21
    e6 22          ; out %al,$0x22
    66 ba f8 03    ; mov $0x3f8,%dx
    ee             ; out %al,(%dx)
    ec             ; in (%dx),%al
    e6 20          ; out %al,$0x20
    ff c1          ; inc %ecx
    e6 10          ; out %al,$0x10
    eb e6          ; jmp 1b
";

fn rounds() -> Machine {
    let routes = [
        port(0xe9, 1, DELIVER),
        port(0xea, 1, CONSOLE),
        port(0x20, 1, QUEUE),
        port(0x21, 1, COALESCE),
        port(0x22, 1, EVENT),
        port(PROMPT, 1, RouteTarget::Device),
    ];
    let serial = MachineConfig {
        serial: true,
        ..config(LONG, ROUNDS, &routes)
    };
    ready(Machine::new(serial).unwrap())
}

/// The host listens to the serial port.
fn ready(machine: Machine) -> Machine {
    machine.panel().serial.as_ref().unwrap().deliver(true);
    machine
}

/// All that was handed over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Got {
    text: Vec<u8>,
    outcome: Vec<u8>,
    serial: Vec<u8>,
    queue: Vec<u64>,
    coalesced: Vec<u64>,
    count: u64,
}

impl Got {
    fn heard(&mut self, route: usize, bytes: &[u8]) {
        let text = if route == 0 {
            &mut self.text
        } else {
            &mut self.serial
        };
        text.extend(bytes);
    }

    /// Takes what waits in the feeds.
    fn take(&mut self, machine: &Machine) {
        for (route, feed) in machine.feeds() {
            let values = feed.drain().into_iter().map(|write| write.value);
            match route.get() {
                2 => self.queue.extend(values),
                3 => self.coalesced.extend(values),
                _ => self.count += feed.take_count(),
            }
        }
    }
}

/// So many rounds; text is handed over where somebody gets it, posted writes are not. The run ends
/// with an error, so that text stays where it is.
fn go(machine: &mut Machine, rounds: usize, mut got: Option<&mut Got>) {
    let mut left = rounds;
    let failed = common::try_run(machine, &KickHandle::new(), |question| match question {
        Question::Console { route, bytes } => match &mut got {
            Some(got) => {
                got.heard(route, bytes);
                Answer::Done
            }
            None => Answer::Withdrawn,
        },
        Question::Write { .. } => {
            left -= 1;
            if left == 0 {
                Answer::Failed
            } else {
                Answer::Done
            }
        }
        Question::Posted => Answer::Done,
        question => panic!("{question:?}"),
    });
    assert_eq!(failed.unwrap_err().code, ErrorCode::Handler);
}

/// One round more, after which everything is handed over.
fn finish(machine: &mut Machine, got: &mut Got) {
    let kick = KickHandle::new();
    let outcome = common::try_run(machine, &kick, |question| {
        if matches!(question, Question::Write { .. }) {
            kick.kick(KickCause::Stop);
        }
        match question {
            Question::Console { .. } => Answer::Withdrawn,
            _ => Answer::Done,
        }
    });
    let outcome = outcome.unwrap();
    got.take(machine);
    got.outcome.extend(outcome.output.bytes);
    for (route, text) in outcome.undelivered {
        got.heard(route.get() as usize, &text);
    }
}

#[test]
fn what_was_not_handed_over_comes_again_and_what_was_does_not() {
    require!(LONG);
    let mut machine = rounds();
    machine.panel().serial.as_ref().unwrap().input(b"abcdefgh");
    let mut before = Got::default();
    go(&mut machine, 3, Some(&mut before));
    before.take(&machine);
    assert_eq!(before.queue, [0, 97, 1, 98, 2, 99]);
    assert_eq!((&before.text[..], before.count), (&[0, 1, 2][..], 3));
    go(&mut machine, 3, None);
    let base = machine.snapshot().unwrap();
    let expected = Got {
        text: vec![3, 4, 5, 6, 7, 8],
        // Nobody has had an outcome yet.
        outcome: vec![0, 1, 2, 3, 4, 5, 6, 7, 8],
        serial: vec![3, 4, 5, 6, 7, 8],
        queue: vec![3, 100, 4, 101, 5, 102, 6, 103, 7, 104, 8, 0],
        coalesced: vec![3, 4, 5, 6, 7, 8],
        count: 6,
    };
    let on = |machine: &mut Machine, takes_early: bool| {
        let mut got = Got::default();
        if takes_early {
            got.take(machine);
        }
        go(machine, 2, takes_early.then_some(&mut got));
        finish(machine, &mut got);
        got
    };
    assert_eq!(on(&mut machine, false), expected);
    for round in 0..6 {
        machine.panel().serial.as_ref().unwrap().input(b"dropped");
        machine.restore(&base).unwrap();
        assert_eq!(on(&mut machine, round % 2 == 0), expected);
        let mut fork = ready(Machine::from_snapshot(&base, &[]).unwrap());
        assert_eq!(on(&mut fork, round % 2 == 1), expected);
    }
}

#[test]
fn what_nobody_took_comes_once_even_without_a_further_run() {
    require!(LONG);
    let mut machine = rounds();
    go(&mut machine, 2, None);
    let base = machine.snapshot().unwrap();
    let expected = |machine: &mut Machine| {
        let mut got = Got::default();
        got.take(machine);
        got.take(machine);
        assert_eq!((got.queue, got.count), (vec![0, 0, 1, 0], 2));
    };
    expected(&mut machine);
    for _ in 0..3 {
        machine.restore(&base).unwrap();
        expected(&mut machine);
    }
}

/// Numbers to a coalesced port: as many as ECX says, and after a halt a hundred more.
const NUMBERS: &str = "
    31 c0             ; xor %eax,%eax
    e7 40             ; 1: out %eax,$0x40
    ff c0             ; inc %eax
    39 c8             ; cmp %ecx,%eax
    75 f8             ; jne 1b
    f4                ; hlt
    b9 64 00 00 00    ; mov $100,%ecx
    e7 40             ; 1: out %eax,$0x40
    ff c0             ; inc %eax
    e2 fa             ; loop 1b
    eb fe             ; jmp .
";

#[test]
fn what_a_full_ring_had_no_room_for_comes_after_it() {
    require!(LONG);
    let mut machine = common::machine(LONG, NUMBERS, &[port(0x40, 4, COALESCE)]);
    set(&mut machine, |registers| {
        registers.rcx = MAX_QUEUED_EVENTS as u64
    });
    // Until all hundred are written.
    let spin = |machine: &mut Machine| {
        let limits = RunLimits {
            timeout: Some(Duration::from_millis(100)),
            ..RunLimits::default()
        };
        for _ in 0..1000 {
            let outcome = machine.run(&KickHandle::new(), limits, &mut ());
            assert_eq!(outcome.unwrap().end, End::Kicked(KickCause::Timeout));
            if machine.registers().unwrap().rcx == 0 {
                break;
            }
        }
    };
    assert_eq!(
        exit(&common::run_with(&mut machine, |_| Answer::Done)),
        &Exit::Hlt
    );
    let full = machine.snapshot().unwrap();
    // What the kernel has gathered has no room.
    spin(&mut machine);
    let spilled = machine.snapshot().unwrap();
    let feed = common::feed(&machine);
    let take = || {
        let values = feed.drain().into_iter().map(|write| write.value);
        values.collect::<Vec<_>>()
    };
    let all = take();
    assert!(all.iter().copied().eq(0..all.len() as u64));
    assert!(all.len() > MAX_QUEUED_EVENTS, "{}", all.len());
    for _ in 0..3 {
        machine.restore(&full).unwrap();
        assert_eq!(take(), all[..MAX_QUEUED_EVENTS]);
        machine.restore(&spilled).unwrap();
        assert_eq!((take(), take()), (all.clone(), vec![]));
        machine.restore(&full).unwrap();
        spin(&mut machine);
        let again = take();
        assert!(again.len() > MAX_QUEUED_EVENTS);
        assert!(again.iter().copied().eq(0..again.len() as u64));
    }
}

#[test]
fn a_pcs_devices_go_back_too() {
    require!(LONG);
    // The clock's index and memory, and the keyboard controller's self-test.
    const GUEST: &str = "
        b0 40    ; mov $0x40,%al
        e6 70    ; out %al,$0x70
        b0 11    ; mov $0x11,%al
        e6 71    ; out %al,$0x71
        b0 aa    ; mov $0xaa,%al
        e6 64    ; out %al,$0x64
        e6 f4    ; out %al,$0xf4
        e4 60    ; in $0x60,%al
        88 c3    ; mov %al,%bl
        e4 71    ; in $0x71,%al
        88 c7    ; mov %al,%bh
        b0 22    ; mov $0x22,%al
        e6 71    ; out %al,$0x71
        e6 70    ; out %al,$0x70
        e6 f4    ; out %al,$0xf4
    ";
    let pc = MachineConfig {
        pc: true,
        irqchip: true,
        ..config(LONG, GUEST, &[port(0xf4, 1, RouteTarget::Stop)])
    };
    let mut machine = Machine::new(pc).unwrap();
    exit_code(&run(&mut machine));
    let base = machine.snapshot().unwrap();
    let check = |machine: &mut Machine| {
        assert_eq!(exit_code(&run(machine)), 0x22);
        assert_eq!(machine.registers().unwrap().rbx & 0xffff, 0x1155);
    };
    check(&mut machine);
    for _ in 0..2 {
        machine.restore(&base).unwrap();
        check(&mut machine);
        check(&mut Machine::from_snapshot(&base, &[]).unwrap());
    }
}

fn refused(machine: &mut Machine, base: &Snapshot) -> String {
    let error = machine.restore(base).unwrap_err();
    assert_eq!(error.code, ErrorCode::Snapshot);
    error.message
}

#[test]
fn a_machine_with_other_claims_is_refused_and_nothing_changes() {
    require!(LONG);
    let mut machine = rounds();
    go(&mut machine, 1, None);
    let base = machine.snapshot().unwrap();
    go(&mut machine, 1, None);
    let extra: RouteConfig = port(0x50, 2, QUEUE);
    let id = machine.attach(&extra).unwrap();
    assert_eq!(
        refused(&mut machine, &base),
        "this machine has a route at port 0x50..=0x51, and the snapshot has none; detach it first"
    );
    let with_it = machine.snapshot().unwrap();
    machine.detach(id).unwrap();
    assert_eq!(
        refused(&mut machine, &with_it),
        "the snapshot has a route at port 0x50..=0x51, and this machine has none; attach it first"
    );
    let other = RouteConfig {
        target: EVENT,
        length: 1,
        ..extra
    };
    machine.attach(&other).unwrap();
    let another = RouteConfig { length: 1, ..other };
    let counted = machine.snapshot().unwrap();
    let mut got = Got::default();
    got.take(&machine);
    assert_eq!(got.queue, [0, 0, 1, 0], "nothing was changed");
    let id = machine.feeds().last().unwrap().0;
    machine.detach(id).unwrap();
    machine
        .attach(&RouteConfig {
            target: QUEUE,
            ..another
        })
        .unwrap();
    assert_eq!(
        refused(&mut machine, &counted),
        "the snapshot has another kind of route at port 0x50 than this machine"
    );
}

/// Takes COM1's interrupts while it counts down, and says so: 1 ready, 2 in the handler, 3 done.
const SERIAL_GUEST: &str = "
    b0 11       ; mov $0x11,%al
    e6 20       ; out %al,$0x20
    b0 20       ; mov $0x20,%al
    e6 21       ; out %al,$0x21
    b0 04       ; mov $4,%al
    e6 21       ; out %al,$0x21
    b0 01       ; mov $1,%al
    e6 21       ; out %al,$0x21
    b0 ef       ; mov $0xef,%al
    e6 21       ; out %al,$0x21
    ba f9 03    ; mov $0x3f9,%dx
    b0 01       ; mov $1,%al
    ee          ; out %al,(%dx)
    e6 f4       ; out %al,$0xf4
    fb          ; sti
    b9 00 80    ; mov $0x8000,%cx
    e2 fe       ; loop .
    fa          ; cli
    b0 03       ; mov $3,%al
    e6 f4       ; out %al,$0xf4
";

/// Counts at 0x500, identifies the interrupt, and puts the byte to 0x502.
const SERIAL_HANDLER: &str = "
    ff 06 00 05 ; incw 0x500
    b0 02       ; mov $2,%al
    e6 f4       ; out %al,$0xf4
    ba fa 03    ; mov $0x3fa,%dx
    ec          ; in (%dx),%al
    ba f8 03    ; mov $0x3f8,%dx
    ec          ; in (%dx),%al
    a2 02 05    ; mov %al,0x502
    b0 20       ; mov $0x20,%al
    e6 20       ; out %al,$0x20
    cf          ; iret
";

#[test]
fn an_interrupt_of_com1_comes_once_whether_it_waited_or_was_under_way() {
    require!(REAL);
    let mut with_chips = MachineConfig {
        serial: true,
        irqchip: true,
        ..config(REAL, SERIAL_GUEST, &[port(0xf4, 1, RouteTarget::Stop)])
    };
    with_chips.payload.load_gpa = 0x1000;
    with_chips.payload.entry_gpa = Some(0x1000);
    let mut machine = Machine::new(with_chips).unwrap();
    machine.memory().write(0x24 * 4, &[0, 0x11, 0, 0]).unwrap();
    let handler = common::code(SERIAL_HANDLER);
    machine.memory().write(0x1100, &handler).unwrap();
    assert_eq!(exit_code(&run(&mut machine)), 1);
    machine.panel().serial.as_ref().unwrap().input(b"x");
    let waiting = machine.snapshot().unwrap();
    assert_eq!(exit_code(&run(&mut machine)), 2);
    let under_way = machine.snapshot().unwrap();
    let finish = |machine: &mut Machine| {
        assert_eq!(exit_code(&run(machine)), 3);
        assert_eq!(common::read(machine, 0x500), [1, 0, b'x']);
    };
    finish(&mut machine);
    for _ in 0..3 {
        machine.restore(&under_way).unwrap();
        finish(&mut machine);
        machine.restore(&waiting).unwrap();
        assert_eq!(exit_code(&run(&mut machine)), 2);
        finish(&mut machine);
        let mut fork = Machine::from_snapshot(&under_way, &[]).unwrap();
        finish(&mut fork);
        fork.restore(&waiting).unwrap();
        assert_eq!(exit_code(&run(&mut fork)), 2);
        finish(&mut fork);
    }
}
