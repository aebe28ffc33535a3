//! Pipes, and waiting for descriptors.

use crate::bed::Bed;
use crate::files::failed;
use linux::Answer;
use linux::limits::PIPE_BYTES;
use linux_raw_sys::errno::{EAGAIN, EBADF, EFAULT, EINVAL, EPIPE, ESPIPE};
use linux_raw_sys::general::*;

/// Both ends, and where they were written to.
fn pipe(bed: &mut Bed, flags: u32) -> (u64, u64, u64) {
    let at = bed.pages(20);
    assert_eq!(bed.value(__NR_pipe2, &[at, flags.into()]), 0);
    let ends = bed.word(at);
    (ends & 0xffff_ffff, ends >> 32, at)
}

#[test]
fn bytes_go_through_a_pipe_in_order() {
    let mut bed = Bed::new();
    let (reader, writer, at) = pipe(&mut bed, O_CLOEXEC);
    assert_eq!((reader, writer), (3, 4));
    assert_eq!(bed.value(__NR_fcntl, &[writer, F_GETFD.into()]), 1);
    bed.write(at, b"abcdef");
    assert_eq!(bed.value(__NR_write, &[writer, at, 4]), 4);
    assert_eq!(bed.value(__NR_write, &[writer, at + 4, 2]), 2);
    assert_eq!(bed.value(__NR_read, &[reader, at + 100, 3]), 3);
    assert_eq!(bed.value(__NR_read, &[reader, at + 103, 100]), 3);
    assert_eq!(bed.read(at + 100, 6), b"abcdef");
    assert_eq!(bed.value(__NR_write, &[reader, at, 1]), failed(EBADF));
    assert_eq!(bed.value(__NR_read, &[writer, at, 1]), failed(EBADF));
    assert_eq!(bed.value(__NR_pread64, &[reader, at, 1, 0]), failed(ESPIPE));
    assert_eq!(
        bed.value(__NR_pwrite64, &[writer, at, 1, 0]),
        failed(ESPIPE)
    );
    assert_eq!(bed.value(__NR_lseek, &[reader, 0, 0]), failed(ESPIPE));
    assert_eq!(bed.value(__NR_pipe2, &[at, 1]), failed(EINVAL));
    assert_eq!(bed.value(__NR_pipe2, &[16, 0]), failed(EFAULT));
    assert_eq!(
        bed.value(__NR_dup, &[reader]),
        5,
        "nothing is left of the pipe that failed"
    );
}

#[test]
fn a_pipe_without_the_other_end_is_over() {
    let mut bed = Bed::new();
    let (reader, writer, at) = pipe(&mut bed, 0);
    let (second, other, _) = pipe(&mut bed, 0);
    assert_eq!(bed.value(__NR_write, &[writer, at, 4]), 4);
    assert_eq!(bed.value(__NR_close, &[writer]), 0);
    assert_eq!(bed.value(__NR_read, &[reader, at, 9]), 4);
    assert_eq!(bed.value(__NR_read, &[reader, at, 9]), 0);
    assert_eq!(bed.value(__NR_close, &[second]), 0);
    assert_eq!(bed.value(__NR_write, &[other, at, 1]), failed(EPIPE));
}

#[test]
fn a_pipe_has_a_bound_and_waiting_is_the_hosts() {
    let mut bed = Bed::new();
    let (reader, writer, at) = pipe(&mut bed, 0);
    let all = PIPE_BYTES as u64;
    assert_eq!(bed.answer(__NR_read, &[reader, at, 1]), Answer::Ask);
    assert_eq!(
        bed.value(__NR_write, &[writer, at, all + 100]),
        all.cast_signed()
    );
    assert_eq!(bed.answer(__NR_write, &[writer, at, 1]), Answer::Ask);
    let nonblocking = u64::from(O_NONBLOCK);
    assert_eq!(
        bed.value(__NR_fcntl, &[writer, F_SETFL.into(), nonblocking]),
        0
    );
    assert_eq!(bed.value(__NR_write, &[writer, at, 1]), failed(EAGAIN));
    assert_eq!(bed.value(__NR_read, &[reader, at, all]), all.cast_signed());
    assert_eq!(
        bed.value(__NR_fcntl, &[reader, F_SETFL.into(), nonblocking]),
        0
    );
    assert_eq!(bed.value(__NR_read, &[reader, at, 1]), failed(EAGAIN));
}

