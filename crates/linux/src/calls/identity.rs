//! Who the program is, and what it runs on.

use linux_raw_sys::general::{
    __NR_arch_prctl, __NR_getegid, __NR_geteuid, __NR_getgid, __NR_getgroups, __NR_getpgid,
    __NR_getpgrp, __NR_getpid, __NR_getppid, __NR_getrandom, __NR_getresgid, __NR_getresuid,
    __NR_getsid, __NR_gettid, __NR_getuid, __NR_rseq, __NR_sched_getaffinity, __NR_sched_yield,
    __NR_set_robust_list, __NR_set_tid_address, __NR_uname, ARCH_SET_FS, GRND_INSECURE,
    GRND_NONBLOCK, GRND_RANDOM, robust_list_head,
};
use linux_raw_sys::system::new_utsname;

use super::world::{Answer, World, low};
use crate::errno::Errno;
use crate::limits::{GROUP, PARENT, PROCESS, RANDOM_BYTES, USER};
use crate::space::{Access, USER_END};

/// `asm/prctl.h`, which the headers of the crate leave out.
const ARCH_SET_GS: u32 = 0x1001;
/// See [`ARCH_SET_GS`].
const ARCH_GET_FS: u32 = 0x1003;
/// See [`ARCH_SET_GS`].
const ARCH_GET_GS: u32 = 0x1004;

/// Answers a call of this subject.
pub fn answer(number: u32, [a, b, c, ..]: [u64; 6], world: &mut World<'_>) -> Option<Answer> {
    let result = match number {
        __NR_getpid | __NR_gettid | __NR_set_tid_address | __NR_getpgrp => Ok(PROCESS.into()),
        __NR_getppid => Ok(PARENT.into()),
        __NR_getpgid | __NR_getsid => own(a).map(|()| PROCESS.into()),
        __NR_getuid | __NR_geteuid => Ok(USER.into()),
        __NR_getgid | __NR_getegid => Ok(GROUP.into()),
        __NR_getresuid => three([a, b, c], USER, world),
        __NR_getresgid => three([a, b, c], GROUP, world),
        __NR_getgroups | __NR_sched_yield => Ok(0),
        __NR_sched_getaffinity => affinity(a, b, c, world),
        __NR_set_robust_list => robust_list(b),
        __NR_rseq => Err(Errno::ENOSYS),
        __NR_arch_prctl => base(low(a), b, world),
        __NR_uname => world.write(a, &names()).map(|()| 0),
        __NR_getrandom => random(a, b, c, world),
        _ => return None,
    };
    Some(result.into())
}

/// Whether a process is meant that there is.
pub fn own(process: u64) -> Result<(), Errno> {
    if [0, PROCESS].contains(&low(process)) {
        Ok(())
    } else {
        Err(Errno::ESRCH)
    }
}

fn three(addresses: [u64; 3], value: u32, world: &mut World<'_>) -> Result<u64, Errno> {
    for address in addresses {
        world.write(address, &value.to_le_bytes())?;
    }
    Ok(0)
}

/// One processor.
fn affinity(process: u64, bytes: u64, at: u64, world: &mut World<'_>) -> Result<u64, Errno> {
    let mask = 1_u64.to_le_bytes();
    let size = mask.len() as u64;
    if bytes < size || !bytes.is_multiple_of(size) {
        return Err(Errno::EINVAL);
    }
    own(process)?;
    world.write(at, &mask)?;
    Ok(size)
}

fn robust_list(bytes: u64) -> Result<u64, Errno> {
    if bytes == size_of::<robust_list_head>() as u64 {
        Ok(0)
    } else {
        Err(Errno::EINVAL)
    }
}

/// `arch_prctl`. A base is a register, and one that is not canonical would fault in the entry.
fn base(what: u32, address: u64, world: &mut World<'_>) -> Result<u64, Errno> {
    match what {
        ARCH_GET_FS => world.write(address, &world.thread.fs_base.to_le_bytes())?,
        ARCH_GET_GS => world.write(address, &world.thread.gs_base.to_le_bytes())?,
        ARCH_SET_FS | ARCH_SET_GS if address >= USER_END => return Err(Errno::EPERM),
        ARCH_SET_FS => world.thread.fs_base = address,
        ARCH_SET_GS => world.thread.gs_base = address,
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

fn names() -> [u8; size_of::<new_utsname>()] {
    let mut bytes = [0; size_of::<new_utsname>()];
    let field = bytes.len() / 6;
    let names = ["Linux", "vmexit", "6.1.0", "#1 vmexit", "x86_64", "(none)"];
    for (to, name) in bytes.chunks_exact_mut(field).zip(names) {
        to[..name.len()].copy_from_slice(name.as_bytes());
    }
    bytes
}

fn random(at: u64, bytes: u64, flags: u64, world: &mut World<'_>) -> Result<u64, Errno> {
    if flags & !u64::from(GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE) != 0 {
        return Err(Errno::EINVAL);
    }
    let wanted = bytes.min(RANDOM_BYTES);
    let count = world.space.reach(at, wanted, Access::Write);
    if count == 0 && wanted > 0 {
        return Err(Errno::EFAULT);
    }
    let mut piece = [0; 4096];
    let mut done = 0;
    while done < count {
        let length =
            usize::try_from(count - done).map_or(piece.len(), |left| left.min(piece.len()));
        let piece = &mut piece[..length];
        world.host.random(piece);
        world.write(at + done, piece)?;
        done += length as u64;
    }
    Ok(count)
}
