//! Port I/O of ring 3: every port exits, whatever bytes the payload has and wherever it has them.
#![allow(clippy::unwrap_used, clippy::panic)] // in helpers of tests a panic is the report

#[macro_use]
mod common;

use common::{CONSOLE, USER, config, exit, exit_code, machine, port, read, run};
use vmm::{End, Exit, Machine, MachineConfig, PortAccess, RouteTarget};

/// A 64-bit "Hello, world!" as a compiler leaves it: a store to 0x400 and `hlt` follow the text.
/// Its bytes at 0x66, where a TSS at address 0 would have the offset of its I/O bitmap, are the end
/// of a function and the text's first letter.
const HELLO: &str = "
    55 48 89 e5 48 83 ec 10 48 c7 45 f8 67 00 00 00 ; push %rbp; mov %rsp,%rbp; sub $16,%rsp; movq $0x67,-8(%rbp)
    eb 1b 48 8b 45 f8 0f b6 00 0f b6 c0 89 c6       ; jmp 0x2d; mov -8(%rbp),%rax; movzbl (%rax),%eax; mov %eax,%esi
    bf e9 00 00 00 e8 24 00 00 00 48 83 45 f8 01    ; mov $0xe9,%edi; call 0x4c; addq $1,-8(%rbp)
    48 8b 45 f8 0f b6 00 84 c0 75 da                ; mov -8(%rbp),%rax; movzbl (%rax),%eax; test %al,%al; jne 0x12
    b8 00 04 00 00 48 c7 00 2a 00 00 00             ; mov $0x400,%eax; movq $42,(%rax)
    b8 2a 00 00 00 f4 eb f8                         ; mov $42,%eax; hlt; jmp 0x44
    55 48 89 e5 89 fa 89 f0 66 89 55 fc 88 45 f8    ; push %rbp; mov %rsp,%rbp; mov %dx,-4(%rbp); mov %al,-8(%rbp)
    0f b6 45 f8 0f b7 55 fc ee 90 5d c3             ; movzbl -8(%rbp),%eax; movzwl -4(%rbp),%edx; out %al,(%dx); ret
    48 65 6c 6c 6f 2c 20 77 6f 72 6c 64 21 0a 00    ; 'Hello, world!'
";

const OUT_10: &str = "
    e6 10 ; out %al,$0x10
";

/// The machine's memory begins with `image`, but for the code at its first byte.
fn filled(code: &str, mut image: Vec<u8>) -> Machine {
    let code = common::code(code);
    image[..code.len()].copy_from_slice(&code);
    let mut config = config(USER, "", &[port(0xe9, 1, CONSOLE)]);
    config.payload.image = image.into();
    Machine::new(config).unwrap()
}

/// The first exit is the `out` to port 0x10.
#[track_caller]
fn assert_reaches_port_10(mut machine: Machine, memory: &str) {
    let outcome = run(&mut machine);
    let Exit::PioOut(PortAccess { port, size, .. }) = exit(&outcome) else {
        panic!("{memory}: {:?}", outcome.end);
    };
    assert_eq!((*port, *size), (0x10, 1), "{memory}");
}

fn memory_bytes() -> usize {
    MachineConfig::new(USER.0, vec![0]).memory_bytes as usize
}

#[test]
fn bytes_where_a_tss_at_0_would_be_close_no_port() {
    require!(USER);
    // An offset beyond every limit; one into the payload with the port's bit set; a zero with it
    // set there.
    let cases: [&[(usize, u8)]; 4] = [
        &[(0x66, 0xff), (0x67, 0xff)],
        &[(0x66, 0x68), (0x6a, 0xff)],
        &[(0x02, 0xff)],
        &[],
    ];
    for bytes in cases {
        let mut image = vec![0; 0x100];
        for (at, byte) in bytes {
            image[*at] = *byte;
        }
        assert_reaches_port_10(filled(OUT_10, image), &format!("{bytes:x?}"));
    }
}

#[test]
fn memory_full_of_ones_closes_no_port() {
    require!(USER);
    assert_reaches_port_10(filled(OUT_10, vec![0xff; memory_bytes()]), "0xff");
}

#[test]
fn memory_full_of_noise_closes_no_port() {
    require!(USER);
    for seed in 1..=8u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let next = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        let image = (0..memory_bytes()).map(next).collect();
        assert_reaches_port_10(filled(OUT_10, image), &format!("seed {seed}"));
    }
}

#[test]
fn a_compiled_hello_world_prints_from_memory_full_of_ones() {
    require!(USER);
    let mut machine = filled(HELLO, vec![0xff; memory_bytes()]);
    let outcome = run(&mut machine);
    assert_eq!(outcome.output.bytes, b"Hello, world!\n");
    // Ring 3 may not halt.
    assert!(
        matches!(&outcome.end, End::Fault(fault) if fault.vector == 13),
        "{outcome:?}"
    );
    assert_eq!(read(&machine, 0x400), 42u64.to_le_bytes());
}

#[test]
fn the_first_and_the_last_port_are_open_in_every_size() {
    require!(USER);
    const GUEST: &str = "
        31 d2       ; xor %edx,%edx
        ee          ; out %al,(%dx)
        66 ef       ; out %ax,(%dx)
        ef          ; out %eax,(%dx)
        ba ff ff 00 00 ; mov $0xffff,%edx
        ee          ; out %al,(%dx)
        ec          ; in (%dx),%al
        ff ca       ; dec %edx
        66 ef       ; out %ax,(%dx)
        83 ea 02    ; sub $2,%edx
        ef          ; out %eax,(%dx)
        ed          ; in (%dx),%eax
        b0 2a       ; mov $42,%al
        e6 f4       ; out %al,$0xf4
    ";
    let target = RouteTarget::Constant(0);
    let routes = [
        port(0, 4, target),
        port(0xfffc, 4, target),
        port(0xf4, 1, RouteTarget::Stop),
    ];
    let mut machine = machine(USER, GUEST, &routes);
    assert_eq!(exit_code(&run(&mut machine)), 42);
}
