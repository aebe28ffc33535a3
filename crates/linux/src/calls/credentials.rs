//! Who the program may be, which is who it is, and what it says about itself (`prctl`).

use linux_raw_sys::general::{
    __NR_capget, __NR_capset, __NR_getpriority, __NR_prctl, __NR_sched_getparam,
    __NR_sched_getscheduler, __NR_setfsgid, __NR_setfsuid, __NR_setgid, __NR_setgroups,
    __NR_setpriority, __NR_setregid, __NR_setresgid, __NR_setresuid, __NR_setreuid, __NR_setuid,
};
use linux_raw_sys::prctl::{
    PR_CAPBSET_READ, PR_GET_DUMPABLE, PR_GET_KEEPCAPS, PR_GET_NAME, PR_GET_NO_NEW_PRIVS,
    PR_GET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS, PR_SET_NAME, PR_SET_NO_NEW_PRIVS,
    PR_SET_PDEATHSIG,
};

use super::identity::own;
use super::world::{Answer, World, low};
use crate::errno::Errno;
use crate::limits::{GROUP, USER};

/// Bytes of a thread's name, with its NUL.
const NAME: usize = 16;
/// The last capability that there is.
const LAST_CAPABILITY: u64 = 40;
/// `_LINUX_CAPABILITY_VERSION_3`.
const CAPABILITIES: u32 = 0x2008_0522;
/// `getpriority` tells 20 less the nice value.
const NICE: u64 = 20;

/// Answers a call of this subject.
pub fn answer(number: u32, [a, b, c, ..]: [u64; 6], world: &mut World<'_>) -> Option<Answer> {
    let result = match number {
        __NR_setuid => may_be(&[a], USER).and_then(|()| is(a)),
        __NR_setgid => may_be(&[a], GROUP).and_then(|()| is(a)),
        __NR_setreuid => may_be(&[a, b], USER),
        __NR_setregid => may_be(&[a, b], GROUP),
        __NR_setresuid => may_be(&[a, b, c], USER),
        __NR_setresgid => may_be(&[a, b, c], GROUP),
        // These tell who it was.
        __NR_setfsuid => return Some(Answer::Value(USER.into())),
        __NR_setfsgid => return Some(Answer::Value(GROUP.into())),
        __NR_setgroups | __NR_capset => Err(Errno::EPERM),
        __NR_capget => capabilities(a, b, world),
        __NR_getpriority if low(a) == 0 => return Some(own(b).map(|()| NICE).into()),
        __NR_setpriority if low(a) == 0 => own(b),
        __NR_sched_getscheduler => own(a),
        __NR_sched_getparam => own(a).and_then(|()| world.write(b, &[0; 4])),
        __NR_prctl => return Some(control([a, b], world).into()),
        _ => return None,
    };
    Some(result.map(|()| 0).into())
}

fn may_be(ids: &[u64], own: u32) -> Result<(), Errno> {
    let keeps = |id: &u64| [own, u32::MAX].contains(&low(*id));
    if ids.iter().all(keeps) {
        Ok(())
    } else {
        Err(Errno::EPERM)
    }
}

/// `setuid` has no number that keeps what is.
fn is(id: u64) -> Result<(), Errno> {
    match low(id) {
        u32::MAX => Err(Errno::EINVAL),
        _ => Ok(()),
    }
}

/// It has none.
fn capabilities(header: u64, data: u64, world: &mut World<'_>) -> Result<(), Errno> {
    let mut version = [0; 8];
    world.read(header, &mut version)?;
    let [a, b, c, d, process @ ..] = version;
    if u32::from_le_bytes([a, b, c, d]) != CAPABILITIES {
        world.write(header, &CAPABILITIES.to_le_bytes())?;
        return if data == 0 {
            Ok(())
        } else {
            Err(Errno::EINVAL)
        };
    }
    own(u32::from_le_bytes(process).into())?;
    world.write_optional(data, &[0; 24])
}

/// `prctl`. The name is that of the image, whatever is set.
fn control([what, argument]: [u64; 2], world: &mut World<'_>) -> Result<u64, Errno> {
    match low(what) {
        PR_SET_NAME => {
            let mut name = [0; 1];
            world.read(argument, &mut name)?;
            Ok(0)
        }
        PR_GET_NAME => world.write(argument, &[0; NAME]).map(|()| 0),
        PR_GET_PDEATHSIG => world.write(argument, &[0; 4]).map(|()| 0),
        PR_GET_DUMPABLE => Ok(1),
        PR_GET_KEEPCAPS | PR_GET_NO_NEW_PRIVS => Ok(0),
        PR_SET_DUMPABLE | PR_SET_KEEPCAPS if argument <= 1 => Ok(0),
        PR_SET_NO_NEW_PRIVS if argument == 1 => Ok(0),
        PR_SET_PDEATHSIG if argument <= 64 => Ok(0),
        PR_CAPBSET_READ if argument <= LAST_CAPABILITY => Ok(0),
        _ => Err(Errno::EINVAL),
    }
}
