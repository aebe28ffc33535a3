//! File systems that a program never gets into, because their files are more than bytes.

use std::os::fd::OwnedFd;

use linux_raw_sys::general::{
    AAFS_MAGIC, BINDERFS_SUPER_MAGIC, BINFMTFS_MAGIC, BPF_FS_MAGIC, CGROUP_SUPER_MAGIC,
    CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, DEVPTS_SUPER_MAGIC, EFIVARFS_MAGIC, HUGETLBFS_MAGIC,
    NSFS_MAGIC, OPENPROM_SUPER_MAGIC, PROC_SUPER_MAGIC, PSTOREFS_MAGIC, RAMFS_MAGIC,
    RDTGROUP_SUPER_MAGIC, SECURITYFS_MAGIC, SELINUX_MAGIC, SMACK_MAGIC, SYSFS_MAGIC, TMPFS_MAGIC,
    TRACEFS_MAGIC, USBDEVICE_SUPER_MAGIC, XENFS_SUPER_MAGIC,
};
use rustix::fs::{Stat, fstatfs, major, minor};

use super::error::host_error;
use crate::errno::Errno;

/// `f_type` of `statfs`; the numbers are in no header, but in the file systems' own sources.
const FORBIDDEN: [u32; 29] = [
    AAFS_MAGIC,
    BINDERFS_SUPER_MAGIC,
    BINFMTFS_MAGIC,
    BPF_FS_MAGIC,
    CGROUP_SUPER_MAGIC,
    CGROUP2_SUPER_MAGIC,
    DEBUGFS_MAGIC,
    DEVPTS_SUPER_MAGIC,
    EFIVARFS_MAGIC,
    HUGETLBFS_MAGIC,
    NSFS_MAGIC,
    OPENPROM_SUPER_MAGIC,
    PROC_SUPER_MAGIC,
    PSTOREFS_MAGIC,
    RDTGROUP_SUPER_MAGIC,
    SECURITYFS_MAGIC,
    SELINUX_MAGIC,
    SMACK_MAGIC,
    SYSFS_MAGIC,
    TRACEFS_MAGIC,
    USBDEVICE_SUPER_MAGIC,
    XENFS_SUPER_MAGIC,
    0x6265_6570, // configfs
    0x6573_5543, // fusectl
    0x6759_6969, // rpc_pipefs
    0x1980_0202, // mqueue
    0x6e66_7364, // nfsd
    0x0a64_7361, // functionfs of USB gadgets
    0xaee7_1ee7, // gadgetfs
];

/// True if the mount table has a devtmpfs on that device, which `statfs` calls a tmpfs.
fn is_devtmpfs(mounts: &str, device: &str) -> bool {
    mounts.lines().any(|line| {
        let mut fields = line.split(' ').skip(2);
        fields.next() == Some(device)
            && line
                .split_once(" - ")
                .is_some_and(|(_, after)| after.starts_with("devtmpfs "))
    })
}

/// Lets a place pass whose file system has files and nothing else.
///
/// # Errors
/// `EACCES` for what must not be reached, and where the host does not tell.
pub fn check(place: &OwnedFd, status: &Stat) -> Result<(), Errno> {
    let kind = fstatfs(place).map_err(host_error)?.f_type;
    let kind = u32::try_from(kind).map_err(|_| Errno::EACCES)?;
    if FORBIDDEN.contains(&kind) {
        return Err(Errno::EACCES);
    }
    if kind == TMPFS_MAGIC || kind == RAMFS_MAGIC {
        let mounts = std::fs::read("/proc/self/mountinfo").map_err(|_| Errno::EACCES)?;
        let device = format!("{}:{}", major(status.st_dev), minor(status.st_dev));
        if is_devtmpfs(&String::from_utf8_lossy(&mounts), &device) {
            return Err(Errno::EACCES);
        }
    }
    Ok(())
}
