//! A name is one child, and nothing else.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};

use linux::{Errno, Kind};

use crate::scratch::{SECRET, Scratch};

#[test]
fn a_name_that_could_be_anything_but_a_child_is_refused() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("sub")).unwrap();
    let root = scratch.open(false).place();
    let place = root.lookup(b"sub").unwrap();
    let long = vec![b'x'; 256];
    let cases: [(&[u8], Errno); 13] = [
        (b"", Errno::ENOENT),
        (b".", Errno::EINVAL),
        (b"..", Errno::EINVAL),
        (b"/", Errno::EINVAL),
        (b"//", Errno::EINVAL),
        (b"/etc/passwd", Errno::EINVAL),
        (b"a/b", Errno::EINVAL),
        (b"a/", Errno::EINVAL),
        (b"../outside", Errno::EINVAL),
        (b"..\0", Errno::EINVAL),
        (b"a\0b", Errno::EINVAL),
        (b"\0", Errno::EINVAL),
        (&long, Errno::ENAMETOOLONG),
    ];
    for (name, error) in cases {
        assert_eq!(place.lookup(name).err(), Some(error), "{name:?}");
        assert_eq!(place.create(name, 0o600).err(), Some(error), "{name:?}");
        assert_eq!(place.mkdir(name, 0o700), Err(error), "{name:?}");
        assert_eq!(place.symlink(b"x", name), Err(error), "{name:?}");
        assert_eq!(place.unlink(name), Err(error), "{name:?}");
        assert_eq!(place.rmdir(name), Err(error), "{name:?}");
        assert_eq!(place.rename(name, &root, b"to", 0), Err(error), "{name:?}");
        assert_eq!(root.rename(b"sub", &place, name, 0), Err(error), "{name:?}");
        let file = root.create(b"file", 0o600);
        assert!(matches!(file, Ok(_) | Err(Errno::EEXIST)), "{file:?}");
        let file = root.lookup(b"file").unwrap();
        assert_eq!(place.link(&file, name), Err(error), "{name:?}");
    }
    assert_eq!(fs::read_dir(scratch.at("sub")).unwrap().count(), 0);
}

#[test]
fn strange_names_that_are_children_are_found() {
    let scratch = Scratch::new();
    let place = scratch.open(false).place();
    let long = vec![b'y'; 255];
    let names: [&[u8]; 8] = [
        b"...",
        b" ",
        b"..x",
        b"\xff\xfe",
        b"a\nb",
        b"-rf",
        b"\\..",
        &long,
    ];
    for name in names {
        let file = place.create(name, 0o644).unwrap();
        assert_eq!(file.write_at(0, name), Ok(name.len()));
        assert_eq!(place.lookup(name).unwrap().kind(), Kind::File);
    }
    let mut listed: Vec<_> = place.list(100).unwrap();
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    let mut wanted: Vec<_> = names.map(<[u8]>::to_vec).to_vec();
    wanted.sort();
    let found: Vec<_> = listed.into_iter().map(|entry| entry.name).collect();
    assert_eq!(found, wanted);
    assert_eq!(place.list(7), Err(Errno::ENOMEM));
}

#[test]
fn a_link_is_itself_and_never_where_it_leads() {
    let scratch = Scratch::new();
    let before = scratch.canary();
    symlink(scratch.outside("secret"), scratch.at("file")).unwrap();
    symlink(scratch.outside(""), scratch.at("directory")).unwrap();
    symlink("../outside", scratch.at("relative")).unwrap();
    symlink("loop", scratch.at("loop")).unwrap();
    let place = scratch.open(false).place();
    for name in [b"file".as_slice(), b"directory", b"relative", b"loop"] {
        let link = place.lookup(name).unwrap();
        assert_eq!(link.kind(), Kind::Link);
        assert_eq!(link.status().unwrap().kind, Kind::Link);
        assert_eq!(link.open(0).err(), Some(Errno::ELOOP));
        assert_eq!(link.lookup(b"secret").err(), Some(Errno::ENOTDIR));
        assert_eq!(link.list(9), Err(Errno::ENOTDIR));
        assert_eq!(link.truncate(0), Err(Errno::ELOOP));
        assert_eq!(link.set_mode(0o777), Err(Errno::EOPNOTSUPP));
        assert_eq!(link.create(b"new", 0o600).err(), Some(Errno::ENOTDIR));
        let times = linux::SetTime::At(1, 0);
        assert_eq!(link.set_times(times, times), Ok(()));
        assert_eq!(link.status().unwrap().modified, (1, 0));
        assert_eq!(place.create(name, 0o600).err(), Some(Errno::EEXIST));
        assert_eq!(place.mkdir(name, 0o700), Err(Errno::EEXIST));
        assert_eq!(place.link(&link, b"again"), Ok(()));
        assert_eq!(place.lookup(b"again").unwrap().kind(), Kind::Link);
        assert_eq!(place.unlink(b"again"), Ok(()));
        assert_eq!(place.rmdir(name), Err(Errno::ENOTDIR));
        assert_eq!(place.unlink(name), Ok(()));
    }
    assert_eq!(scratch.canary(), before);
}