#[test]
fn a_read_that_faults_takes_nothing_out_of_a_pipe() {
    let mut bed = Bed::new();
    let (reader, writer, at) = pipe(&mut bed, 0);
    bed.write(at, b"kept");
    assert_eq!(bed.value(__NR_write, &[writer, at, 4]), 4);
    assert_eq!(bed.value(__NR_read, &[reader, 0x100, 4]), failed(EFAULT));
    assert_eq!(bed.value(__NR_read, &[reader, at + 8, 4]), 4);
    assert_eq!(bed.read(at + 8, 4), b"kept");
}

/// What `poll` returns, and says of each descriptor.
fn poll(bed: &mut Bed, at: u64, asked: &[(i32, u32)], time: i32) -> (Answer, Vec<u32>) {
    for (index, (descriptor, events)) in (0..).zip(asked) {
        bed.write(at + index * 8, &descriptor.to_le_bytes());
        bed.write(at + index * 8 + 4, &events.to_le_bytes());
    }
    let count = asked.len() as u64;
    let answer = bed.answer(__NR_poll, &[at, count, i64::from(time).cast_unsigned()]);
    let told = (0..count).map(|index| {
        let bytes = bed.read(at + index * 8 + 6, 2);
        u32::from(u16::from_le_bytes([bytes[0], bytes[1]]))
    });
    (answer, told.collect())
}

#[test]
fn poll_tells_what_is_ready() {
    let mut bed = Bed::new();
    let (_, _, at) = pipe(&mut bed, 0);
    let file = i32::try_from(bed.value(__NR_memfd_create, &[at + 100, 0])).unwrap();
    let both = POLLIN | POLLOUT;
    let asked = [
        (3, both),
        (4, both),
        (file, both),
        (99, both),
        (-1, both),
        (2, POLLOUT),
    ];
    let (answer, told) = poll(&mut bed, at, &asked, -1);
    assert_eq!(answer, Answer::Value(4));
    assert_eq!(told, [0, POLLOUT, both, POLLNVAL, 0, POLLOUT]);
    assert_eq!(bed.value(__NR_write, &[4, at, 1]), 1);
    assert_eq!(poll(&mut bed, at, &[(3, both)], 0).1, [POLLIN]);
    bed.value(__NR_close, &[4]);
    assert_eq!(poll(&mut bed, at, &[(3, POLLIN)], 0).1, [POLLIN | POLLHUP]);
    bed.value(__NR_pipe, &[at]);
    bed.value(__NR_close, &[4]);
    let (answer, told) = poll(&mut bed, at, &[(6, 0)], -1);
    assert_eq!((answer, told), (Answer::Value(1), vec![POLLERR]));
}

#[test]
fn poll_waits_at_the_hosts() {
    let mut bed = Bed::new();
    let (reader, _, at) = pipe(&mut bed, 0);
    let reader = i32::try_from(reader).unwrap();
    assert_eq!(
        poll(&mut bed, at, &[(reader, POLLIN)], 0).0,
        Answer::Value(0)
    );
    assert_eq!(poll(&mut bed, at, &[(reader, POLLIN)], 5).0, Answer::Ask);
    assert_eq!(poll(&mut bed, at, &[(0, POLLIN)], 0).0, Answer::Ask);
    // So Rust's standard library finds out whether its streams are open.
    let streams = [(0, 0), (1, 0), (2, 0)];
    assert_eq!(
        poll(&mut bed, at, &streams, 0),
        (Answer::Value(0), vec![0; 3])
    );
    bed.write(at + 64, &[0; 16]);
    assert_eq!(bed.value(__NR_ppoll, &[at, 1, at + 64, 0, 8]), 0);
    assert_eq!(bed.answer(__NR_ppoll, &[at, 0, 0, 0, 8]), Answer::Ask);
    assert_eq!(bed.value(__NR_ppoll, &[at, 1, 8, 0, 8]), failed(EFAULT));
    assert_eq!(bed.value(__NR_poll, &[at, 1025, 0]), failed(EINVAL));
    assert_eq!(bed.value(__NR_poll, &[u64::MAX, 1, 0]), failed(EFAULT));
}

