//! The calls that a static program makes which says hello.

use crate::bed::Bed;
use linux::Answer;
use linux_raw_sys::general::*;

#[test]
fn musl_and_glibc_get_through_their_start() {
    let mut bed = Bed::new();
    let at = bed.pages(1);
    let top = bed.value(__NR_brk, &[0]).cast_unsigned();
    assert_eq!(top, bed.loaded.brk);
    assert_eq!(
        bed.value(__NR_brk, &[top + 0xd40]).cast_unsigned(),
        top + 0xd40
    );
    bed.write(top, &[7; 0xd40]);
    assert_eq!(bed.value(__NR_arch_prctl, &[0x1002, top + 0x380]), 0);
    assert_eq!(bed.thread.fs_base, top + 0x380);
    assert!(bed.value(__NR_set_tid_address, &[top]) > 0);
    assert_eq!(bed.value(__NR_set_robust_list, &[top, 24]), 0);
    assert_eq!(bed.value(__NR_rseq, &[top, 32, 0, 0x5305_3053]), -38);
    assert_eq!(bed.value(__NR_prlimit64, &[0, 3, 0, at]), 0);
    assert_eq!(bed.word(at), 8 << 20);
    assert_eq!(
        bed.answer(__NR_readlinkat, &[AT_FDCWD as u64, at, at, 100]),
        Answer::Ask
    );
    assert_eq!(bed.value(__NR_getrandom, &[at, 8, 1]), 8);
    assert_eq!(bed.read(at, 8), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(
        bed.value(__NR_brk, &[top + 0x2_2000]).cast_unsigned(),
        top + 0x2_2000
    );
    assert_eq!(bed.value(__NR_mprotect, &[at, 0x1000, 1]), 0);
    assert_eq!(
        bed.value(__NR_newfstatat, &[1, 0, top, u64::from(AT_EMPTY_PATH)]),
        0
    );
    assert_eq!(bed.value(__NR_ioctl, &[1, 0x5413, top]), -25);
    assert_eq!(bed.answer(__NR_write, &[1, at, 5]), Answer::Ask);
    assert_eq!(
        bed.answer(__NR_exit_group, &[0x1_0003]),
        Answer::Exit { code: 3 }
    );
    assert_eq!(
        bed.answer(__NR_exit, &[u64::MAX]),
        Answer::Exit { code: 255 }
    );
    assert_eq!(bed.kernel.counts()[__NR_brk as usize], 3);
}

#[test]
fn what_only_the_host_can_answer_is_asked() {
    let mut bed = Bed::new();
    for number in [
        __NR_openat,
        __NR_nanosleep,
        __NR_pause,
        __NR_kill,
        __NR_tgkill,
        __NR_socket,
        __NR_clone,
        __NR_fork,
        __NR_execve,
        __NR_unlink,
        9999,
        u32::MAX,
    ] {
        assert_eq!(bed.answer(number, &[]), Answer::Ask, "{number}");
    }
    for number in [
        __NR_read,
        __NR_readv,
        __NR_writev,
        __NR_lseek,
        __NR_ftruncate,
    ] {
        assert_eq!(bed.answer(number, &[0, 0, 0]), Answer::Ask, "{number}");
    }
    // An import's number is an address.
    let call = linux::Call {
        number: 0x5500_0000_2000,
        arguments: [0; 6],
    };
    assert_eq!(bed.call(&call), Answer::Ask);
    assert_eq!(bed.kernel.counts().last(), Some(&3));
}
