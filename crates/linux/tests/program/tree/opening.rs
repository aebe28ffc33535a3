//! What is opened, and what is not.

use super::{bed, cat, failed, file, ls, mount, names, save, stat_of};
use linux::{Setup, Source, Tree};
use linux_raw_sys::errno::*;
use linux_raw_sys::general::*;

#[test]
fn a_file_that_is_written_is_read() {
    let mut bed = bed(&[file("/in.txt", "hello\n"), file("/a/b/c.txt", "deep")]);
    assert_eq!(cat(&mut bed, "/in.txt"), "hello\n");
    assert_eq!(cat(&mut bed, "a/../a/./b//c.txt"), "deep");
    assert_eq!(save(&mut bed, "/out", "one two"), 7);
    assert_eq!(cat(&mut bed, "/out"), "one two");
    assert_eq!(ls(&mut bed, "/"), "a dev in.txt out proc");
    assert_eq!(stat_of(&mut bed, "/out"), Ok((S_IFREG | 0o644, 7)));
    assert_eq!(stat_of(&mut bed, "/a"), Ok((S_IFDIR | 0o755, 4096)));
    assert_eq!(stat_of(&mut bed, "/none"), Err(failed(ENOENT)));
    let creates = u64::from(O_CREAT | O_EXCL);
    for (path, flags, errno) in [
        ("/none", 0, ENOENT),
        ("/out/", 0, ENOTDIR),
        ("/out/x", 0, ENOTDIR),
        ("", 0, ENOENT),
        ("/a", u64::from(O_RDWR), EISDIR),
        ("/new/", creates, EISDIR),
        ("/out", creates, EEXIST),
        ("/out", u64::from(O_DIRECTORY), ENOTDIR),
        ("/dev/tty", 0, ENXIO),
        ("/dev/none", creates, EACCES),
    ] {
        assert_eq!(
            bed.by_path(__NR_open, path, &[flags]),
            failed(errno),
            "{path}"
        );
    }
}

#[test]
fn links_are_followed_in_the_name_space_of_the_program() {
    let mut bed = bed(&[file("/etc/secret", "mine"), file("/x/y", "y")]);
    for (target, path) in [
        ("/etc/secret", "/abs"),
        ("../etc/secret", "/x/rel"),
        ("loop", "/loop"),
        ("/x", "/dir"),
        ("nowhere", "/dangling"),
    ] {
        let target = bed.path(target);
        let at = bed.path(path);
        assert_eq!(bed.value(__NR_symlink, &[target, at]), 0);
    }
    assert_eq!(cat(&mut bed, "/abs"), "mine");
    assert_eq!(cat(&mut bed, "/x/rel"), "mine");
    assert_eq!(cat(&mut bed, "/dir/y"), "y");
    assert_eq!(cat(&mut bed, "/dir/../x/y"), "y");
    assert_eq!(cat(&mut bed, "/../../abs"), "mine");
    assert_eq!(bed.by_path(__NR_open, "/loop", &[0]), failed(ELOOP));
    let stays = u64::from(O_NOFOLLOW);
    assert_eq!(bed.by_path(__NR_open, "/abs", &[stays]), failed(ELOOP));
    assert_eq!(save(&mut bed, "/dangling", "made"), 4);
    assert_eq!(cat(&mut bed, "/nowhere"), "made");
    let kinds = names(&mut bed, "/");
    assert!(kinds.contains(&("abs".into(), DT_LNK as u8)), "{kinds:?}");
    let at = bed.pages(1);
    assert_eq!(bed.by_path(__NR_readlink, "/x/rel", &[at, 100]), 13);
    assert_eq!(bed.read(at, 13), b"../etc/secret");
    assert_eq!(
        bed.by_path(__NR_readlink, "/x/y", &[at, 100]),
        failed(EINVAL)
    );
}

