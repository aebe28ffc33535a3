//! Time, identity, resources and signals.

use crate::bed::{Bed, MEMORY_BYTES};
use crate::files::failed;
use linux::limits::{PAGE, RANDOM_BYTES};
use linux_raw_sys::errno::{EAGAIN, EFAULT, EINVAL, ENOMEM, ENOSYS, EPERM, ESRCH, ETIMEDOUT};
use linux_raw_sys::general::*;

#[test]
fn clocks_tell_the_hosts_time() {
    let mut bed = Bed::new();
    let at = bed.pages(1);
    for (clock, base) in [
        (CLOCK_REALTIME, 1_700_000_000),
        (CLOCK_MONOTONIC, 1000),
        (CLOCK_BOOTTIME, 1000),
        (CLOCK_PROCESS_CPUTIME_ID, 0),
    ] {
        assert_eq!(bed.value(__NR_clock_gettime, &[clock.into(), at]), 0);
        let seconds = bed.word(at);
        assert!((base + 1..base + 10).contains(&seconds), "{seconds}");
        assert_eq!(bed.word(at + 8), 250_000_000);
    }
    assert_eq!(bed.value(__NR_clock_gettime, &[99, at]), failed(EINVAL));
    assert_eq!(bed.value(__NR_clock_gettime, &[0, 8]), failed(EFAULT));
    assert_eq!(bed.value(__NR_clock_getres, &[1, at]), 0);
    assert_eq!((bed.word(at), bed.word(at + 8)), (0, 1));
    assert_eq!(bed.value(__NR_clock_getres, &[1, 0]), 0);
    assert_eq!(bed.value(__NR_gettimeofday, &[at, at + 16]), 0);
    assert_eq!((bed.word(at + 8), bed.word(at + 16)), (250_000, 0));
    assert_eq!(bed.value(__NR_gettimeofday, &[0, 0]), 0);
    let now = bed.value(__NR_time, &[at]);
    assert_eq!(now.cast_unsigned(), bed.word(at));
    assert!(now > 1_700_000_000);
    assert!(bed.value(__NR_times, &[at]) > 100_000);
    assert_eq!(bed.word(at) % 100, 25);
    assert_eq!(bed.value(__NR_getrusage, &[0, at]), 0);
    assert_eq!(bed.word(at + 8), 250_000);
    assert_eq!(bed.value(__NR_getrusage, &[u64::MAX, at]), 0);
    assert_eq!(bed.word(at + 8), 0);
    assert_eq!(bed.value(__NR_getrusage, &[5, at]), failed(EINVAL));
}

#[test]
fn a_program_has_one_process_one_user_and_one_processor() {
    let mut bed = Bed::new();
    let at = bed.pages(1);
    let process = bed.value(__NR_getpid, &[]);
    assert_eq!(bed.value(__NR_gettid, &[]), process);
    assert_ne!(bed.value(__NR_getppid, &[]), process);
    assert_eq!(bed.value(__NR_getpgid, &[process.cast_unsigned()]), process);
    assert_eq!(bed.value(__NR_getsid, &[99]), failed(ESRCH));
    let user = bed.value(__NR_getuid, &[]);
    assert_eq!(bed.value(__NR_getresuid, &[at, at + 4, at + 8]), 0);
    assert_eq!(bed.word(at) & 0xffff_ffff, user.cast_unsigned());
    assert_eq!(bed.value(__NR_getresgid, &[at, at, 3]), failed(EFAULT));
    assert_eq!(bed.value(__NR_sched_getaffinity, &[0, 128, at]), 8);
    assert_eq!(bed.word(at), 1);
    assert_eq!(
        bed.value(__NR_sched_getaffinity, &[0, 7, at]),
        failed(EINVAL)
    );
    assert_eq!(bed.value(__NR_sched_yield, &[]), 0);
    assert_eq!(bed.value(__NR_uname, &[at]), 0);
    assert_eq!(
        (bed.text(at).as_str(), bed.text(at + 65 * 4).as_str()),
        ("Linux", "x86_64")
    );
    assert_eq!(bed.value(__NR_set_robust_list, &[at, 23]), failed(EINVAL));
    assert_eq!(bed.value(__NR_rseq, &[]), failed(ENOSYS));
}

