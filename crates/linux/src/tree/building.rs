//! How a tree is put together.

use super::ground::{Ground, Root};
use super::nodes::{Body, Directory};
use super::own::{Own, PLACES};
use super::place::{NoDescriptors, Place, Step, join};
use super::setup::{Mount, Source, TreeError};
use super::walk::{Found, Last, walk};
use crate::errno::Errno;
use crate::limits::{NAME_BYTES, PATH_BYTES};
use crate::status::Kind;

fn failed(path: &[u8], what: &str) -> TreeError {
    TreeError(format!("{}: {what}", String::from_utf8_lossy(path)))
}

/// An absolute path without a slash too many.
fn canonical(path: &[u8]) -> Result<Vec<u8>, TreeError> {
    if path.first() != Some(&b'/') {
        return Err(failed(path, "the path is not absolute"));
    }
    if path.contains(&0) || path.len() >= PATH_BYTES {
        return Err(failed(path, "the path has a NUL, or over 4095 bytes"));
    }
    let mut whole = b"/".to_vec();
    for name in path.split(|byte| *byte == b'/') {
        match name {
            b"" => {}
            b"." | b".." => return Err(failed(path, "the path has . or .. in it")),
            _ if name.len() > NAME_BYTES => {
                return Err(failed(path, "a name has over 255 bytes"));
            }
            _ => whole = join(&whole, name),
        }
    }
    Ok(whole)
}

/// The directory and the last name of a canonical path; none of the root.
fn split(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = path.iter().rposition(|byte| *byte == b'/')?;
    let name = path.get(at + 1..).filter(|name| !name.is_empty())?;
    Some((path.get(..at)?, name))
}

/// Permission bits of a file that is put into memory: programs can be executed.
fn mode_of(bytes: &[u8]) -> u32 {
    if bytes.starts_with(b"\x7fELF") || bytes.starts_with(b"#!") {
        0o755
    } else {
        0o644
    }
}

