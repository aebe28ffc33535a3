//! Probing what answers a port, for tests of routes that come and go.

use vmm::{Base, KickHandle, Machine, MachineConfig, RouteConfig, RouteTarget};

use super::{Answer, Asked, LIMITS, LONG, Question, config, exit_code, handler, set};

/// Ends with what it has read.
pub const STOP: RouteConfig = RouteConfig {
    base: Base::Port(0xf4),
    length: 1,
    target: RouteTarget::Stop,
};

/// Writes AL to the port in DX, reads it, stops with what it read, and does so again.
pub const PROBE: &str = "
    ee    ; 1: out %al,(%dx)
    ec    ; in (%dx),%al
    e6 f4 ; out %al,$0xf4
    eb fa ; jmp 1b
";

/// What answers a probe of a port: the value that is read, and the questions that were asked.
pub fn probe(machine: &mut Machine, port: u16) -> (u32, Vec<Asked>) {
    set(machine, |registers| {
        (registers.rip, registers.rax, registers.rdx) = (0, 0x11, port.into());
    });
    let mut asked = Vec::new();
    let mut answer = handler(|question| {
        asked.push(Asked::from(&question));
        match question {
            Question::Read { route, .. } => Answer::Value(0x40 + route as u64 % 0x40),
            _ => Answer::Done,
        }
    });
    let outcome = machine.run(&KickHandle::new(), LIMITS, &mut answer);
    drop(answer);
    (exit_code(&outcome.unwrap()), asked)
}

pub fn pc(routes: &[RouteConfig]) -> Machine {
    Machine::new(MachineConfig {
        irqchip: true,
        serial: true,
        pc: true,
        ..config(LONG, PROBE, routes)
    })
    .unwrap()
}

pub fn ids(machine: &Machine) -> Vec<u32> {
    let routes = machine.counters().routes();
    routes.iter().map(|(id, _)| id.get()).collect()
}