#[test]
fn bases_of_segments_are_addresses_that_a_program_may_have() {
    let mut bed = Bed::new();
    let at = bed.pages(1);
    let (set_gs, set_fs, get_fs, get_gs) = (0x1001, 0x1002, 0x1003, 0x1004);
    assert_eq!(bed.value(__NR_arch_prctl, &[set_fs, 0x1234]), 0);
    assert_eq!(bed.value(__NR_arch_prctl, &[set_gs, 0x5678]), 0);
    assert_eq!((bed.thread.fs_base, bed.thread.gs_base), (0x1234, 0x5678));
    assert_eq!(bed.value(__NR_arch_prctl, &[get_fs, at]), 0);
    assert_eq!(bed.value(__NR_arch_prctl, &[get_gs, at + 8]), 0);
    assert_eq!((bed.word(at), bed.word(at + 8)), (0x1234, 0x5678));
    for base in [0x7fff_ffff_f000, 1 << 47, 0x8000_0000_0000_0000, u64::MAX] {
        assert_eq!(bed.value(__NR_arch_prctl, &[set_fs, base]), failed(EPERM));
        assert_eq!(bed.value(__NR_arch_prctl, &[set_gs, base]), failed(EPERM));
    }
    assert_eq!((bed.thread.fs_base, bed.thread.gs_base), (0x1234, 0x5678));
    assert_eq!(bed.value(__NR_arch_prctl, &[0x3001, at]), failed(EINVAL));
    assert_eq!(bed.value(__NR_arch_prctl, &[get_fs, 1]), failed(EFAULT));
}

#[test]
fn chance_comes_in_bounded_pieces() {
    let mut bed = Bed::new();
    let at = bed.pages(400);
    let most = RANDOM_BYTES.cast_signed();
    assert_eq!(bed.value(__NR_getrandom, &[at, u64::MAX, 0]), most);
    assert_eq!(
        bed.value(__NR_getrandom, &[at + 399 * PAGE, 2 * PAGE, 0]),
        4096
    );
    assert_eq!(bed.value(__NR_getrandom, &[at, 1, 8]), failed(EINVAL));
    assert_eq!(bed.value(__NR_getrandom, &[16, 1, 0]), failed(EFAULT));
    assert_eq!(bed.value(__NR_getrandom, &[16, 0, 0]), 0);
}

#[test]
fn limits_are_told_and_lowered_and_not_raised() {
    let mut bed = Bed::new();
    let at = bed.pages(1);
    let infinity = u64::MAX;
    let read = |bed: &mut Bed, resource: u32| {
        assert_eq!(bed.value(__NR_getrlimit, &[resource.into(), at]), 0);
        [bed.word(at), bed.word(at + 8)]
    };
    assert_eq!(read(&mut bed, RLIMIT_STACK), [8 << 20; 2]);
    assert_eq!(read(&mut bed, RLIMIT_NOFILE), [1024; 2]);
    assert_eq!(read(&mut bed, RLIMIT_AS), [infinity; 2]);
    let set = |bed: &mut Bed, resource: u32, limit: [u64; 2]| {
        bed.write(at, &limit.map(u64::to_le_bytes).concat());
        bed.value(__NR_prlimit64, &[0, resource.into(), at, at + 64])
    };
    assert_eq!(set(&mut bed, RLIMIT_NOFILE, [10, 20]), 0);
    assert_eq!(bed.word(at + 64), 1024);
    assert_eq!(read(&mut bed, RLIMIT_NOFILE), [10, 20]);
    assert_eq!(set(&mut bed, RLIMIT_NOFILE, [10, 21]), failed(EPERM));
    assert_eq!(set(&mut bed, RLIMIT_NOFILE, [3, 2]), failed(EINVAL));
    assert_eq!(set(&mut bed, 16, [1, 1]), failed(EINVAL));
    assert_eq!(bed.value(__NR_prlimit64, &[77, 0, 0, at]), failed(ESRCH));
    assert_eq!(bed.value(__NR_prlimit64, &[0, 0, 5, at]), failed(EFAULT));
    assert_eq!(bed.value(__NR_sysinfo, &[at]), 0);
    assert_eq!(bed.word(at + 32), MEMORY_BYTES);
    assert!(bed.word(at + 40) < MEMORY_BYTES);
}

