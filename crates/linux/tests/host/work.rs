//! The work of every day: what is written is there, for the host too.

use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt, PermissionsExt};

use linux::{Errno, Kind, SetTime};

use crate::scratch::Scratch;

#[test]
fn bytes_are_written_and_read_where_they_belong() {
    let scratch = Scratch::new();
    let place = scratch.open(false).place();
    let file = place.create(b"file", 0o640).unwrap();
    assert_eq!(file.write_at(3, b"defg"), Ok(4));
    assert_eq!(file.write_at(0, b"abc"), Ok(3));
    assert_eq!(file.append(b"hi"), Ok((2, 9)));
    assert_eq!(fs::read(scratch.at("file")).unwrap(), b"abcdefghi");
    let mut bytes = [0; 4];
    assert_eq!(file.read_at(7, &mut bytes), Ok(2));
    assert_eq!(&bytes[..2], b"hi");
    assert_eq!(file.read_at(9, &mut bytes), Ok(0));
    assert_eq!(file.truncate(4), Ok(()));
    assert_eq!(file.status().unwrap().size, 4);
    assert_eq!(place.lookup(b"file").unwrap().truncate(1 << 20), Ok(()));
    assert_eq!(file.status().unwrap().size, 1 << 20);
    assert_eq!(file.sync(), Ok(()));
    for far in [1 << 63, u64::MAX, u64::MAX - 1] {
        assert_eq!(file.read_at(far, &mut bytes).err(), Some(Errno::EINVAL));
        assert_eq!(file.write_at(far, b"x").err(), Some(Errno::EINVAL));
        assert_eq!(file.truncate(far), Err(Errno::EINVAL));
    }
}

#[test]
fn a_file_is_open_for_what_it_was_opened_for() {
    let scratch = Scratch::new();
    fs::write(scratch.at("file"), "data").unwrap();
    let place = scratch.open(false).place().lookup(b"file").unwrap();
    let (reader, writer) = (place.open(0).unwrap(), place.open(1).unwrap());
    assert_eq!(reader.write_at(0, b"x").err(), Some(Errno::EBADF));
    assert_eq!(reader.append(b"x").err(), Some(Errno::EBADF));
    assert!(reader.truncate(0).is_err());
    assert_eq!(writer.read_at(0, &mut [0]).err(), Some(Errno::EBADF));
    assert_eq!(writer.write_at(0, b"D"), Ok(1));
    assert_eq!(place.open(3).err(), Some(Errno::EINVAL));
    assert_eq!(fs::read(scratch.at("file")).unwrap(), b"Data");
    assert_eq!(reader, reader.clone());
    assert_ne!(reader, writer);
}

#[test]
fn modes_lose_what_reaches_beyond_the_file() {
    let scratch = Scratch::new();
    let place = scratch.open(false).place();
    let file = place.create(b"file", 0o7700).unwrap();
    place.mkdir(b"sub", 0o7700).unwrap();
    let mode = |path: &str| fs::metadata(scratch.at(path)).unwrap().mode() & 0o7777;
    assert_eq!([mode("file"), mode("sub")], [0o700, 0o700]);
    file.set_mode(0o6755).unwrap();
    assert_eq!(mode("file"), 0o755);
    place.lookup(b"file").unwrap().set_mode(0o7444).unwrap();
    place.lookup(b"sub").unwrap().set_mode(0o7500).unwrap();
    assert_eq!([mode("file"), mode("sub")], [0o444, 0o500]);
    // One that the host had set is shown, and gone when the program sets it.
    let permissions = fs::Permissions::from_mode(0o4755);
    fs::set_permissions(scratch.at("file"), permissions).unwrap();
    assert_eq!(
        place.lookup(b"file").unwrap().status().unwrap().mode,
        0o4755
    );
}

#[test]
fn times_are_set_kept_or_the_hosts() {
    let scratch = Scratch::new();
    let place = scratch.open(false).place();
    let file = place.create(b"file", 0o600).unwrap();
    let far = SetTime::At(-5, 999_999_999);
    file.set_times(far, SetTime::At(1_000_000_000, 7)).unwrap();
    let status = file.status().unwrap();
    assert_eq!(status.accessed, (-5, 999_999_999));
    assert_eq!(status.modified, (1_000_000_000, 7));
    let held = place.lookup(b"file").unwrap();
    held.set_times(SetTime::Keep, SetTime::Now).unwrap();
    let status = held.status().unwrap();
    assert_eq!(status.accessed, (-5, 999_999_999));
    assert!(status.modified.0 > 1_000_000_000);
    // Numbers that mean something else to the host.
    for odd in [1_000_000_000, (1 << 30) - 1, (1 << 30) - 2, u32::MAX] {
        let odd = SetTime::At(0, odd);
        assert_eq!(held.set_times(odd, odd), Err(Errno::EINVAL));
        assert_eq!(file.set_times(SetTime::Keep, odd), Err(Errno::EINVAL));
    }
}

