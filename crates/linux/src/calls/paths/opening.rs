//! `open` and its kin.

use linux_raw_sys::general::{
    __NR_creat, __NR_open, __NR_openat, __NR_openat2, AT_FDCWD, O_ACCMODE, O_CLOEXEC, O_CREAT,
    O_DIRECTORY, O_EXCL, O_LARGEFILE, O_NOCTTY, O_NOFOLLOW, O_PATH, O_RDONLY, O_RDWR, O_TMPFILE,
    O_TRUNC, O_WRONLY, open_how,
};

use super::base::{find, now, path, tree, tree_mut};
use super::texts::text;
use crate::calls::resources::Resources;
use crate::calls::world::{Answer, World, int, low};
use crate::errno::Errno;
use crate::files::{Files, Object};
use crate::status::Kind;
use crate::tree::{Content, Device, End, Found, Last, Opened, Own, Place, Step, Time, What, may};

/// The current directory, as an argument says it.
const HERE: u64 = AT_FDCWD.cast_unsigned() as u64;
/// A name that the host gives to another file meanwhile is looked up so often.
const TRIES: usize = 8;

/// What is asked for.
struct Wish {
    descriptor: i32,
    path: Vec<u8>,
    flags: u32,
    mode: u32,
}

/// What comes of it.
enum Outcome {
    Content(Content),
    /// What another descriptor leads to.
    Descriptor(i32),
}

/// Answers a call of this subject.
pub fn answer(
    number: u32,
    [a, b, c, d, ..]: [u64; 6],
    files: &mut Files,
    resources: &Resources,
    world: &mut World<'_>,
) -> Option<Answer> {
    let wish = match number {
        __NR_open => wish(HERE, a, low(b), low(c), world),
        __NR_creat => wish(HERE, a, O_CREAT | O_WRONLY | O_TRUNC, low(b), world),
        __NR_openat => wish(a, b, low(c), low(d), world),
        __NR_openat2 => wish_2([a, b, c, d], world),
        _ => return None,
    };
    let opened = wish.and_then(|wish| open(&wish, files, resources, world));
    Some(opened.into())
}

fn wish(
    descriptor: u64,
    at: u64,
    flags: u32,
    mode: u32,
    world: &mut World<'_>,
) -> Result<Wish, Errno> {
    Ok(Wish {
        descriptor: int(descriptor),
        path: path(at, world)?,
        flags,
        mode,
    })
}

/// `openat2`, of which only what `openat` can do is here.
fn wish_2([descriptor, at, how, bytes]: [u64; 4], world: &mut World<'_>) -> Result<Wish, Errno> {
    if bytes < size_of::<open_how>() as u64 {
        return Err(Errno::EINVAL);
    }
    let [flags, mode, resolve] = world.words(how)?;
    if resolve != 0 || mode & !0o7777 != 0 {
        return Err(Errno::EINVAL);
    }
    let flags = u32::try_from(flags).map_err(|_| Errno::EINVAL)?;
    wish(descriptor, at, flags, low(mode), world)
}

impl Wish {
    fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// It is to be written to.
    fn writes(&self) -> bool {
        self.flags & O_ACCMODE != O_RDONLY
    }

    /// Rights that it takes.
    fn rights(&self) -> Result<u32, Errno> {
        let rights = match self.flags & O_ACCMODE {
            O_RDONLY => 4,
            O_WRONLY => 2,
            O_RDWR => 6,
            _ => return Err(Errno::EINVAL),
        };
        Ok(rights | if self.has(O_TRUNC) { 2 } else { 0 })
    }
}

fn open(
    wish: &Wish,
    files: &mut Files,
    resources: &Resources,
    world: &mut World<'_>,
) -> Result<u64, Errno> {
    files.check_room()?;
    let now = now(world);
    if wish.has(O_CREAT | O_DIRECTORY) || wish.flags & O_ACCMODE == O_ACCMODE {
        return Err(Errno::EINVAL);
    }
    let closes = wish.has(O_CLOEXEC);
    for _ in 0..TRIES {
        let creates = wish.has(O_CREAT) && !wish.has(O_PATH);
        let last = match (wish.has(O_NOFOLLOW) || wish.has(O_CREAT | O_EXCL), creates) {
            (true, true) => Last::Name,
            (true, false) => Last::Stay,
            (false, true) => Last::Create,
            (false, false) => Last::Follow,
        };
        let found = find(files, wish.descriptor, &wish.path, last)?;
        let is_slashed = found.wants_directory && found.end == End::Name;
        if creates && is_slashed {
            return Err(Errno::EISDIR);
        }
        check_room(wish, &found, files)?;
        let outcome = match &found.step {
            Some(_) if creates && wish.has(O_EXCL) => {
                return Err(Errno::EEXIST);
            }
            Some(_) if wish.has(O_TMPFILE) && !wish.has(O_PATH) => {
                nameless(wish, &found, files, now).map(Outcome::Content)
            }
            Some(step) => existing(wish, &found, step, files, resources, now, world),
            None if creates => {
                let tree = tree_mut(files)?;
                let mode = wish.mode & 0o7777 & !tree.umask;
                match crate::tree::create(&mut tree.ground, &found, mode, now) {
                    // The host has made one meanwhile.
                    Err(Errno::EEXIST) if !wish.has(O_EXCL) => continue,
                    content => content.map(Outcome::Content),
                }
            }
            None => Err(Errno::ENOENT),
        }?;
        return match outcome {
            Outcome::Descriptor(number) => files.duplicate(number, 0, closes),
            Outcome::Content(content) => {
                let opened = Opened {
                    path: found.path,
                    content,
                };
                put(opened, kept(wish.flags), closes, files)
            }
        };
    }
    Err(Errno::EAGAIN)
}