#[test]
fn what_a_program_says_about_signals_is_remembered() {
    let mut bed = Bed::new();
    let at = bed.pages(1);
    let action = |bed: &mut Bed, signal: u64, new: u64, old: u64| {
        bed.value(__NR_rt_sigaction, &[signal, new, old, 8])
    };
    bed.write(at, &[1, 2, 3, 4].map(u64::to_le_bytes).concat());
    assert_eq!(action(&mut bed, 10, at, at + 64), 0);
    assert_eq!(bed.word(at + 64), 0);
    assert_eq!(action(&mut bed, 10, 0, at + 64), 0);
    assert_eq!(bed.read(at + 64, 32), bed.read(at, 32));
    for signal in [0, 65, 9, 19, 1 << 31] {
        assert_eq!(action(&mut bed, signal, at, 0), failed(EINVAL), "{signal}");
    }
    assert_eq!(action(&mut bed, 9, 0, at), 0);
    assert_eq!(action(&mut bed, 10, 3, 0), failed(EFAULT));
    assert_eq!(
        bed.value(__NR_rt_sigaction, &[10, 0, 0, 16]),
        failed(EINVAL)
    );

    let mask = |bed: &mut Bed, how: u32, set: u64| {
        bed.write(at, &set.to_le_bytes());
        let result = bed.value(__NR_rt_sigprocmask, &[how.into(), at, at + 8, 8]);
        (result, bed.word(at + 8))
    };
    assert_eq!(mask(&mut bed, SIG_SETMASK, u64::MAX), (0, 0));
    let all = !(1 << 8 | 1 << 18);
    assert_eq!(mask(&mut bed, SIG_UNBLOCK, 0xff), (0, all));
    assert_eq!(mask(&mut bed, SIG_BLOCK, 1), (0, all & !0xff));
    assert_eq!(mask(&mut bed, 7, 0).0, failed(EINVAL));
    assert_eq!(bed.value(__NR_rt_sigprocmask, &[7, 0, at, 8]), 0);
    assert_eq!(bed.word(at), all & !0xff | 1);
    assert_eq!(bed.value(__NR_rt_sigpending, &[at, 8]), 0);
    assert_eq!(bed.word(at), 0);

    let stack = |bed: &mut Bed, new: [u64; 3]| {
        bed.write(at, &new.map(u64::to_le_bytes).concat());
        bed.value(__NR_sigaltstack, &[at, at + 64])
    };
    assert_eq!(stack(&mut bed, [at, 0, 8192]), 0);
    assert_eq!(bed.word(at + 72), u64::from(SS_DISABLE));
    assert_eq!(stack(&mut bed, [at, 0, 100]), failed(ENOMEM));
    assert_eq!(stack(&mut bed, [at, 4, 8192]), failed(EINVAL));
    assert_eq!(bed.value(__NR_sigaltstack, &[0, at + 64]), 0);
    let told = [64, 72, 80].map(|offset| bed.word(at + offset));
    assert_eq!(told, [at, 0, 8192]);
}

#[test]
fn a_futex_of_one_thread_never_sleeps() {
    let mut bed = Bed::new();
    let at = bed.pages(1);
    bed.write(at, &7_u32.to_le_bytes());
    bed.write(at + 16, &[1_u64, 0].map(u64::to_le_bytes).concat());
    let futex = |bed: &mut Bed, operation: u32, value: u64, time: u64| {
        let operation = u64::from(operation | FUTEX_PRIVATE_FLAG);
        bed.value(__NR_futex, &[at, operation, value, time])
    };
    assert_eq!(futex(&mut bed, FUTEX_WAKE, 1, 0), 0);
    assert_eq!(futex(&mut bed, FUTEX_WAIT, 8, at + 16), failed(EAGAIN));
    assert_eq!(futex(&mut bed, FUTEX_WAIT, 7, at + 16), failed(ETIMEDOUT));
    assert_eq!(
        futex(&mut bed, FUTEX_WAIT_BITSET, 7, at + 16),
        failed(ETIMEDOUT)
    );
    assert_eq!(futex(&mut bed, FUTEX_WAIT, 7, 0), failed(EAGAIN));
    assert_eq!(futex(&mut bed, FUTEX_WAIT, 7, 8), failed(EFAULT));
    assert_eq!(futex(&mut bed, FUTEX_LOCK_PI, 7, 0), failed(ENOSYS));
    assert_eq!(bed.value(__NR_futex, &[at + 1, 0, 0, 0]), failed(EINVAL));
    assert_eq!(bed.value(__NR_futex, &[8, 0, 0, 0]), failed(EFAULT));
}