#[test]
fn names_are_moved_exchanged_shared_and_taken_away() {
    let scratch = Scratch::new();
    let place = scratch.open(false).place();
    for (name, text) in [(b"a", b"1"), (b"b", b"2")] {
        place
            .create(name, 0o600)
            .unwrap()
            .write_at(0, text)
            .unwrap();
    }
    let text = |path: &str| fs::read_to_string(scratch.at(path)).unwrap();
    assert_eq!(place.rename(b"a", &place, b"b", 1), Err(Errno::EEXIST));
    assert_eq!(place.rename(b"a", &place, b"b", 2), Ok(()));
    assert_eq!([text("a"), text("b")], ["2", "1"]);
    assert_eq!(place.rename(b"a", &place, b"b", 4), Err(Errno::EINVAL));
    assert_eq!(place.rename(b"a", &place, b"b", 3), Err(Errno::EINVAL));
    assert_eq!(place.rename(b"a", &place, b"b", 0), Ok(()));
    assert_eq!(text("b"), "2");
    assert_eq!(place.rename(b"a", &place, b"c", 0), Err(Errno::ENOENT));
    place.mkdir(b"sub", 0o700).unwrap();
    let sub = place.lookup(b"sub").unwrap();
    assert_eq!(place.rename(b"sub", &sub, b"in", 0), Err(Errno::EINVAL));
    let file = place.lookup(b"b").unwrap();
    assert_eq!(sub.link(&file, b"same"), Ok(()));
    assert_eq!(sub.link(&file, b"same"), Err(Errno::EEXIST));
    assert_eq!(place.link(&sub, b"other"), Err(Errno::EPERM));
    assert_eq!(file.status().unwrap().links, 2);
    assert_eq!(place.rmdir(b"sub"), Err(Errno::ENOTEMPTY));
    assert_eq!(place.unlink(b"sub"), Err(Errno::EISDIR));
    assert_eq!(place.rmdir(b"b"), Err(Errno::ENOTDIR));
    assert_eq!(sub.unlink(b"same"), Ok(()));
    assert_eq!(place.rmdir(b"sub"), Ok(()));
    assert_eq!(sub.create(b"late", 0o600).err(), Some(Errno::ENOENT));
    assert_eq!(sub.list(9), Err(Errno::ENOENT));
    assert_eq!(place.unlink(b"b"), Ok(()));
    assert_eq!(place.unlink(b"b"), Err(Errno::ENOENT));
}

#[test]
fn status_and_lists_are_the_hosts() {
    let scratch = Scratch::new();
    fs::write(scratch.at("file"), [7; 5000]).unwrap();
    fs::create_dir(scratch.at("sub")).unwrap();
    std::os::unix::fs::symlink("file", scratch.at("link")).unwrap();
    let place = scratch.open(false).place();
    for entry in place.list(3).unwrap() {
        let path = scratch.at(std::str::from_utf8(&entry.name).unwrap());
        let host = fs::symlink_metadata(path).unwrap();
        let status = place.lookup(&entry.name).unwrap().status().unwrap();
        assert_eq!(status.inode, host.ino());
        // 9p lists other numbers than it tells of a file.
        let mut listed = fs::read_dir(scratch.at(".")).unwrap().map(Result::unwrap);
        let same = listed.find(|each| each.file_name().as_encoded_bytes() == entry.name);
        assert_eq!(entry.inode, same.unwrap().ino());
        assert_eq!(status.device, host.dev());
        assert_eq!(status.kind, entry.kind);
        assert_eq!(status.kind.mode() | status.mode, host.mode());
        assert_eq!([status.links, status.size], [host.nlink(), host.size()]);
        assert_eq!(status.blocks, host.blocks());
        let changed = (host.ctime(), u32::try_from(host.ctime_nsec()).unwrap());
        assert_eq!(status.changed, changed);
    }
    assert_eq!(place.list(2), Err(Errno::ENOMEM));
    let file = place.lookup(b"file").unwrap();
    assert_eq!(file.kind(), Kind::File);
    assert_eq!(file.list(9), Err(Errno::ENOTDIR));
    assert_eq!(place.open(0).err(), Some(Errno::EISDIR));
    assert_eq!(file.access(6), Ok(()));
    assert_eq!(file.access(1), Err(Errno::EACCES));
    assert_eq!(place.access(7), Ok(()));
    let space = place.space().unwrap();
    assert!(space.block > 0 && space.blocks >= space.free);
}

#[test]
fn a_large_directory_is_listed_in_whole_or_not_at_all() {
    let scratch = Scratch::new();
    for number in 0..3000 {
        fs::write(scratch.at(&format!("file number {number}")), "").unwrap();
    }
    let place = scratch.open(false).place();
    assert_eq!(place.list(3000).unwrap().len(), 3000);
    assert_eq!(place.list(2999), Err(Errno::ENOMEM));
}