#[test]
fn the_engine_has_devices_and_processes_of_its_own() {
    let mut bed = bed(&[]);
    assert_eq!(cat(&mut bed, "/proc/self/cmdline"), "test\0-v\0");
    assert_eq!(cat(&mut bed, "/proc/2/environ"), "HOME=/\0");
    assert_eq!(cat(&mut bed, "/proc/thread-self/comm"), "test\n");
    assert!(cat(&mut bed, "/proc/self/maps").contains("[stack]"));
    assert!(cat(&mut bed, "/proc/mounts").contains("tmpfs / tmpfs rw"));
    assert_eq!(cat(&mut bed, "/dev/null"), "");
    assert_eq!(ls(&mut bed, "/proc/self/fd"), "0 1 2 3");
    assert_eq!(
        ls(&mut bed, "/dev"),
        "fd full null random stderr stdin stdout tty urandom zero"
    );
    let at = bed.pages(1);
    assert_eq!(bed.by_path(__NR_readlink, "/proc/self/exe", &[at, 100]), 9);
    assert_eq!(bed.read(at, 9), b"/bin/test");
    assert_eq!(save(&mut bed, "/dev/full", "x"), failed(ENOSPC));
    let out = bed.by_path(__NR_open, "/dev/stdout", &[1]);
    assert_eq!(bed.kernel.host_of(out as i32), Some(1));
    assert_eq!(bed.by_path(__NR_open, "/dev/stdin", &[1]), failed(EACCES));
    for path in ["/dev/null", "/proc/self/status", "/proc"] {
        assert_eq!(
            bed.by_path(__NR_unlink, path, &[]),
            failed(if path == "/proc" { EISDIR } else { EACCES })
        );
    }
}

#[test]
fn files_are_their_directorys_own_where_no_root_is_given() {
    let mut bed = crate::bed::Bed::with_tree(Setup {
        mounts: vec![
            mount("/m/w", Source::Memory),
            file("/m/w/a", "1"),
            file("/m/w/d/b", "2"),
        ],
        program: b"/bin/test".to_vec(),
        ..Setup::default()
    });
    assert_eq!(cat(&mut bed, "/m/w/d/b"), "2");
    assert_eq!(bed.by_path(__NR_unlink, "/m/w/a", &[]), 0);
    assert_eq!(bed.by_path(__NR_mkdir, "/m/w/d/c", &[0o755]), 0);
    assert_eq!(bed.by_path(__NR_mkdir, "/m/c", &[0o755]), failed(EROFS));
}

#[test]
fn a_tree_that_cannot_be_says_why() {
    let with = |mounts: Vec<linux::Mount>, directory: &str| {
        let setup = Setup {
            mounts,
            directory: directory.into(),
            ..Setup::default()
        };
        Tree::new(setup).map(|_| ()).map_err(|error| error.0)
    };
    let memory = |path| mount(path, Source::Memory);
    assert_eq!(with(vec![memory("/a"), memory("/b/c")], "/b"), Ok(()));
    for (mounts, directory, start) in [
        (vec![memory("a")], "", "a: "),
        (
            vec![memory("/a"), memory("//a/")],
            "",
            "/a: the path comes twice",
        ),
        (vec![memory("/a/../b")], "", "/a/../b: "),
        (vec![memory("/proc/self")], "", "/proc/self: "),
        (vec![memory("/a")], "/none", "/none: "),
        (vec![file("/a", "x")], "/a", "/a: "),
        (
            vec![file("/a", "x"), file("/a/b", "y")],
            "",
            "/a/b: something on the way",
        ),
        (
            vec![memory("/"), file("/a", "x"), file("/a/b", "y")],
            "",
            "/a/b: ",
        ),
        (
            vec![memory("/"), file("/a", "x"), memory("/a/b/c")],
            "",
            "/a/b/c: ",
        ),
    ] {
        let message = with(mounts, directory).unwrap_err();
        assert!(message.starts_with(start), "{message}");
    }
}
