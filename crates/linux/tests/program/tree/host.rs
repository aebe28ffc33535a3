//! Directories of the host.

use super::{Folder, bed, cat, failed, ls, save, stat_of};
use linux_raw_sys::errno::*;
use linux_raw_sys::general::*;

#[test]
fn a_directory_of_the_host_is_read_and_written() {
    let folder = Folder::new("rw");
    std::fs::write(folder.0.join("in"), "from the host").unwrap();
    std::fs::create_dir(folder.0.join("sub")).unwrap();
    let mut bed = bed(&[folder.mount("/data", false)]);
    assert_eq!(cat(&mut bed, "/data/in"), "from the host");
    assert_eq!(save(&mut bed, "/data/sub/out", "to the host"), 11);
    let out = std::fs::read(folder.0.join("sub/out")).unwrap();
    assert_eq!(out, b"to the host");
    assert_eq!(ls(&mut bed, "/data"), "in sub");
    assert_eq!(stat_of(&mut bed, "/data/in").unwrap().1, 13);
    let file = bed.by_path(__NR_open, "/data/in", &[0]) as u64;
    assert_eq!(bed.kernel.host_files(), [b"/data/in".to_vec()]);
    let at = bed.value(__NR_mmap, &[0, 4096, 1, MAP_PRIVATE.into(), file, 0]) as u64;
    assert_eq!(bed.text(at), "from the host");
    assert_eq!(bed.value(__NR_close, &[file]), 0);
    assert!(bed.kernel.host_files().is_empty());
}

#[test]
fn what_is_read_only_stays_as_it_is() {
    let folder = Folder::new("ro");
    std::fs::write(folder.0.join("in"), "same").unwrap();
    let mut bed = bed(&[folder.mount("/data", true)]);
    assert_eq!(cat(&mut bed, "/data/in"), "same");
    assert_eq!(save(&mut bed, "/data/in", "other"), failed(EROFS));
    assert_eq!(save(&mut bed, "/data/new", "other"), failed(EROFS));
    assert_eq!(bed.by_path(__NR_unlink, "/data/in", &[]), failed(EROFS));
    assert_eq!(bed.by_path(__NR_truncate, "/data/in", &[0]), failed(EROFS));
    assert_eq!(bed.by_path(__NR_chmod, "/data/in", &[0]), failed(EROFS));
    assert_eq!(bed.by_path(__NR_mkdir, "/data/d", &[0]), failed(EROFS));
    let to = bed.path("/data/b");
    assert_eq!(bed.by_path(__NR_rename, "/data/in", &[to]), failed(EROFS));
    assert_eq!(bed.by_path(__NR_rmdir, "/data", &[]), failed(EBUSY));
    assert_eq!(std::fs::read(folder.0.join("in")).unwrap(), b"same");
}

#[test]
fn a_mount_is_where_the_hosts_links_lead() {
    let folder = Folder::new("links");
    std::fs::create_dir_all(folder.0.join("usr/bin")).unwrap();
    std::os::unix::fs::symlink("usr/bin", folder.0.join("bin")).unwrap();
    std::os::unix::fs::symlink("/proc", folder.0.join("away")).unwrap();
    let root = || folder.mount("/", true);
    let tool = |path| super::mount(path, linux::Source::File(b"#!/x".to_vec()));
    let with = |mounts: Vec<linux::Mount>| {
        let setup = linux::Setup {
            mounts,
            ..linux::Setup::default()
        };
        linux::Tree::new(setup).map_err(|error| error.0)
    };
    let mut tree = with(vec![root(), tool("/bin/tool"), tool("/opt/x/y")]).unwrap();
    assert_eq!(tree.find_program(b"/usr/bin/tool").unwrap(), b"#!/x");
    assert_eq!(tree.find_program(b"/bin/../../opt/x/y").unwrap(), b"#!/x");
    let names = |tree: &mut linux::Tree, path: &[u8]| {
        let entries = tree.list(path).unwrap();
        let mut names: Vec<_> = entries.iter().map(|entry| entry.name.clone()).collect();
        names.sort();
        names.join(&b' ')
    };
    assert_eq!(names(&mut tree, b"/"), b"away bin dev opt proc usr");
    assert_eq!(names(&mut tree, b"/opt"), b"x");
    assert_eq!(names(&mut tree, b"/bin"), b"tool");
    let twice = with(vec![root(), tool("/bin/tool"), tool("/usr/bin/tool")]);
    assert_eq!(twice.unwrap_err(), "/usr/bin/tool: the path comes twice");
    assert!(with(vec![root(), tool("/away/self")]).is_err());
}

#[test]
fn one_file_of_the_host_is_there_without_what_is_beside_it() {
    let folder = Folder::new("one");
    std::fs::write(folder.0.join("tool"), "#!/bin/sh").unwrap();
    std::fs::write(folder.0.join("secret"), "no").unwrap();
    let root = linux::HostRoot::open(&folder.0.join("tool"), true).unwrap();
    let tool = super::mount("/usr/bin/tool", linux::Source::Host(root));
    let mut bed = crate::bed::Bed::with_tree(linux::Setup {
        mounts: vec![tool],
        ..linux::Setup::default()
    });
    assert_eq!(cat(&mut bed, "/usr/bin/tool"), "#!/bin/sh");
    assert_eq!(ls(&mut bed, "/"), "dev proc usr");
    assert_eq!(ls(&mut bed, "/usr/bin"), "tool");
    for (path, errno) in [
        ("/usr/bin/secret", ENOENT),
        ("/usr/bin/tool/../secret", ENOTDIR),
        ("/usr/bin/tool/", ENOTDIR),
    ] {
        assert_eq!(bed.by_path(__NR_open, path, &[0]), failed(errno), "{path}");
    }
    assert_eq!(save(&mut bed, "/usr/bin/tool", "x"), failed(EROFS));
    assert_eq!(save(&mut bed, "/usr/bin/new", "x"), failed(EROFS));
    assert_eq!(
        bed.by_path(__NR_unlink, "/usr/bin/tool", &[]),
        failed(EROFS)
    );
}