/// What `select` returns, and has left in its sets.
fn select(bed: &mut Bed, at: u64, count: u64, sets: [u64; 3]) -> (Answer, [u64; 3]) {
    bed.write(at, &sets.map(u64::to_le_bytes).concat());
    let answer = bed.answer(__NR_select, &[count, at, at + 8, at + 16, at + 64]);
    (answer, [0, 8, 16].map(|offset| bed.word(at + offset)))
}

#[test]
fn select_tells_what_is_ready() {
    let mut bed = Bed::new();
    let (_, _, at) = pipe(&mut bed, 0);
    let (reader, writer) = (1 << 3, 1 << 4);
    let both = reader | writer;
    let pipes = select(&mut bed, at, 5, [both, both, both]);
    assert_eq!(pipes, (Answer::Value(1), [0, writer, 0]));
    assert_eq!(bed.value(__NR_write, &[4, at, 1]), 1);
    let pipes = select(&mut bed, at, 5, [both, both, both]);
    assert_eq!(pipes, (Answer::Value(2), [reader, writer, 0]));
    // Bits from the count on are not looked at, nor changed within their word.
    let pipes = select(&mut bed, at, 4, [reader | 1 << 40, 0, 0]);
    assert_eq!(pipes.0, Answer::Value(1));
    bed.value(__NR_close, &[4]);
    assert_eq!(bed.value(__NR_read, &[3, at + 128, 1]), 1);
    // The end of a pipe can be read.
    let pipes = select(&mut bed, at, 4, [reader, 0, reader]);
    assert_eq!(pipes, (Answer::Value(1), [reader, 0, 0]));
    let none = Answer::from(linux::Errno::EBADF);
    assert_eq!(select(&mut bed, at, 5, [writer, 0, 0]).0, none);
}

#[test]
fn select_waits_at_the_hosts() {
    let mut bed = Bed::new();
    let (_, _, at) = pipe(&mut bed, 0);
    let set =
        |time: [u64; 2], bed: &mut Bed| bed.write(at + 64, &time.map(u64::to_le_bytes).concat());
    set([0, 5], &mut bed);
    let waits = (Answer::Ask, [1 << 3, 0, 0]);
    assert_eq!(select(&mut bed, at, 4, [1 << 3, 0, 0]), waits);
    set([0, 0], &mut bed);
    let nothing = (Answer::Value(0), [0; 3]);
    assert_eq!(select(&mut bed, at, 4, [1 << 3, 0, 0]), nothing);
    assert_eq!(select(&mut bed, at, 1, [1, 0, 0]).0, Answer::Ask);
    assert_eq!(bed.answer(__NR_select, &[0; 5]), Answer::Ask);
    assert_eq!(bed.answer(__NR_pselect6, &[0; 6]), Answer::Ask);
    // A `timeval` may have more than a second of microseconds, a `timespec` not of nanoseconds.
    set([0, 3_000_000_000], &mut bed);
    let timed = [0, 0, 0, 0, at + 64, 0];
    assert_eq!(bed.answer(__NR_select, &timed), Answer::Ask);
    assert_eq!(bed.value(__NR_pselect6, &timed), failed(EINVAL));
    set([0, u64::MAX], &mut bed);
    assert_eq!(bed.value(__NR_select, &timed), failed(EINVAL));
    assert_eq!(bed.value(__NR_select, &[u64::MAX]), failed(EINVAL));
    assert_eq!(bed.value(__NR_select, &[9, 8, 0, 0, 0]), failed(EFAULT));
    assert_eq!(
        bed.value(__NR_pselect6, &[0, 0, 0, 0, 0, 8]),
        failed(EFAULT)
    );
}