fn is_ours(path: &[u8]) -> bool {
    PLACES.iter().any(|place| {
        let rest = path.strip_prefix(place.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    })
}

/// Puts everything at its path, and says where relative paths begin.
pub fn build(mounts: Vec<Mount>, program: Vec<u8>, directory: &[u8]) -> Result<Ground, TreeError> {
    let mut wanted = Vec::with_capacity(mounts.len());
    for mount in mounts {
        let path = canonical(&mount.path)?;
        wanted.push(Mount { path, ..mount });
    }
    wanted.sort_by(|one, other| one.path.cmp(&other.path));
    let mut ground = Ground::new(program);
    if wanted.first().is_none_or(|mount| mount.path != b"/") {
        add(&mut ground, b"/".to_vec(), Source::Memory, true)?;
    }
    let own = PLACES
        .iter()
        .filter_map(|path| Some((path, Own::root(path)?)));
    let own: Vec<_> = own
        .map(|(path, own)| (path.as_bytes().to_vec(), own))
        .collect();
    for (path, own) in own {
        ground.mount(path, Root::Own(own), true);
    }
    let mut places: Vec<Vec<u8>> = Vec::with_capacity(wanted.len());
    for mount in wanted {
        let path = followed(&ground, &mount.path);
        if is_ours(&path) {
            return Err(failed(&mount.path, "/dev and /proc are the engine's own"));
        }
        if places.contains(&path) {
            return Err(failed(&mount.path, "the path comes twice"));
        }
        places.push(path.clone());
        put(&mut ground, path, mount.source, mount.read_only)?;
    }
    for path in &places {
        if find(&ground, path).is_none_or(|found| found.path != *path) {
            return Err(failed(path, "something on the way is no directory"));
        }
    }
    if !directory.is_empty() {
        ground.directory = current(&ground, directory)?;
    }
    Ok(ground)
}

/// What is at a path, links followed.
fn find(ground: &Ground, path: &[u8]) -> Option<Found> {
    let found = walk(ground, &NoDescriptors, b"/", path, Last::Follow).ok();
    found.filter(|found| found.step.is_some())
}

/// A path without links on its way, as far as there is something.
fn followed(ground: &Ground, path: &[u8]) -> Vec<u8> {
    let Some((directory, last)) = split(path) else {
        return path.to_vec();
    };
    let mut at = b"/".to_vec();
    for name in directory.split(|byte| *byte == b'/') {
        if !name.is_empty() {
            let next = join(&at, name);
            at = find(ground, &next).map_or(next, |found| found.path);
        }
    }
    join(&at, last)
}

fn current(ground: &Ground, directory: &[u8]) -> Result<Vec<u8>, TreeError> {
    let path = canonical(directory)?;
    let found = find(ground, &path).filter(|found| {
        let kind = found.there().and_then(|step| ground.kind(&step.place));
        kind == Ok(Kind::Directory)
    });
    match found {
        Some(found) => Ok(found.path),
        None => Err(failed(directory, "there is no such directory")),
    }
}

/// Mounts something.
fn add(
    ground: &mut Ground,
    path: Vec<u8>,
    source: Source,
    read_only: bool,
) -> Result<(), TreeError> {
    let nodes = &mut ground.nodes;
    let id = match source {
        Source::Memory => nodes.add_root(0o755),
        Source::File(bytes) => nodes.add_file(&bytes, mode_of(&bytes)),
        Source::Host(root) => {
            // What is open goes by its root's permission alone.
            let root = match read_only {
                true if !root.is_read_only() => root.to_read_only(),
                _ => root.clone(),
            };
            let read_only = root.is_read_only();
            ground.mount(path, Root::Host(root), read_only);
            return Ok(());
        }
    };
    let held = id.and_then(|id| nodes.hold(id).map(|()| id));
    let id = held.map_err(|_| failed(&path, "there is no room for it"))?;
    ground.mount(path, Root::Node(id), read_only);
    Ok(())
}

/// Puts something at its path. In a directory in memory that can be written to, a file is one of
/// its own, and a mount has a place there.
fn put(
    ground: &mut Ground,
    path: Vec<u8>,
    source: Source,
    read_only: bool,
) -> Result<(), TreeError> {
    let full = |_| failed(&path, "there is no room for it");
    let Some((directory, name)) = split(&path) else {
        return add(ground, path, source, read_only);
    };
    let Some(parent) = directory_of(ground, directory).map_err(full)? else {
        return add(ground, path, source, read_only);
    };
    let nodes = &mut ground.nodes;
    let (id, rest) = match source {
        Source::File(bytes) if !read_only => (nodes.add_file(&bytes, mode_of(&bytes)), None),
        Source::File(bytes) => (nodes.add_file(&[], 0o644), Some(Source::File(bytes))),
        other => {
            let body = Body::Directory(Directory::default());
            (nodes.add(body, 0o755, (0, 0)), Some(other))
        }
    };
    let id = id.map_err(full)?;
    nodes.link(parent, name, id, (0, 0)).map_err(full)?;
    match rest {
        Some(source) => add(ground, path, source, read_only),
        None => Ok(()),
    }
}

/// The directory in memory that a path leads to, if it is one that can be written to. What is
/// missing on the way is made.
fn directory_of(ground: &mut Ground, path: &[u8]) -> Result<Option<u32>, Errno> {
    let mut step = ground.root()?;
    let mut at = b"/".to_vec();
    for name in path.split(|byte| *byte == b'/') {
        if name.is_empty() {
            continue;
        }
        at = join(&at, name);
        let child = ground.child(&step, name, &at, &NoDescriptors);
        step = match (child, &step.place) {
            // A directory that is there for what is mounted below it leads on.
            (Ok(child), _) if matches!(child.place, Place::Own(Own::Hollow)) => child,
            (Ok(child), _) if !matches!(child.place, Place::Own(_)) => child,
            (Err(Errno::ENOENT), Place::Node(parent)) if !step.read_only => {
                let (parent, nodes) = (*parent, &mut ground.nodes);
                let body = Body::Directory(Directory::default());
                let made = nodes.add(body, 0o755, (0, 0))?;
                nodes.link(parent, name, made, (0, 0))?;
                Step {
                    place: Place::Node(made),
                    ..step
                }
            }
            _ => return Ok(None),
        };
    }
    Ok(match step.place {
        Place::Node(id) if !step.read_only && ground.nodes.get(id)?.is_directory() => Some(id),
        _ => None,
    })
}
