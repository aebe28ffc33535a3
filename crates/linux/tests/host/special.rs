//! What is neither directory, file nor link is listed, and never opened: no test here hangs.

use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use linux::{Errno, Kind};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::scratch::{Scratch, fifo};

/// Makes a character device that is `/dev/zero`; only root may.
fn zero_device(path: &Path) -> rustix::io::Result<()> {
    let number = rustix::fs::makedev(1, 5);
    mknodat(CWD, path, FileType::CharacterDevice, Mode::RWXU, number)
}

/// Runs it, unless it waits for something: then the test fails instead of hanging.
fn in_time(work: impl FnOnce() + Send + 'static) {
    let (done, wait) = channel();
    let thread = thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    let waited = wait.recv_timeout(Duration::from_secs(300));
    assert!(waited.is_ok() || thread.is_finished(), "it waits");
    thread.join().unwrap();
}

#[test]
fn pipes_sockets_and_devices_are_listed_and_refused() {
    let scratch = Scratch::new();
    fifo(&scratch.at("fifo")).unwrap();
    let _socket = UnixListener::bind(scratch.at("socket")).unwrap();
    let mut wanted = vec![("fifo", Kind::Pipe), ("socket", Kind::Socket)];
    match zero_device(&scratch.at("device")) {
        Ok(()) => wanted.push(("device", Kind::Device)),
        Err(error) => println!("skipped: device nodes: {error}"),
    }
    let place = scratch.open(false).place();
    let listed = place.list(9).unwrap();
    assert_eq!(listed.len(), wanted.len());
    in_time(move || {
        for (name, kind) in wanted {
            let entry = listed.iter().find(|entry| entry.name == name.as_bytes());
            assert_eq!(entry.unwrap().kind, kind);
            let name = name.as_bytes();
            let refused = Err(Errno::EACCES);
            assert_eq!(place.lookup(name).err(), Some(Errno::EACCES));
            assert_eq!(place.create(name, 0o600).err(), Some(Errno::EEXIST));
            assert_eq!(place.unlink(name), refused);
            assert_eq!(place.rmdir(name), refused);
            assert_eq!(place.rename(name, &place, b"other", 0), refused);
            place.mkdir(b"mine", 0o700).unwrap();
            assert_eq!(place.rename(b"mine", &place, name, 0), refused);
            assert_eq!(place.rename(b"mine", &place, name, 2), refused);
            place.rmdir(b"mine").unwrap();
        }
    });
    let status = fs::symlink_metadata(scratch.at("fifo")).unwrap();
    assert!(status.file_type().is_fifo());
}

#[test]
fn a_root_is_no_pipe_and_no_device() {
    let scratch = Scratch::new();
    fifo(&scratch.at("fifo")).unwrap();
    let paths = [scratch.at("fifo"), "/dev/null".into(), "/dev/zero".into()];
    in_time(move || {
        for path in paths {
            let error = linux::HostRoot::open(&path, false).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(Errno::EACCES.0), "{path:?}");
        }
    });
}
