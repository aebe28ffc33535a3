//! File systems whose files are more than bytes.

use std::fs;
use std::path::Path;

use linux::{Errno, HostRoot};

#[test]
fn no_lookup_gets_into_the_systems_own_file_systems() {
    let root = HostRoot::open(Path::new("/"), false).unwrap().place();
    for name in ["proc", "sys", "dev"] {
        assert_eq!(
            root.lookup(name.as_bytes()).err(),
            Some(Errno::EACCES),
            "{name}"
        );
        // They are there.
        let entries = root.list(1000).unwrap();
        assert!(entries.iter().any(|entry| entry.name == name.as_bytes()));
    }
}

/// Whatever is mounted here: the mount table says which are of these types.
#[test]
fn no_mount_of_such_a_type_is_entered_or_given() {
    const TYPES: [&str; 18] = [
        "proc",
        "sysfs",
        "devtmpfs",
        "devpts",
        "cgroup",
        "cgroup2",
        "debugfs",
        "tracefs",
        "securityfs",
        "bpf",
        "configfs",
        "mqueue",
        "hugetlbfs",
        "pstore",
        "efivarfs",
        "fusectl",
        "binfmt_misc",
        "selinuxfs",
    ];
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let (mut refused, mut given) = (0, 0);
    for line in mounts.lines() {
        let path = line.split(' ').nth(4).unwrap();
        let kind = line.split_once(" - ").unwrap().1.split(' ').next().unwrap();
        // What is mounted over is not there.
        let Ok(shown) = rustix::fs::statfs(path) else {
            continue;
        };
        let opened = HostRoot::open(Path::new(path), true);
        if TYPES.contains(&kind) {
            let error = opened.map(|root| root.path().to_owned());
            let is_over = kind == "devtmpfs" && shown.f_type != 0x0102_1994;
            if !is_over {
                assert!(error.is_err(), "{path}: {kind}: {error:?}");
                refused += 1;
            }
        } else if opened.is_ok() {
            given += 1;
        }
    }
    assert!(refused > 0 && given > 0, "{refused} refused, {given} given");
}