/// A file of the host is made or cut only if it can then be open.
fn check_room(wish: &Wish, found: &Found, files: &Files) -> Result<(), Errno> {
    let is_host = match &found.step {
        None => matches!(found.parent.place, Place::Host(_)) && wish.has(O_CREAT),
        Some(step) => match &step.place {
            Place::Host(place) => place.kind() == Kind::File && !wish.has(O_PATH),
            _ => false,
        },
    };
    if is_host {
        files.check_host_room()
    } else {
        Ok(())
    }
}

/// The flags that a description keeps.
fn kept(flags: u32) -> u32 {
    if flags & O_PATH != 0 {
        return flags & (O_PATH | O_DIRECTORY | O_NOFOLLOW);
    }
    flags & !(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC | O_CLOEXEC) | O_LARGEFILE
}

fn put(opened: Opened, flags: u32, closes: bool, files: &mut Files) -> Result<u64, Errno> {
    let node = match opened.content {
        Content::Node(id, _) => Some(id),
        _ => None,
    };
    let number = files.open(Object::Opened(Box::new(opened)), flags, closes);
    if let (Err(_), Some(id)) = (number, node) {
        tree_mut(files)?.ground.nodes.collect(id);
    }
    number
}

/// A file without a name (`O_TMPFILE`), which only memory has.
fn nameless(wish: &Wish, found: &Found, files: &mut Files, now: Time) -> Result<Content, Errno> {
    if !wish.writes() {
        return Err(Errno::EINVAL);
    }
    let tree = tree_mut(files)?;
    let step = found.there()?;
    if tree.ground.kind(&step.place)? != Kind::Directory {
        return Err(Errno::ENOTDIR);
    }
    may(&tree.ground, step, 3)?;
    match step.place {
        Place::Node(_) => {
            let mode = wish.mode & 0o7777 & !tree.umask;
            let id = tree.ground.nodes.add_empty(mode, now)?;
            Ok(Content::Node(id, step.mount))
        }
        _ => Err(Errno::EOPNOTSUPP),
    }
}

/// Opens what is there.
fn existing(
    wish: &Wish,
    found: &Found,
    step: &Step,
    files: &mut Files,
    resources: &Resources,
    now: Time,
    world: &mut World<'_>,
) -> Result<Outcome, Errno> {
    let kind = tree(files)?.ground.kind(&step.place)?;
    if let (Place::Own(Own::Descriptor(number)), false) = (&step.place, wish.has(O_NOFOLLOW)) {
        return again(wish, *number, files);
    }
    if kind != Kind::Directory && (wish.has(O_DIRECTORY) || found.wants_directory) {
        return Err(Errno::ENOTDIR);
    }
    if kind == Kind::Directory {
        if !wish.has(O_PATH) {
            if wish.writes() || wish.flags & (O_CREAT | O_TRUNC) != 0 {
                return Err(Errno::EISDIR);
            }
            may(&tree(files)?.ground, step, 4)?;
        }
        return Ok(Outcome::Content(Content::Directory(None)));
    }
    if wish.has(O_PATH) {
        return Ok(Outcome::Content(Content::Path));
    }
    if kind == Kind::Link {
        return Err(Errno::ELOOP);
    }
    let rights = wish.rights()?;
    may(&tree(files)?.ground, step, rights)?;
    let content = match &step.place {
        Place::Node(id) => {
            if wish.has(O_TRUNC) {
                tree_mut(files)?.ground.nodes.resize(*id, 0, now)?;
            }
            Content::Node(*id, step.mount)
        }
        Place::Host(place) => {
            let file = place.open(wish.flags & O_ACCMODE)?;
            if wish.has(O_TRUNC) {
                place.truncate(0)?;
            }
            Content::Host(file)
        }
        Place::Own(own) => {
            let status = tree(files)?.ground.status(step)?;
            match own.what() {
                What::Device(Device::Terminal) => return Err(Errno::ENXIO),
                What::Device(device) => Content::Device(device, status),
                What::Text(which) => {
                    let text = text(which, files, resources, world)?;
                    Content::Text(text.into(), status)
                }
                _ => return Err(Errno::EACCES),
            }
        }
    };
    Ok(Outcome::Content(content))
}

/// What another descriptor leads to. A file or a directory begins anew, the rest is shared.
fn again(wish: &Wish, number: i32, files: &Files) -> Result<Outcome, Errno> {
    let description = files.get(number)?;
    let content = match &description.object {
        Object::Opened(opened) => Some(&opened.content),
        _ => None,
    };
    if wish.has(O_DIRECTORY) && !matches!(content, Some(Content::Directory(_))) {
        return Err(Errno::ENOTDIR);
    }
    match content {
        Some(Content::Node(id, mount)) => {
            let ground = &tree(files)?.ground;
            may(ground, &ground.step_to(*id, *mount), wish.rights()?)?;
            Ok(Outcome::Content(Content::Node(*id, *mount)))
        }
        Some(Content::Directory(_)) if wish.writes() => Err(Errno::EISDIR),
        Some(Content::Directory(_)) => Ok(Outcome::Content(Content::Directory(None))),
        _ => {
            let has = description.flags & O_ACCMODE;
            let wanted = wish.flags & O_ACCMODE;
            if has == O_RDWR || has == wanted {
                Ok(Outcome::Descriptor(number))
            } else {
                Err(Errno::EACCES)
            }
        }
    }
}