#[test]
fn links_say_what_was_put_into_them() {
    let scratch = Scratch::new();
    let place = scratch.open(false).place();
    let long = vec![b'a'; 4095];
    for target in [b"/etc/passwd".as_slice(), b"..", b"x\xff", &long] {
        place.symlink(target, b"link").unwrap();
        let link = place.lookup(b"link").unwrap();
        assert_eq!(link.read_link().unwrap(), target);
        place.unlink(b"link").unwrap();
    }
    assert_eq!(place.symlink(b"", b"link"), Err(Errno::ENOENT));
    assert_eq!(place.symlink(b"a\0b", b"link"), Err(Errno::EINVAL));
    let longer = vec![b'a'; 4096];
    assert_eq!(place.symlink(&longer, b"link"), Err(Errno::ENAMETOOLONG));
    assert_eq!(place.read_link(), Err(Errno::EINVAL));
}

#[test]
fn what_is_held_is_what_was_found() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.at("sub")).unwrap();
    fs::write(scratch.at("sub/file"), "first").unwrap();
    let sub = scratch.open(false).place().lookup(b"sub").unwrap();
    let file = sub.lookup(b"file").unwrap();
    // The host puts links to the outside in their places.
    fs::rename(scratch.at("sub/file"), scratch.at("sub/old")).unwrap();
    symlink(scratch.outside("secret"), scratch.at("sub/file")).unwrap();
    fs::rename(scratch.at("sub"), scratch.at("old")).unwrap();
    symlink(scratch.outside(""), scratch.at("sub")).unwrap();
    let mut bytes = [0; 99];
    assert_eq!(file.open(0).unwrap().read_at(0, &mut bytes), Ok(5));
    assert_eq!(&bytes[..5], b"first");
    assert_eq!(sub.lookup(b"secret").err(), Some(Errno::ENOENT));
    assert_eq!(sub.lookup(b"file").unwrap().kind(), Kind::Link);
    sub.create(b"new", 0o600).unwrap();
    assert!(scratch.at("old/new").exists());
    fs::remove_file(scratch.at("old/old")).unwrap();
    assert_eq!(file.open(0).unwrap().read_at(0, &mut bytes), Ok(5));
    assert_eq!(file.status().unwrap().links, 0);
    assert_eq!(fs::read(scratch.outside("secret")).unwrap(), SECRET);
}

#[test]
fn a_root_is_a_directory_or_one_file_and_links_in_its_own_path_count() {
    let scratch = Scratch::new();
    fs::write(scratch.at("file"), "one").unwrap();
    symlink(scratch.outside(""), scratch.at("link")).unwrap();
    let open = |path: &str| linux::HostRoot::open(&scratch.at(path), true);
    let file = open("file").unwrap();
    assert_eq!(file.place().kind(), Kind::File);
    assert_eq!(file.path(), scratch.at("file"));
    assert_eq!(file.place().lookup(b"x").err(), Some(Errno::ENOTDIR));
    let given = open("link").unwrap();
    assert_eq!(given.place().lookup(b"secret").unwrap().kind(), Kind::File);
    let error = open("missing").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
    assert_eq!(given, given.clone());
    assert_ne!(given, open("link").unwrap());
}

#[test]
fn several_directories_at_once_are_those_one_by_one_or_nothing() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.at("a/b/c")).unwrap();
    fs::write(scratch.at("a/b/file"), "").unwrap();
    symlink("b", scratch.at("a/link")).unwrap();
    symlink(scratch.outside(""), scratch.at("a/out")).unwrap();
    let place = scratch.open(true).place();
    let inode = |path: &str| fs::metadata(scratch.at(path)).unwrap().ino();
    let found = place.descend(&[b"a", b"b", b"c"]).unwrap();
    assert_eq!(found.status().unwrap().inode, inode("a/b/c"));
    assert!(found.is_read_only());
    let nothing: [&[&[u8]]; 12] = [
        &[b"a", b"link"],
        &[b"a", b"link", b"c"],
        &[b"a", b"out"],
        &[b"a", b"out", b"deep"],
        &[b"a", b"b", b"file"],
        &[b"a", b"missing"],
        &[b"a", b".."],
        &[b"..", b"outside"],
        &[b"a/b", b"c"],
        &[b"/", b"etc"],
        &[b"a", b"", b"b"],
        &[b"a\0", b"b"],
    ];
    for names in nothing {
        assert!(place.descend(names).is_none(), "{names:?}");
    }
    let root = linux::HostRoot::open(std::path::Path::new("/"), true).unwrap();
    for names in [[b"proc".as_slice(), b"self"], [b"sys", b"kernel"]] {
        assert!(root.place().descend(&names).is_none(), "{names:?}");
    }
}
