//! Read-only is all of it.

use std::fs;
use std::os::unix::fs::MetadataExt;

use linux::{Errno, HostPlace, SetTime};

use crate::scratch::Scratch;

const EROFS: Result<(), Errno> = Err(Errno::EROFS);

/// Everything that could change what is there.
fn changes(place: &HostPlace) {
    let file = place.lookup(b"file").unwrap();
    let link = place.lookup(b"link").unwrap();
    let sub = place.lookup(b"sub").unwrap();
    let times = SetTime::At(7, 7);
    for flags in [1, 2] {
        assert_eq!(file.open(flags).err(), Some(Errno::EROFS));
    }
    assert_eq!(place.create(b"new", 0o600).err(), Some(Errno::EROFS));
    assert_eq!(place.mkdir(b"new", 0o700), EROFS);
    assert_eq!(place.symlink(b"x", b"new"), EROFS);
    assert_eq!(place.link(&file, b"new"), EROFS);
    assert_eq!(place.unlink(b"file"), EROFS);
    assert_eq!(place.unlink(b"link"), EROFS);
    assert_eq!(place.rmdir(b"sub"), EROFS);
    for flags in [0, 1, 2, 4] {
        assert_eq!(place.rename(b"file", &sub, b"new", flags), EROFS);
    }
    for what in [&file, &link, &sub, place] {
        assert_eq!(what.set_times(times, times), EROFS);
        assert_eq!(what.set_times(SetTime::Now, SetTime::Now), EROFS);
        assert_eq!(what.set_mode(0o777), EROFS);
        assert_eq!(what.access(2), EROFS);
    }
    assert_eq!(file.truncate(0), EROFS);
    let open = file.open(0).unwrap();
    assert_eq!(open.write_at(0, b"x").err(), Some(Errno::EROFS));
    assert_eq!(open.append(b"x").err(), Some(Errno::EROFS));
    assert_eq!(open.truncate(0), EROFS);
    assert_eq!(open.set_mode(0o777), EROFS);
    assert_eq!(open.set_times(times, times), EROFS);
    assert_eq!(open.read_at(0, &mut [0; 9]), Ok(4));
    assert_eq!(place.list(9).unwrap().len(), 3);
}

#[test]
fn a_read_only_root_changes_nothing_not_even_the_time_of_access() {
    let scratch = Scratch::new();
    fs::write(scratch.at("file"), "data").unwrap();
    fs::create_dir(scratch.at("sub")).unwrap();
    std::os::unix::fs::symlink("file", scratch.at("link")).unwrap();
    // A day after it was read, a read would set the time of access, as mounts do it mostly.
    let writable = scratch.open(false).place();
    for name in [b"file".as_slice(), b"sub"] {
        let place = writable.lookup(name).unwrap();
        place.set_times(SetTime::At(1, 0), SetTime::Now).unwrap();
    }
    let times = SetTime::At(1, 0);
    writable.set_times(times, SetTime::Now).unwrap();
    let picture = || {
        ["", "file", "sub", "link"].map(|path| {
            let status = fs::symlink_metadata(scratch.at(path)).unwrap();
            let times = (status.atime(), status.mtime_nsec(), status.ctime_nsec());
            let is_link = status.is_symlink();
            (
                status.mode(),
                status.size(),
                status.nlink(),
                if is_link { (0, 0, 0) } else { times },
            )
        })
    };
    let before = picture();
    let root = scratch.open(true);
    assert!(root.is_read_only());
    changes(&root.place());
    assert_eq!(picture(), before);
    assert_eq!(fs::read(scratch.at("file")).unwrap(), b"data");
}

#[test]
fn nothing_goes_from_one_root_to_another() {
    let scratch = Scratch::new();
    fs::write(scratch.at("file"), "data").unwrap();
    let (first, second) = (scratch.open(false).place(), scratch.open(false).place());
    let only = scratch.open(true).place();
    let file = |place: &HostPlace| place.lookup(b"file").unwrap();
    let exdev = Err(Errno::EXDEV);
    for (from, to) in [(&first, &second), (&first, &only), (&only, &first)] {
        assert_eq!(from.rename(b"file", to, b"new", 0), exdev);
        assert_eq!(from.rename(b"file", to, b"file", 2), exdev);
        assert_eq!(to.link(&file(from), b"new"), exdev);
    }
    assert_eq!(fs::read_dir(scratch.at("")).unwrap().count(), 1);
}
